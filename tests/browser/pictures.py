"""Takes the pictures of README and docs: `make pictures`. No test: it is collected only when it is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.browser.conftest import DESKTOP, PHONE, Visit
from tests.browser.test_pages import review_of
from tests.browser.world import make_world
from tests.cast import Cast

IMAGES = Path(__file__).parents[2] / "docs" / "images"


@pytest.mark.django_db(transaction=True)
def test_pictures(visit: Visit, cast: Cast) -> None:
    from django.utils import timezone

    from portal.models import TaskRun

    world = make_world(cast)
    now = timezone.now()
    TaskRun.objects.update_or_create(
        task="stores.tasks.find_expiring", defaults={"started_at": now, "finished_at": now, "seconds": 0.009}
    )
    pages = {
        "dashboard": "/",
        "certificates": "/certificates/",
        "certificate": world.urgent.certificate.get_absolute_url(),
        "review": review_of(world),
        "upload": "/certificates/new/",
        "provider": world.provider.get_absolute_url(),
        "replace": "/replace/",
    }
    desk, phone = (
        visit("/", cast.owner, viewport=viewport, dark=dark)
        for viewport, dark in ((DESKTOP, False), (PHONE, True))
    )
    for name, address in pages.items():
        desk.goto(address)
        desk.screenshot(path=IMAGES / f"{name}.png")
    phone.goto("/")
    phone.screenshot(path=IMAGES / "dashboard-phone-dark.png")
