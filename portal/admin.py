"""The administration of people and teams; everything else is for reading, and nothing sealed is shown at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.sites import AdminSite
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin, TabularInline

from portal import one_time
from portal.accounts import vouch
from portal.audit import actor_of, record
from portal.models import ApiToken, AuditEvent, Membership, Role, TaskRun, Team, User
from portal.templatetags.portal_tags import visible

OURS = {"portal", "stores", "providers"}
KEPT_WITH_TEAM = {Membership, ApiToken, AuditEvent}
"""What does not keep an administrator from deleting a team."""

if TYPE_CHECKING:
    _UserForm = forms.ModelForm[User]
    _Memberships = BaseInlineFormSet[Membership, Team, forms.ModelForm[Membership]]
else:
    _UserForm = forms.ModelForm
    _Memberships = BaseInlineFormSet


def keep_only_ours(site: AdminSite) -> None:
    """Takes out what other packages show: some of it holds secrets of theirs."""
    for model in list(site._registry):
        if model._meta.app_label not in OURS:
            site.unregister(model)


def visibly(field: str) -> Callable[[models.Model], str]:
    """A column or field of text from outside, with invisible characters as escapes."""

    @admin.display(description=field.replace("_", " "), ordering=field)
    def show(row: models.Model) -> str:
        return visible(getattr(row, field) or "")

    show.__name__ = f"visible_{field}"
    return show


class StaffAdmin(ModelAdmin):
    """Administrators have one right: to be here."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


class ReadOnlyAdmin(StaffAdmin):
    """Shows the fields that it names, and changes nothing."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission

    def get_readonly_fields(self, request: HttpRequest, obj: models.Model | None = None) -> Any:
        return self.fields


class AccountForm(_UserForm):
    """An account; nobody switches their own off."""

    class Meta:
        model = User
        fields = ("email", "first_name", "time_zone", "is_active", "is_staff")
        labels: ClassVar[dict[str, str]] = {"first_name": "Name", "is_staff": "Administrator"}
        help_texts: ClassVar[dict[str, str]] = {
            "is_active": "Without it nobody signs in with this account. Switch it off rather than deleting people.",
            "is_staff": "Manages people and teams here, and reads all but keys.",
        }

    myself: User | None = None

    def clean_email(self) -> str:
        email = User.objects.normalize_email(self.cleaned_data["email"])
        if User.objects.filter(email__iexact=email).exclude(pk=self.instance.pk).exists():
            raise ValidationError("There is an account of this address.")
        return email

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.instance == self.myself and not (data.get("is_active") and data.get("is_staff")):
            raise ValidationError("This is you: another administrator has to take these rights from you.")
        return data


@admin.register(User)
class UserAdmin(StaffAdmin):
    """Accounts. A new one gets an address that signs in once."""

    form = AccountForm
    list_display = ("email", "first_name", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    search_fields = ("email", "first_name", "last_name")
    ordering = ("email",)
    readonly_fields = ("last_login", "date_joined")
    fields = (*AccountForm.Meta.fields, *readonly_fields)
    actions = ("make_link",)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any
    ) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"myself": request.user})

    def save_model(self, request: HttpRequest, obj: User, form: forms.BaseForm, change: bool) -> None:
        if not change:
            obj.username = obj.email
            obj.set_unusable_password()
        super().save_model(request, obj, form, change)
        if "email" in form.changed_data:
            vouch(obj)
        action = "account.changed" if change else "account.created"
        record(actor_of(request), action, obj, team=None, member=obj.email, changed=form.changed_data)
        if not change:
            self._show_link(request, obj)

    @admin.action(description="Make an address that signs in once")
    def make_link(self, request: HttpRequest, queryset: models.QuerySet[User]) -> None:
        """For who has neither password nor mail; whoever has the address can sign in as them, so it is written down."""
        for user in queryset.filter(is_active=True):
            with transaction.atomic():
                record(actor_of(request), "account.link_made", user, team=None, member=user.email)
                self._show_link(request, user)

    def _show_link(self, request: HttpRequest, user: User) -> None:
        link = one_time.link(user, timezone.now())
        messages.success(request, f"Hand this to {user.email}; it signs them in once, within a day: {link}")


class MembershipFormSet(_Memberships):
    """The members of a team, of whom one is an owner."""

    def clean(self) -> None:
        super().clean()
        rows = [
            form.cleaned_data for form in self.forms if form.is_valid() and form not in self.deleted_forms
        ]
        if not any(
            row.get("role") == Role.OWNER and row["user"].is_active for row in rows if row.get("user")
        ):
            raise ValidationError(
                "A team needs an owner whose account is on: add one, or make a member an owner."
            )


class MembershipInline(TabularInline):
    model = Membership
    formset = MembershipFormSet
    fields = ("user", "role")
    autocomplete_fields = ("user",)
    extra = 0
    min_num = 1

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return bool(request.user.is_staff)

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission


@admin.register(Team)
class TeamAdmin(StaffAdmin):
    """Teams and their members."""

    list_display = ("name", "is_example", "created_at")
    search_fields = ("name",)
    readonly_fields = ("is_example", "created_at")
    fields = ("name", *readonly_fields)
    inlines = (MembershipInline,)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Only a team that keeps nothing: the portal's pages empty it first."""
        return super().has_view_permission(request) and (obj is None or is_empty(cast(Team, obj)))

    def get_actions(self, request: HttpRequest) -> Any:
        """One by one, so that each is looked at."""
        return {
            name: action for name, action in super().get_actions(request).items() if name != "delete_selected"
        }

    def save_model(self, request: HttpRequest, obj: Team, form: forms.BaseForm, change: bool) -> None:
        old = form.initial.get("name")
        super().save_model(request, obj, form, change)
        if not change:
            record(actor_of(request), "team.created", obj, team=obj)
        elif old != obj.name:
            record(actor_of(request), "team.renamed", obj, team=obj, old_name=old, new_name=obj.name)

    def delete_model(self, request: HttpRequest, obj: Team) -> None:
        record(actor_of(request), "team.deleted", obj, team=obj)
        super().delete_model(request, obj)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save()
        changed = [row for row, _ in formset.changed_objects]
        done = (
            ("added", formset.new_objects),
            ("role_changed", changed),
            ("removed", formset.deleted_objects),
        )
        for action, rows in done:
            for row in rows:
                facts = {"member": row.user.email, "role": row.role}
                record(actor_of(request), f"member.{action}", row.user, team=row.team, **facts)


def is_empty(team: Team) -> bool:
    """Whether nothing but members and the audit hangs on the team."""
    relations = (one for one in Team._meta.related_objects if one.related_model not in KEPT_WITH_TEAM)
    return not any(
        one.related_model._base_manager.filter(**{one.field.name: team}).exists() for one in relations
    )


@admin.register(AuditEvent)
class AuditAdmin(ReadOnlyAdmin):
    fields = (
        "at", "team", "actor_name", "address", "action", "object_type", "object_id", visibly("object_name"), visibly("facts"),
    )  # fmt: skip
    list_display = ("at", "actor_name", "action", visibly("object_name"), "team")
    list_filter = ("object_type",)
    list_select_related = ("team",)
    search_fields = ("actor_name", "action", "object_name", "=object_id")
    date_hierarchy = "at"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[AuditEvent]:
        """With its team, which may be gone: the audit outlives what it tells of."""
        rows: models.QuerySet[AuditEvent] = super().get_queryset(request)
        return rows.select_related("team")


@admin.register(TaskRun)
class TaskRunAdmin(ReadOnlyAdmin):
    fields = list_display = ("task", "started_at", "finished_at", "seconds", "facts")


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """The digest is left out: it says nothing to people."""

    fields = list_display = ("name", "team", "role", "created_by", "created_at", "last_used_at", "revoked_at")
    list_select_related = ("team", "created_by")
    search_fields = ("name",)
