"""The drift watch: each provider is tested once in its interval, spread over it, sooner after a failure, whatever is killed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from django.utils import timezone

from portal.models import TaskRun
from providers import services, tasks, testing, watching
from providers.models import Change, ConnectionReport, Provider
from providers.schedule import PAUSES, next_slot, retry_at
from providers.watching import BATCH, Watched, watch
from tests.cast import Cast, client_of
from tests.material import NOW, SERVER, mint
from tests.providers.backends import Switch, days, run_tests
from tests.providers.conftest import Register
from tests.providers.seen import seen
from tests.stores.crashing import MOST, survives
from tests.together import together

DAY = dt.timedelta(days=1)
MINUTE = dt.timedelta(minutes=1)
State, Reason = ConnectionReport.State, ConnectionReport.Reason


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run what waits themselves."""
    monkeypatch.setattr(testing, "queue", lambda: None)


def many(cast: Cast, count: int, **fields: object) -> None:
    """Providers that are due now."""
    values = {"next_test_at": NOW, "host": "h.example.org"} | fields
    Provider.objects.bulk_create(
        Provider(team=cast.team, name=f"p{number}", folded_name=f"p{number}", **values)
        for number in range(count)
    )


def asked() -> int:
    return ConnectionReport.objects.filter(reason=Reason.WATCH).count()


def answered(now: dt.datetime) -> None:
    """All that wait are done, and passed."""
    waiting = ConnectionReport.objects.exclude(state=State.DONE)
    waiting.update(state=State.DONE, ok=True, code="ok", finished_at=now)


class TestSchedule:
    def test_a_slot_lies_ahead_within_the_interval_and_is_the_same_each_day(self) -> None:
        first = next_slot("abc", NOW, DAY)
        assert NOW < first <= NOW + DAY
        assert next_slot("abc", first, DAY) == first + DAY
        assert next_slot("abc", first - MINUTE, DAY) == first

    def test_many_providers_are_spread_over_the_day(self) -> None:
        hours = [next_slot(f"id-{number}", NOW, DAY).hour for number in range(2400)]
        assert {hours.count(hour) for hour in range(24)} <= set(range(50, 150))

    def test_after_failures_it_is_sooner_then_later_and_then_daily(self) -> None:
        slot = next_slot("abc", NOW, DAY)
        just_after = slot + MINUTE
        waits = [retry_at("abc", failures, just_after, DAY) - just_after for failures in range(1, 6)]
        assert waits == [*PAUSES, DAY - MINUTE, DAY - MINUTE]

    def test_it_is_never_later_than_the_slot(self) -> None:
        slot = next_slot("abc", NOW, DAY)
        assert retry_at("abc", 2, slot - MINUTE, DAY) == slot


@pytest.mark.django_db
@pytest.mark.usefixtures("now")
class TestWatch:
    def test_a_new_provider_is_planned_and_asked_for_when_its_instant_has_come(
        self, register: Register
    ) -> None:
        orders = register()
        assert watch(NOW) == Watched(planned=1)
        orders.refresh_from_db()
        slot = next_slot(orders.pk, NOW, DAY)
        assert orders.next_test_at == slot
        assert watch(slot - MINUTE) == Watched()
        assert watch(slot) == Watched(asked=1)
        assert watch(slot) == Watched()
        orders.refresh_from_db()
        assert orders.next_test_at == slot + DAY
        report = ConnectionReport.objects.get()
        assert (report.reason, report.state, report.asked_by) == ("watch", "waiting", None)

    def test_plain_http_is_watched_as_well(self, register: Register) -> None:
        register(use_tls=False, port=80)
        assert watch(NOW).planned == 1

    @pytest.mark.parametrize("fields", [{"is_watched": False}, {"type": "on_premise"}])
    def test_who_is_not_to_be_watched_never_is(self, register: Register, fields: dict[str, object]) -> None:
        register(**fields)
        assert watch(NOW) == Watched()

    def test_who_is_watched_no_longer_has_no_instant(self, register: Register, cast: Cast) -> None:
        orders = register()
        watch(NOW)
        orders.refresh_from_db()
        orders.is_watched = False
        services.edit_provider(provider=orders, actor=cast.actor)
        assert Provider.objects.get().next_test_at is None
        assert watch(NOW + 2 * DAY) == Watched()

    def test_an_edit_leaves_the_instant_alone(self, register: Register, cast: Cast) -> None:
        orders = register()
        shown = services.state_of(orders)
        watch(NOW)
        orders.title = "Orders API"
        services.edit_provider(provider=orders, seen=shown, actor=cast.actor)
        assert Provider.objects.get().next_test_at == next_slot(orders.pk, NOW, DAY)

    def test_what_the_address_policy_forbids_is_left_out_and_stays_planned(self, cast: Cast) -> None:
        many(cast, 1, host="169.254.169.254")
        assert watch(NOW) == Watched()
        assert Provider.objects.filter(next_test_at__gt=NOW).exists()
        assert asked() == 0

    def test_the_run_is_recorded(self, cast: Cast) -> None:
        many(cast, 2)
        tasks.watch_connections()
        run = TaskRun.objects.get(task="providers.tasks.watch_connections")
        assert run.facts == {"planned": 0, "asked": 2}
        assert run.finished_at


@pytest.mark.django_db
@pytest.mark.usefixtures("now")
class TestBackOff:
    def fail(self, provider: Provider, now: dt.datetime) -> dt.datetime:
        """The watch fails at that instant; when it tries again."""
        seen(provider, code="timeout", now=now)
        provider.refresh_from_db()
        assert provider.next_test_at
        return provider.next_test_at

    def test_failures_of_the_watch_bring_the_next_test_forward_until_one_passes(
        self, register: Register
    ) -> None:
        orders = register()
        watch(NOW)
        begin = next_slot(orders.pk, NOW, DAY) + MINUTE
        assert self.fail(orders, begin) == begin + PAUSES[0]
        assert self.fail(orders, begin + PAUSES[0]) == begin + PAUSES[0] + PAUSES[1]
        seen(orders, now=begin + 2 * PAUSES[1])
        orders.refresh_from_db()
        assert (orders.failures, orders.next_test_at) == (0, next_slot(orders.pk, begin, DAY))

    def test_a_test_that_somebody_asked_for_changes_nothing_when_it_fails(self, register: Register) -> None:
        orders = register()
        watch(NOW)
        seen(orders, code="timeout", reason="asked")
        orders.refresh_from_db()
        assert (orders.failures, orders.next_test_at) == (0, next_slot(orders.pk, NOW, DAY))

    def test_who_is_not_watched_is_not_planned_by_a_report(self, register: Register) -> None:
        orders = register(is_watched=False)
        seen(orders, code="timeout")
        assert Provider.objects.get().next_test_at is None


@pytest.mark.django_db
@pytest.mark.usefixtures("now")
class TestOutage:
    def test_after_a_day_all_are_caught_up_with_bit_by_bit_each_once(self, cast: Cast) -> None:
        many(cast, 250)
        back, runs = NOW + DAY, []
        while asked() < 250:
            runs.append(watch(back).asked)
            assert watch(back).asked == 0, "more than a batch would wait"
            answered(back)
        assert runs == [BATCH, BATCH, 50]
        assert watch(back) == Watched()
        assert ConnectionReport.objects.values("provider").distinct().count() == 250

    def test_while_no_worker_runs_what_waits_does_not_pile_up(self, cast: Cast) -> None:
        many(cast, 250)
        for days_later in range(3):
            watch(NOW + days_later * DAY)
        assert asked() == BATCH

    def test_a_worker_that_dies_with_a_test_is_followed_by_another_test_soon(
        self, register: Register
    ) -> None:
        orders = register()
        watch(NOW)
        slot = next_slot(orders.pk, NOW, DAY)
        watch(slot)
        ConnectionReport.objects.update(state=State.RUNNING, started_at=slot)
        testing.resume(slot + 5 * MINUTE)
        orders.refresh_from_db()
        assert orders.next_test_at == slot + 5 * MINUTE + PAUSES[0]
        assert not Change.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("now")
class TestTogether:
    def test_ten_workers_at_once_ask_for_each_test_once(self, cast: Cast) -> None:
        many(cast, 30)
        done = together(*[lambda: watch(NOW)] * 10)
        assert sum(one.asked for one in done) == asked() == 30
        assert ConnectionReport.objects.values("provider").distinct().count() == 30

    def test_killed_at_any_instant_it_asks_for_each_test_once_in_the_end(self, cast: Cast) -> None:
        many(cast, 2)
        for instant in range(1, MOST):
            if survives(lambda: watch(NOW), instant):
                break
        assert asked() == 2
        assert Provider.objects.filter(next_test_at__gt=NOW).count() == 2


@pytest.mark.django_db
class TestRealServer:
    @pytest.fixture
    def switch(self, cast: Cast) -> Iterator[Switch]:
        one = Switch(cast)
        yield one
        one.close()

    def test_a_server_that_changes_its_certificate_between_two_runs_is_noticed(self, switch: Switch) -> None:
        provider = switch.provider("orders")
        for run in range(2):
            Provider.objects.update(next_test_at=timezone.now())
            assert watching.watch(timezone.now()).asked == 1
            assert run_tests() == 1
            assert Change.objects.exists() == bool(run)
            switch.backends[0].shown = mint(
                "backend.test", switch.root, begin=days(-1), end=days(90), usages=(SERVER,), hosts=("127.0.0.1",),
                key_name="another key",
            )  # fmt: skip
        assert [one.kind for one in provider.changes.order_by("kind")] == ["chain", "key"]
        chain = provider.changes.get(kind="chain")
        assert "issued by CN=Backend Root" in chain.before
        assert f"until {days(90):%d %b %Y}" in chain.after


@pytest.mark.django_db
class TestSwitch:
    def test_the_form_turns_the_watch_of_one_provider_off_and_on(
        self, cast: Cast, typed: dict[str, str], register: Register
    ) -> None:
        orders, browser = register(), client_of(cast.editor)
        address = f"/providers/{orders.pk}/edit/"
        assert "Test this connection daily" in browser.get(address).content.decode()
        plain = {name: typed[name] for name in ("name", "type", "host", "port", "use_tls")}
        for more in ({}, {"is_watched": "on"}):
            form = plain | {"authentication": "none", "check_host_name": "on", "do": "save"} | more
            assert browser.post(address, form).status_code == 302
            orders.refresh_from_db()
            assert orders.is_watched == bool(more)
