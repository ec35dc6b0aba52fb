"""Addresses of providers and hosts (DESIGN section 12)."""

from __future__ import annotations

from django.urls import path

from providers.views import choices, hosts, providers, reports

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
    path("hosts/", hosts.hosts, name="hosts"),
    path("hosts.csv", hosts.export, name="hosts_csv"),
    path("hosts/new/", hosts.new, name="host_new"),
    path("hosts/<str:id>/", hosts.host, name="host"),
    path("hosts/<str:id>/edit/", hosts.edit, name="host_edit"),
    path("hosts/<str:id>/delete/", hosts.delete, name="host_delete"),
]
