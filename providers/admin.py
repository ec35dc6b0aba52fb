"""The administration's view of providers and hosts: for reading only, without passwords."""

from __future__ import annotations

from django.contrib import admin

from portal.admin import ReadOnlyAdmin
from providers.models import Host, Provider


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    fields = (
        "team", "name", "title", "description", "type", "host", "port", "use_tls", "location_id", "key_certificate", "trust_store",
        "trust_certificate", "trust_public", "server_name", "check_host_name", "spki_pins", "path_prefix", "collection_path",
        "authentication", "user_name", "created_at",
    )  # fmt: skip
    list_display = ("name", "title", "type", "host", "port", "team")
    list_filter = ("type", "use_tls")
    list_select_related = ("team",)
    search_fields = ("name", "title", "host", "team__name")


@admin.register(Host)
class HostAdmin(ReadOnlyAdmin):
    fields = (
        "team", "name", "host_name", "port", "key_certificate", "trust_store", "client_certificate", "description", "created_at",
    )  # fmt: skip
    list_display = ("name", "host_name", "port", "client_certificate", "team")
    list_select_related = ("team",)
    search_fields = ("name", "host_name", "team__name")
