"""Addresses of certificates, stores and what is watched about them (DESIGN section 12)."""

from __future__ import annotations

from django.urls import path

from stores.views import (
    cases,
    certificate,
    dashboard,
    download,
    feeds,
    lists,
    metrics,
    notices,
    store,
    upload,
    version,
)

app_name = "stores"
urlpatterns = [
    path("", dashboard.dashboard, name="dashboard"),
    path("replace/", cases.cases, name="cases"),
    path("notices/", notices.notices, name="notices"),
    path("notices/read/", notices.read_all, name="notices_read"),
    path("notices/<str:id>/read/", notices.read, name="notice_read"),
    path("notices/feeds/", feeds.show, name="feeds"),
    path("notices/feeds/<str:id>/revoke/", feeds.revoke, name="feed_revoke"),
    path("feeds/<str:token>/calendar.ics", feeds.calendar_of, name="feed_calendar"),
    path("feeds/<str:token>/notices.atom", feeds.notices_of, name="feed_notices"),
    path("metrics", metrics.metrics, name="metrics"),
    path("certificates/new/", upload.new, name="upload"),
    path("certificates/review/<str:id>/", upload.review, name="review"),
    path("certificates/<str:id>/replace/", upload.replace, name="replace"),
    path("certificates/", lists.certificates, name="certificates"),
    path("certificates/csv/", lists.certificates_csv, name="certificates_csv"),
    path("certificates/<str:id>/", certificate.overview, name="certificate"),
    path("certificates/<str:id>/versions/", certificate.versions, name="certificate_versions"),
    path("certificates/<str:id>/used-by/", certificate.used_by, name="certificate_used_by"),
    path("certificates/<str:id>/history/", certificate.history, name="certificate_history"),
    path("certificates/<str:id>/compare/", certificate.compared, name="certificate_compare"),
    path("certificates/<str:id>/edit/", certificate.edit, name="certificate_edit"),
    path("certificates/<str:id>/delete/", certificate.delete, name="certificate_delete"),
    path("certificates/<str:id>/download/<str:form>/", download.certificate, name="certificate_download"),
    path("certificates/versions/<str:id>/", version.show, name="version"),
    path("certificates/versions/<str:id>/activate/", version.activate, name="version_activate"),
    path("certificates/versions/<str:id>/discard/", version.discard, name="version_discard"),
    path("certificates/versions/<str:id>/schedule/", version.schedule, name="version_schedule"),
    path("certificates/versions/<str:id>/purge/", version.purge, name="version_purge"),
    path("certificates/versions/<str:id>/export-key/", version.export_key, name="version_export_key"),
    path("certificates/versions/<str:id>/download/<str:form>/", download.version, name="version_download"),
    path("stores/", store.stores, name="stores"),
    path("stores/csv/", store.stores_csv, name="stores_csv"),
    path("stores/new/", store.new, name="store_new"),
    path("stores/<str:id>/", store.store, name="store"),
    path("stores/<str:id>/edit/", store.edit, name="store_edit"),
    path("stores/<str:id>/delete/", store.delete, name="store_delete"),
    path("stores/<str:id>/download/", download.store, name="store_download"),
]
