"""The pages of connection tests: what they say, to whom, and what they never say."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.html import escape

from portal.models import TaskRun, User
from providers.connection.report import CODES
from providers.models import ConnectionReport, Provider
from providers.wording import HEADLINES, headline
from stores.models import Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, Minted, mint
from tests.providers.conftest import Register
from tests.providers.reported import FINE, HOST, UNTRUSTED, reported
from tests.test_query_counts import MOST_OF_A_PAGE, reading

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ADDRESSES = (HOST, "192.0.2.7", "198.51.100.9")


@pytest.fixture
def root() -> Minted:
    return mint("Example Root R1", ca=True, end=3000)


@pytest.fixture
def chain(root: Minted) -> tuple[Minted, Minted]:
    issuing = mint("Backend Issuing CA", root, ca=True, end=700)
    return mint(HOST, issuing, end=20, hosts=(HOST,)), issuing


@pytest.fixture
def trusted(cast: Cast, root: Minted) -> Version:
    return kept(cast, root, name="example-root", store="partners", kind="trust")


@pytest.fixture
def orders(register: Register, cast: Cast, trusted: Version) -> Provider:
    return register(host=HOST, key_certificate=kept(cast).certificate, trust_store=trusted.certificate.store)


@pytest.fixture
def report(orders: Provider, cast: Cast, chain: Any, root: Minted) -> ConnectionReport:
    shown = Version.objects.get(certificate=orders.key_certificate)
    return reported(orders, NOW, *chain, anchor=root, shown=shown, asked_by=cast.editor)


def page_of(user: User, address: Any) -> str:
    answer: Any = client_of(user).get(address if isinstance(address, str) else address.get_absolute_url())
    assert answer.status_code == 200
    return str(answer.content.decode())


def waiting(provider: Provider, **fields: Any) -> ConnectionReport:
    return ConnectionReport.objects.create(
        **{"team": provider.team, "provider": provider, "reason": "asked", "asked_at": NOW} | fields
    )


class TestAsking:
    def test_the_button_makes_one_report_and_shows_it(self, orders: Provider, cast: Cast) -> None:
        browser = client_of(cast.editor)
        address = reverse("providers:test", args=[orders.pk])
        assert f'action="{address}"' in page_of(cast.editor, orders)
        answers = [browser.post(address) for _ in range(2)]
        row = ConnectionReport.objects.get()
        assert {answer.headers["Location"] for answer in answers} == {row.get_absolute_url()}
        assert (row.asked_by, row.reason, row.state) == (cast.editor, "asked", "waiting")

    def test_a_viewer_has_no_button_and_a_get_tests_nothing(self, orders: Provider, cast: Cast) -> None:
        address = reverse("providers:test", args=[orders.pk])
        assert address not in page_of(cast.viewer, orders)
        assert client_of(cast.viewer).post(address).status_code == 403
        assert client_of(cast.editor).get(address).status_code == 405
        assert not ConnectionReport.objects.exists()

    def test_on_premise_it_says_why_there_is_no_button(self, register: Register, cast: Cast) -> None:
        provider = register(type="on_premise", location_id="berlin")
        address = reverse("providers:test", args=[provider.pk])
        for page in (provider, reverse("providers:reports", args=[provider.pk])):
            for user in (cast.editor, cast.viewer):
                text = page_of(user, page)
                assert address not in text and "Not tested from here" in text and "connector" in text
        refused: Any = client_of(cast.editor).post(address)
        assert refused.status_code == 400 and "connector" in refused.content.decode()

    def test_an_address_that_policy_forbids_is_said_to_those_who_may_see_it(
        self, register: Register, cast: Cast
    ) -> None:
        provider = register(host="10.1.2.3")
        assert "10.1.2.3 is not a public address" in page_of(cast.editor, provider)
        seen = page_of(cast.viewer, provider)
        assert "The portal may not connect to this address." in seen and "10.1.2.3" not in seen


class TestReport:
    def test_it_says_all_that_was_seen(self, report: ConnectionReport, cast: Cast, trusted: Version) -> None:
        text = page_of(cast.editor, report)
        for said in (
            "The connection works", f"Two-way TLS with {HOST} works.", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "13 ms", "&lt; 1 ms",
            "Backend Issuing CA", "Example Root R1", "not sent by the server; it is in your trust store",
            trusted.certificate.get_absolute_url(), "sent and accepted", "version 1", "CN=Example Issuing CA 2", "192.0.2.7",
            str(cast.editor),
        ):  # fmt: skip
            assert said in text, said
        assert "hx-get" not in text

    def test_a_viewer_sees_the_result_without_addresses(self, report: ConnectionReport, cast: Cast) -> None:
        text = page_of(cast.viewer, report)
        assert "The connection works" in text and "Host name" in text and "TLSv1.3" in text
        assert "2 certificates" in text
        assert not [address for address in ADDRESSES if address in text]

    def test_a_failure_names_its_side_and_what_to_do(self, orders: Provider, chain: Any, cast: Cast) -> None:
        row = reported(orders, NOW, *chain, found=UNTRUSTED)
        text = page_of(cast.editor, row)
        for said in (
            escape(headline("untrusted_issuer")),
            "Add that root to the trust store.",
            "Ours to change",
            "none matched",
        ):
            assert said in text, said
        assert HOST not in page_of(cast.viewer, row)

    def test_a_refused_certificate_of_ours_is_not_said_to_be_accepted(
        self, orders: Provider, chain: Any, cast: Cast
    ) -> None:
        refused = dataclasses.replace(FINE, ok=False, code="client_certificate_unknown_ca", side="theirs")
        assert "sent and refused" in page_of(cast.editor, reported(orders, NOW, *chain, found=refused))

    def test_a_certificate_that_ends_in_the_public_roots_is_said_so(
        self, register: Register, chain: Any, root: Minted, cast: Cast
    ) -> None:
        row = reported(register(name="public"), NOW, *chain, anchor=root)
        text = page_of(cast.editor, row)
        assert "it is one of the system's public roots" in text

    def test_what_a_server_writes_is_shown_harmlessly(self, orders: Provider, chain: Any, cast: Cast) -> None:
        steps = [{"name": "HTTP", "ok": False, "seconds": 0.1, "detail": "<script>alert(1)</script>\u202e"}]
        row = reported(orders, NOW, *chain, message="<b>bold</b>", steps=steps)
        text = page_of(cast.editor, row)
        assert "<script>alert" not in text and "\u202e" not in text and "<b>bold" not in text

    def test_one_that_was_cut_short_says_so_to_everybody(self, orders: Provider, cast: Cast) -> None:
        row = waiting(
            orders, state="done", ok=False, code="interrupted", finished_at=NOW, message="The test was cut short: test again."
        )  # fmt: skip
        for user in (cast.editor, cast.viewer):
            assert "test again" in page_of(user, row)


class TestWhileItRuns:
    def test_the_page_asks_for_itself_and_has_a_link_without_script(
        self, orders: Provider, cast: Cast
    ) -> None:
        row = waiting(orders, state="running", started_at=NOW, steps=UNTRUSTED.to_dict()["steps"][:2])
        text = page_of(cast.editor, row)
        assert f'hx-get="{row.get_absolute_url()}" hx-trigger="every 1s"' in text
        assert "Look again" in text and "The test runs: TCP done" in text

    def test_it_says_when_no_worker_comes(self, orders: Provider, cast: Cast) -> None:
        fresh = page_of(cast.editor, waiting(orders))
        assert "No worker" not in fresh
        ConnectionReport.objects.all().delete()
        assert "No worker yet" in page_of(
            cast.editor, waiting(orders, asked_at=NOW - dt.timedelta(minutes=1))
        )

    def test_it_says_so_at_once_when_the_watch_is_overdue(self, orders: Provider, cast: Cast) -> None:
        long_ago = NOW - dt.timedelta(days=1)
        TaskRun.objects.create(task="stores.tasks.find_expiring", started_at=long_ago, finished_at=long_ago)
        assert "No worker runs" in page_of(cast.editor, waiting(orders))

    def test_the_provider_says_that_it_runs(self, orders: Provider, cast: Cast) -> None:
        row = waiting(orders)
        text = page_of(cast.viewer, orders)
        assert row.get_absolute_url() in text and "Waiting" in text


class TestList:
    def test_every_test_with_why_who_and_what(
        self, report: ConnectionReport, orders: Provider, chain: Any, cast: Cast
    ) -> None:
        row = reported(orders, NOW - dt.timedelta(days=1), *chain, found=UNTRUSTED, reason="watch")
        text = page_of(cast.viewer, reverse("providers:reports", args=[orders.pk]))
        for said in (
            "The connection works",
            escape(headline("untrusted_issuer")),
            "Drift watch",
            "Asked for",
            "Storekeeper",
        ):
            assert said in text, said
        assert text.index(report.pk) < text.index(row.pk)
        assert HOST not in text

    def test_before_the_first_it_says_what_a_test_is(self, orders: Provider, cast: Cast) -> None:
        assert "Never tested" in page_of(cast.viewer, reverse("providers:reports", args=[orders.pk]))
        assert "Never tested" in page_of(cast.viewer, orders)

    def test_the_overview_says_how_the_last_one_went(
        self, report: ConnectionReport, orders: Provider, cast: Cast
    ) -> None:
        text = page_of(cast.viewer, orders)
        assert "Passed" in text and report.get_absolute_url() in text


class TestCompare:
    @pytest.fixture
    def both(self, report: ConnectionReport, orders: Provider, chain: Any) -> tuple[str, str]:
        before = reported(orders, NOW - dt.timedelta(days=1), chain[0], found=UNTRUSTED)
        return report.pk, before.pk

    def compared(self, user: User, provider: Provider, a: str, b: str) -> Any:
        return client_of(user).get(reverse("providers:compare", args=[provider.pk]), {"a": a, "b": b})

    def test_differences_are_marked_and_the_older_one_comes_first(
        self, both: tuple[str, str], orders: Provider, cast: Cast
    ) -> None:
        answer = self.compared(cast.editor, orders, *both)
        rows = {row.label: row for row in answer.context["rows"]}
        assert (rows["Protocol"].first, rows["Protocol"].second) == ("TLSv1.2", "TLSv1.3")
        assert rows["Protocol"].differs and rows["Certificates sent"].differs
        assert not rows["Server's certificate"].differs and not rows["Cipher"].differs
        text = answer.content.decode()
        assert text.count("differs") == sum(row.differs for row in rows.values())
        assert HOST in text and ("HTTP", "not reached", "20 ms") in answer.context["times"]

    def test_what_a_test_never_came_to_know_does_not_differ(
        self, report: ConnectionReport, orders: Provider, cast: Cast
    ) -> None:
        cut = waiting(
            orders, state="done", ok=False, code="interrupted", finished_at=NOW, message="Cut short."
        )
        rows = {
            row.label: row for row in self.compared(cast.editor, orders, report.pk, cut.pk).context["rows"]
        }
        assert {rows["Protocol"].first, rows["Protocol"].second} == {"TLSv1.3", "not known"}
        assert [label for label, row in rows.items() if row.differs] == ["Diagnosis", "Our version"]

    def test_a_viewer_compares_without_addresses(
        self, both: tuple[str, str], orders: Provider, cast: Cast
    ) -> None:
        answer = self.compared(cast.viewer, orders, *both)
        assert answer.status_code == 200 and HOST not in answer.content.decode()

    def test_anything_else_than_two_of_its_finished_tests_leads_back(
        self, both: tuple[str, str], orders: Provider, register: Register, cast: Cast, chain: Any
    ) -> None:
        a, b = both
        stranger = reported(register(name="other"), NOW, *chain).pk
        running = waiting(orders).pk
        for pair in ((a, a), (a, ""), ("", ""), (a, "nothing"), (a, stranger), (a, running)):
            answer = self.compared(cast.editor, orders, *pair)
            assert answer.status_code == 302, pair
            assert answer.headers["Location"] == reverse("providers:reports", args=[orders.pk])
        assert self.compared(cast.editor, orders, a, b).status_code == 200


class TestCost:
    @pytest.fixture
    def browser(
        self, cast: Cast, report: ConnectionReport, orders: Provider, chain: Any, root: Minted
    ) -> Client:
        for day in range(1, 20):
            reported(orders, NOW - dt.timedelta(days=day), *chain, anchor=root, asked_by=cast.owner)
        return client_of(cast.owner)

    def test_pages_ask_little(self, browser: Client, report: ConnectionReport, orders: Provider) -> None:
        other = orders.reports.last()
        assert other
        for address in (
            report.get_absolute_url(),
            reverse("providers:reports", args=[orders.pk]),
            f"{reverse('providers:compare', args=[orders.pk])}?a={report.pk}&b={other.pk}",
        ):
            asked = reading(browser, address)
            assert len(asked) <= MOST_OF_A_PAGE, (address, asked)


def test_every_code_has_a_headline() -> None:
    assert not [code for code in CODES if code not in HEADLINES]
