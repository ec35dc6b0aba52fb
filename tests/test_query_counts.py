"""How often the pages that people wait for ask the database: what grows here is noticed before anybody waits."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from stores import watch
from tests.bench.populate import populate
from tests.cast import Cast, client_of
from tests.material import mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
MOST_OF_A_PAGE = 13
TRANSACTIONS = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE")


def questions(counted: CaptureQueriesContext) -> list[str]:
    """What was asked; SQLite logs where transactions begin and end as well, PostgreSQL does not."""
    asked = [query["sql"] for query in counted.captured_queries]
    return [sql for sql in asked if not sql.startswith(TRANSACTIONS)]


def reading(browser: Any, address: str) -> list[str]:
    with CaptureQueriesContext(connection) as counted:
        answer = browser.get(address)
    assert answer.status_code == 200
    return questions(counted)


class TestUpload:
    def test_choosing_a_file_and_saving_it_ask_little(self, cast: Cast) -> None:
        browser, leaf = client_of(cast.editor), mint("orders", mint("Example Root", ca=True))
        fields = {"kind": "key", "store_name": "outbound", "name": "orders-client"}
        file = SimpleUploadedFile("orders.pem", leaf.pem + leaf.key_pem)
        with CaptureQueriesContext(connection) as counted:
            review = browser.post("/certificates/new/", fields | {"file": file})
        assert review.status_code == 302
        assert len(questions(counted)) <= 6
        with CaptureQueriesContext(connection) as counted:
            answer = browser.post(
                review.headers["Location"],
                {"destination": "new", "name": "orders-client", "timing": "now", "do": "save"},
            )
        assert answer.status_code == 302
        assert len(questions(counted)) <= 21


class TestPages:
    """The same few questions for a handful and for more than a page, none of which counts everything."""

    @pytest.fixture(params=[3, 300])
    def browser(self, cast: Cast, request: pytest.FixtureRequest) -> Any:
        populate(cast.team, request.param, timezone.now())
        return client_of(cast.owner)

    @pytest.mark.parametrize("address", ["/", "/certificates/", "/certificates/?q=client", "/stores/"])
    def test_a_page_over_all_certificates_asks_little(self, browser: Any, address: str) -> None:
        asked = reading(browser, address)
        assert len(asked) <= MOST_OF_A_PAGE, asked
        assert not [sql for sql in asked if sql.startswith("SELECT COUNT(")]

    def test_the_page_of_one_certificate_asks_little(self, browser: Any, cast: Cast) -> None:
        certificate = cast.team.certificates.order_by("name")[0]
        asked = reading(browser, f"/certificates/{certificate.pk}/")
        assert len(asked) <= MOST_OF_A_PAGE, asked

    def test_a_scan_with_nothing_due_asks_once(self, cast: Cast) -> None:
        populate(cast.team, 300, timezone.now())
        with CaptureQueriesContext(connection) as counted:
            assert watch.find_due(timezone.now()) == watch.Found()
        assert len(questions(counted)) == 1
