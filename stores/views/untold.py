"""For the administrators of the site: what could be told to nobody, and in which team."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from stores.models import Notice
from stores.prompts import HEAVY

MOST = 100


def told_nobody(request: HttpRequest) -> HttpResponse:
    """The latest first; each goes by itself once its team has an owner who can be told."""
    heavy = [f"flag__version__{name}" for name in (*HEAVY, "certificate__search_text")]
    rows = Notice.objects.for_nobody().select_related("team", "flag__version__certificate").defer(*heavy)
    found = list(rows.order_by("-created_at", "-pk")[: MOST + 1])
    context = admin.site.each_context(request) | {
        "title": "Told to nobody",
        "rows": found[:MOST],
        "more": len(found) > MOST,
    }
    return render(request, "admin/told_nobody.html", context)
