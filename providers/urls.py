"""Addresses of providers and hosts (DESIGN section 12)."""

from __future__ import annotations

from django.urls import path

from providers.views import (
    alerts,
    changes,
    choices,
    handover,
    hosts,
    overlaps,
    pins,
    providers,
    rehearsals,
    reports,
    share,
)

app_name = "providers"
urlpatterns = [
    path("providers/", providers.providers, name="providers"),
    path("providers.csv", providers.export, name="providers_csv"),
    path("providers/new/", providers.new, name="new"),
    path("providers/choices/<str:id>/", choices.choices, name="choices"),
    path("providers/preview/<str:id>/", providers.preview, name="preview"),
    path("providers/<str:id>/", providers.provider, name="provider"),
    path("providers/<str:id>/edit/", providers.edit, name="edit"),
    path("providers/<str:id>/delete/", providers.delete, name="delete"),
    path("providers/<str:id>/test/", reports.test, name="test"),
    path("providers/<str:id>/connection/", reports.reports, name="reports"),
    path("providers/<str:id>/compare/", reports.compare, name="compare"),
    path("providers/reports/<str:id>/", reports.report, name="report"),
    path("providers/<str:id>/changes/", changes.changes, name="changes"),
    path("providers/<str:id>/pins/", pins.pins, name="pins"),
    path("providers/<str:id>/pins/keep/", pins.keep, name="pins_keep"),
    path("providers/<str:id>/pins/remove/", pins.remove, name="pins_remove"),
    path("providers/<str:id>/share/", share.pages, name="share"),
    path("providers/<str:id>/share/new/", share.make, name="share_make"),
    path("providers/share/<str:id>/revoke/", share.revoke, name="share_revoke"),
    path("share/<str:token>/", handover.handover, name="handover"),
    path("share/<str:token>/installed/", handover.installed, name="handover_installed"),
    path("share/<str:token>/trust.pem", handover.trust, name="handover_trust"),
    path("share/<str:token>/<str:sha256>.<str:form>", handover.certificate, name="handover_certificate"),
    path("providers/alerts/<str:id>/restore/", alerts.restore, name="alert_restore"),
    path("providers/alerts/<str:id>/dismiss/", alerts.dismiss, name="alert_dismiss"),
    path("certificates/versions/<str:id>/rehearse/", rehearsals.begin, name="rehearse"),
    path("certificates/rehearsals/<str:id>/", rehearsals.rehearsal, name="rehearsal"),
    path("certificates/rehearsals/<str:id>/activate/", rehearsals.activate_anyway, name="activate_anyway"),
    path("providers/overlaps/<str:id>/", overlaps.overlap, name="overlap"),
    path("providers/overlaps/<str:id>/close/", overlaps.close, name="overlap_close"),
    path("providers/overlaps/<str:id>/by-itself/", overlaps.by_itself, name="overlap_by_itself"),
    path("hosts/", hosts.hosts, name="hosts"),
    path("hosts.csv", hosts.export, name="hosts_csv"),
    path("hosts/new/", hosts.new, name="host_new"),
    path("hosts/<str:id>/", hosts.host, name="host"),
    path("hosts/<str:id>/edit/", hosts.edit, name="host_edit"),
    path("hosts/<str:id>/delete/", hosts.delete, name="host_delete"),
]
