"""A gateway from its registration to what runs there, in a real browser."""

from __future__ import annotations

import json
import re

import pytest

from providers.models import Gateway
from tests.browser.conftest import Visit
from tests.browser.world import make_world
from tests.cast import Cast

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_gateway_is_registered_and_its_token_is_shown_once(visit: Visit, cast: Cast) -> None:
    world = make_world(cast)
    page = visit("/hosts/", cast.owner)
    page.get_by_role("link", name="Gateways between them").click()
    page.get_by_role("link", name="Register a gateway").click()
    page.get_by_label("Name").fill("edge-2")
    page.get_by_role("button", name="Save").first.click()
    page.get_by_text("Choose at least one host or provider").wait_for()
    page.get_by_label(str(world.host)).check()
    page.get_by_label(str(world.provider)).check()
    page.get_by_role("button", name="Save").first.click()
    page.get_by_role("button", name="Make a token").click()
    token = page.locator(".message pre").inner_text()
    assert re.fullmatch(r"skg_[\w-]{43}", token)
    bootstrap = json.loads(page.locator("details pre").inner_text())
    assert token in json.dumps(bootstrap)
    page.goto(Gateway.objects.get(name="edge-2").get_absolute_url())
    assert token not in page.content()
