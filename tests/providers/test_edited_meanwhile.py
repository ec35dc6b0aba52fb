"""A provider is edited while it is tested: what the old server shows must not be written onto the new connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.audit import SYSTEM
from providers import rehearsals, services, testing
from providers.models import Alert, Change, ConnectionReport, OverlapProof, Provider
from stores.models import Version
from tests.cast import Cast, client_of, kept
from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.providers.trial import (
    ask,
    backend,
    client_ca,
    days,
    orders,
    report_of,
    server_ca,
    shown,
    trusted,
)  # fmt: skip
from tests.running import free_port

__all__ = ["backend", "client_ca", "orders", "server_ca", "shown", "trusted"]
pytestmark = pytest.mark.django_db(transaction=True)
Reason = ConnectionReport.Reason
Edit = Callable[[Provider], None]


@pytest.fixture
def slow(tmp_path: Path, server_ca: Minted, client_ca: Minted, orders: Provider) -> Iterator[Backend]:
    """The server of `orders`; it answers once `go` is set."""
    leaf = mint("slow backend", server_ca, begin=days(-1), end=days(60), hosts=("127.0.0.1",))
    one = Backend(tmp_path, leaf, client_ca, hold=True)
    Provider.objects.filter(pk=orders.pk).update(port=one.port)
    orders.refresh_from_db()
    yield one
    one.close()


@pytest.fixture
def edited_at(monkeypatch: pytest.MonkeyPatch, slow: Backend, cast: Cast) -> Callable[..., None]:
    """Makes an edit as soon as the first step of a test is written, and only then lets the server answer."""

    def when_it_runs(edit: Edit, password: str = "open sesame") -> None:
        plain = testing._Round._write_steps

        def write(round_: Any, steps: Any) -> None:
            plain(round_, steps)
            if steps and not slow.go.is_set():
                provider = Provider.objects.get(name="orders")
                edit(provider)
                services.edit_provider(provider=provider, password=password, actor=cast.actor)
                slow.go.set()

        monkeypatch.setattr(testing._Round, "_write_steps", write)

    return when_it_runs


def to_port(number: int) -> Edit:
    return lambda provider: setattr(provider, "port", number)


def found(provider: Provider) -> list[Any]:
    """All that tests write of a provider."""
    row = Provider.objects.get(pk=provider.pk)
    return [getattr(row, name) for name in services.FOUND if name != "next_test_at"]


def untouched(provider: Provider) -> bool:
    return not (
        Change.objects.exists()
        or Alert.objects.exists()
        or OverlapProof.objects.exists()
        or Provider.objects.get(pk=provider.pk).last_good_id
    )


def test_what_the_old_server_showed_ends_as_its_own_result_and_changes_nothing(
    orders: Provider, slow: Backend, backend: Backend, edited_at: Callable[..., None], cast: Cast
) -> None:
    before = found(orders)
    edited_at(to_port(backend.port))
    report = report_of(orders)
    assert slow.requests and not backend.requests, "the old server did answer"
    assert (report.state, report.ok, report.code, report.details) == ("done", False, "edited_meanwhile", {})
    assert "Test again" in report.message
    assert found(orders) == before and untouched(orders)
    page = client_of(cast.editor).get(report.get_absolute_url()).content.decode()
    assert "The connection was edited while the test ran" in page and "No result" in page
    assert "Failed" not in page
    assert report_of(orders).ok, "the next test tries the new connection"
    assert backend.requests


@pytest.mark.parametrize(
    "edit",
    [
        lambda provider: setattr(provider, "server_name", "other.example.org"),
        lambda provider: setattr(provider, "check_host_name", False),
        lambda provider: setattr(provider, "trust_public", True),
        lambda provider: setattr(provider, "key_certificate", None),
        lambda provider: setattr(provider, "path_prefix", "/v2"),
        lambda provider: setattr(provider, "user_name", "somebody-else"),
        lambda provider: setattr(provider, "spki_pins", ["A" * 43 + "=", "B" * 43 + "="]),
        lambda provider: setattr(provider, "trust_certificate", provider.trust_store.certificates.get()),
    ],
)
def test_whatever_the_connection_is_made_of_counts(
    orders: Provider, slow: Backend, edited_at: Callable[..., None], edit: Edit
) -> None:
    edited_at(edit)
    assert report_of(orders).code == "edited_meanwhile"
    assert untouched(orders)


def test_a_new_title_is_no_other_connection(
    orders: Provider, slow: Backend, edited_at: Callable[..., None], cast: Cast
) -> None:
    edited_at(lambda provider: setattr(provider, "title", "Orders"), password="")
    assert report_of(orders).ok


def test_the_watch_counts_no_failure(orders: Provider, slow: Backend, edited_at: Callable[..., None]) -> None:
    at = days(1)
    Provider.objects.filter(pk=orders.pk).update(next_test_at=at)
    edited_at(to_port(free_port()))
    report_of(orders, reason=Reason.WATCH)
    orders.refresh_from_db()
    assert (orders.failures, orders.next_test_at) == (0, at)


class TestRehearsed:
    @pytest.fixture
    def staged(self, cast: Cast, shown: Version, client_ca: Minted) -> Version:
        leaf = mint("orders", client_ca, begin=days(-1), end=days(310))
        return kept(cast, leaf, client_ca, now=timezone.now(), at_once=False)

    def rehearsed(self, staged: Version) -> Any:
        rehearsal = rehearsals.begin(version=staged, actor=SYSTEM, now=timezone.now())
        while testing.run(now=timezone.now()):
            pass
        rehearsal.refresh_from_db()
        return rehearsal

    def test_the_new_connection_is_tried_in_its_place(
        self, orders: Provider, staged: Version, backend: Backend, edited_at: Callable[..., None]
    ) -> None:
        edited_at(to_port(backend.port))
        rehearsal = self.rehearsed(staged)
        assert rehearsal.outcome == "passed"
        assert [one.code for one in rehearsal.reports.order_by("asked_at", "id")] == [
            "edited_meanwhile",
            "ok",
        ]
        assert rehearsal.unproven == []

    def test_who_uses_it_no_longer_neither_passes_nor_fails(
        self, orders: Provider, staged: Version, edited_at: Callable[..., None], cast: Cast
    ) -> None:
        edited_at(lambda provider: setattr(provider, "key_certificate", None))
        rehearsal = self.rehearsed(staged)
        assert rehearsal.outcome == "unproven"
        assert [one["title"] for one in rehearsal.unproven] == ["orders"]
        page = (
            client_of(cast.editor).get(reverse("providers:rehearsal", args=[rehearsal.pk])).content.decode()
        )
        assert "Nothing could be tried from here" in page


def test_after_an_activation_the_new_connection_is_tested(
    orders: Provider, slow: Backend, shown: Version, edited_at: Callable[..., None]
) -> None:
    """The edit leads where nothing listens: that is what the alert tells of, and not the edit."""
    ok = ask(orders)
    ConnectionReport.objects.filter(pk=ok.pk).update(
        state="done", ok=True, code="ok", asked_at=days(-1), finished_at=shown.activated_at
    )
    edited_at(to_port(free_port()))
    ask(orders, reason=Reason.ACTIVATION, activated=shown)
    while testing.run(now=timezone.now()):
        pass
    codes = [one.code for one in orders.reports.filter(reason=Reason.ACTIVATION).order_by("asked_at", "id")]
    assert codes == ["edited_meanwhile", "connection_refused"]
    assert Alert.objects.get().code == "connection_refused"
