"""All addresses (DESIGN section 12). Each app names its own; this file only says where they hang."""

from __future__ import annotations

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import include, path

from portal import accounts, api, api_page, health, kept_mail, one_time, profile, team_views, views
from portal.admin import keep_only_ours
from providers.views import example
from stores.views import untold

# The administration is entered through the same door, second factor included, as everything else.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]
keep_only_ours(admin.site)

handler400 = views.bad_request
handler403 = views.forbidden
handler404 = views.not_found
handler500 = views.failed

api.api.add_router("", "stores.api.router")
api.api.add_router("", "providers.api.router")

portal_patterns = [
    path("team/", team_views.team, name="team"),
    path("team/switch/", views.switch_team, name="switch_team"),
    path("team/example/load/", example.load, name="load_example"),
    path("team/<str:id>/example/remove/", example.remove, name="remove_example"),
    path("team/members/add/", team_views.add_member, name="add_member"),
    path("team/members/<str:id>/invite/", team_views.invite_again, name="invite_again"),
    path("team/members/<str:id>/role/", team_views.change_role, name="change_role"),
    path("team/members/<str:id>/remove/", team_views.remove_member, name="remove_member"),
    path("team/tokens/", team_views.api_tokens, name="tokens"),
    path("team/tokens/<str:id>/revoke/", team_views.revoke_token, name="revoke_token"),
    path("team/audit/", team_views.audit, name="audit"),
    path("team/audit/csv/", team_views.audit_csv, name="audit_csv"),
]
urlpatterns = [
    path("favicon.ico", views.favicon, name="favicon"),
    path("health/live", health.live, name="health_live"),
    path("health/ready", health.ready, name="health_ready"),
    path("accounts/once/<str:token>/", one_time.welcome, name="once"),
    path("accounts/profile/", profile.profile, name="profile"),
    path("accounts/email/", accounts.email, name="account_email"),
    path("accounts/", include("allauth.urls")),
    path("admin/told-nobody/", admin.site.admin_view(untold.told_nobody), name="told_nobody"),
    path("admin/mail/", admin.site.admin_view(kept_mail.mail), name="mail"),
    path("admin/", admin.site.urls),
    path("api/v1/", api_page.description, name="api_page"),
    path("api/v1/", (api.addresses(), "ninja", "api")),
    path("", include((portal_patterns, "portal"))),
    path("", include("stores.urls")),
    path("", include("providers.urls")),
]
