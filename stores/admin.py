"""The administration's view of stores: for reading only, without keys, sealed bytes, or where they lie."""

from __future__ import annotations

from django.contrib import admin

from portal.admin import ReadOnlyAdmin, visibly
from stores.models import (
    Case,
    Certificate,
    ChainCertificate,
    Draft,
    Flag,
    Notice,
    Store,
    Version,
    Webhook,
    WebhookAttempt,
)


@admin.register(Store)
class StoreAdmin(ReadOnlyAdmin):
    fields = ("team", "kind", "name", "description", "created_at")
    list_display = ("name", "kind", "team", "created_at")
    list_filter = ("kind",)
    list_select_related = ("team",)
    search_fields = ("name", "team__name")


@admin.register(Certificate)
class CertificateAdmin(ReadOnlyAdmin):
    fields = ("team", "store", "name", "description", "owner", "created_at", "fails_at", "stage")
    list_display = ("name", "store", "team", "fails_at", "stage", "owner")
    list_filter = ("stage",)
    list_select_related = ("store", "team", "owner")
    search_fields = ("name", "store__name", "team__name")


@admin.register(Version)
class VersionAdmin(ReadOnlyAdmin):
    fields = (
        "team", "certificate", "number", "state", "format", visibly("file_name"), "file_size", visibly("subject"), "key_type",
        "spki_sha256", visibly("missing_issuer"), "created_at", "created_by", "activate_at", "activated_at", "superseded_at",
        "purged_at", "fails_at", visibly("fails_name"), "stage", "next_stage_at",
    )  # fmt: skip
    list_display = ("certificate", "number", "state", "format", "fails_at", "stage", "created_at", "team")
    list_filter = ("state", "format", "stage")
    list_select_related = ("certificate", "team")
    search_fields = ("certificate__name", "=spki_sha256", "=id")


@admin.register(ChainCertificate)
class ChainCertificateAdmin(ReadOnlyAdmin):
    fields = (
        "version", "position", "sha256", visibly("common_name"), visibly("subject"), visibly("issuer"), "serial", "not_before",
        "not_after", "key_type", "signature", visibly("names"), "usages", "is_ca", "is_self_signed", "spki_sha256",
    )  # fmt: skip
    list_display = (visibly("common_name"), "version", "position", "not_after", "key_type")
    list_select_related = ("version__certificate",)
    search_fields = ("common_name", "=sha256", "=serial")


@admin.register(Draft)
class DraftAdmin(ReadOnlyAdmin):
    fields = list_display = ("team", "user", "created_at", "version")
    list_select_related = ("team", "user", "version__certificate")


@admin.register(Flag)
class FlagAdmin(ReadOnlyAdmin):
    fields = (
        "version",
        "stage",
        visibly("ends_name"),
        "ends_sha256",
        "ends_at",
        "crossed_at",
        "flagged_at",
        "resolved_at",
        "told",
    )
    list_display = ("version", "stage", visibly("ends_name"), "ends_at", "flagged_at", "resolved_at")
    list_filter = ("stage",)
    list_select_related = ("version__certificate",)


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    fields = (
        "team", "certificate", "version", "stage", "fails_at", "owner", "opened_at", "snoozed_until", "snooze_reason", "closed_at",
        "evidence",
    )  # fmt: skip
    list_display = ("certificate", "team", "stage", "fails_at", "owner", "opened_at", "closed_at")
    list_filter = ("stage",)
    list_select_related = ("certificate", "team", "owner")
    search_fields = ("certificate__name", "team__name")


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    fields = (
        "team", "flag", "key", visibly("title"), visibly("text"), "user", "recipient", "channel", "state", "created_at", "due_at",
        "attempts", "attempted_at", "seconds", "sent_at", "error", "read_at",
    )  # fmt: skip
    list_display = ("recipient", "channel", "state", "team", "created_at", "attempts", "sent_at")
    list_filter = ("channel", "state")
    list_select_related = ("team",)
    search_fields = ("recipient",)


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    fields = ("team", "name", "format", "host", "is_enabled", "previous_until", "created_by", "created_at")
    list_display = ("name", "team", "format", "host", "is_enabled")
    list_filter = ("format", "is_enabled")
    list_select_related = ("team",)
    search_fields = ("name", "team__name")


@admin.register(WebhookAttempt)
class WebhookAttemptAdmin(ReadOnlyAdmin):
    fields = ("team", "webhook", "message_id", "at", "seconds", "status", "error")
    list_display = ("message_id", "webhook", "team", "at", "status", "error")
    list_select_related = ("team", "webhook")
    search_fields = ("=message_id", "webhook__name")
