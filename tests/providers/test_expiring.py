"""A provider's people are told of its server's certificate in time, each stage once."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, TaskRun
from providers import endings_seen, expiring, services, tasks
from providers.models import ConnectionReport, Provider
from stores.models import Notice
from tests.cast import Cast, client_of
from tests.material import NOW, Minted, mint
from tests.providers.seen import seen

DAY = dt.timedelta(days=1)
pytestmark = pytest.mark.usefixtures("now")


def server(end: float, begin: float = -200, name: str = "orders.partner.example") -> Minted:
    return mint(name, begin=begin, end=end)


@pytest.fixture
def provider(cast: Cast) -> Provider:
    return Provider.objects.create(
        team=cast.team, name="orders", title="Orders API", host="orders.partner.example"
    )


def told() -> list[str]:
    """Recipient and stage of what lies in inboxes, in the order of their telling."""
    rows = Notice.objects.filter(channel="portal", key__startswith="server:").order_by(
        "created_at", "recipient"
    )
    return [f"{row.recipient.partition('@')[0]} {row.key.rpartition(':')[2]}" for row in rows]


class TestStages:
    def test_nothing_is_told_before_the_first_stage(self, provider: Provider) -> None:
        seen(provider, server(end=100))
        assert expiring.find_due(NOW) == expiring.Found()
        assert told() == []

    def test_each_stage_is_told_once_when_its_instant_has_come(self, provider: Provider) -> None:
        seen(provider, server(end=100))
        for day in range(102):
            expiring.find_due(NOW + day * DAY)
            expiring.find_due(NOW + day * DAY)
        assert told() == ["owner notice", "owner warning", "owner urgent", "owner expired"]
        days = [
            (row.created_at - NOW).days
            for row in Notice.objects.filter(channel="portal").order_by("created_at")
        ]
        assert days == [40, 70, 93, 100]
        provider.refresh_from_db()
        assert (provider.server_stage, provider.server_next_stage_at) == ("expired", None)

    def test_the_nearer_the_end_the_more_are_told(self, cast: Cast, provider: Provider) -> None:
        Provider.objects.update(owner=cast.editor)
        seen(provider, server(end=100))
        for day in (40, 70, 93):
            expiring.find_due(NOW + day * DAY)
        assert told() == ["editor notice", "editor warning", "editor urgent", "owner urgent"]

    def test_after_an_outage_only_the_last_stage_is_told(self, provider: Provider) -> None:
        seen(provider, server(end=100))
        expiring.find_due(NOW + 95 * DAY)
        assert told() == ["owner urgent"]

    def test_a_server_that_is_seen_late_is_told_of_at_once(self, provider: Provider) -> None:
        seen(provider, server(end=5))
        provider.refresh_from_db()
        assert provider.server_stage == "urgent"
        assert expiring.find_due(NOW) == expiring.Found(providers=1, notices=2)
        assert told() == ["owner urgent"]

    def test_a_short_lifetime_has_short_stages(self, provider: Provider) -> None:
        seen(provider, server(begin=-1, end=44))
        provider.refresh_from_db()
        assert provider.server_next_stage_at == NOW + 29 * DAY
        expiring.find_due(NOW + 29 * DAY)
        assert told() == ["owner notice"]

    def test_a_lifetime_that_no_report_knows_any_more_counts_as_long(self, provider: Provider) -> None:
        seen(provider, server(end=100))
        ConnectionReport.objects.all().delete()
        provider.refresh_from_db()
        ending = endings_seen.ending_of(provider)
        assert ending is not None
        assert ending.not_after - ending.not_before == endings_seen.LONG

    def test_the_days_of_the_team_count(self, cast: Cast, provider: Provider) -> None:
        cast.team.policy = {"notice": 90}
        cast.team.save()
        seen(provider, server(end=80))
        expiring.find_due(NOW)
        assert told() == ["owner notice"]

    def test_a_new_chain_begins_anew(self, provider: Provider) -> None:
        seen(provider, server(end=20))
        expiring.find_due(NOW)
        seen(provider, server(end=300, begin=0), now=NOW + DAY)
        provider.refresh_from_db()
        assert provider.server_stage == ""
        assert expiring.find_due(NOW + 2 * DAY) == expiring.Found()
        expiring.find_due(NOW + 245 * DAY)
        assert told() == ["owner warning", "owner notice"]

    def test_the_same_chain_seen_again_tells_nothing_again(self, provider: Provider) -> None:
        one = server(end=20)
        for day in range(3):
            seen(provider, one, now=NOW + day * DAY)
            expiring.find_due(NOW + day * DAY)
        assert told() == ["owner warning"]

    def test_two_nodes_in_turn_are_told_of_once_each(self, provider: Provider) -> None:
        one, two = server(end=20), server(end=21)
        for day in range(4):
            seen(provider, (one, two)[day % 2], now=NOW + day * DAY)
            expiring.find_due(NOW + day * DAY)
        assert told() == ["owner warning", "owner warning"]

    def test_another_server_is_not_told_of_by_what_the_last_one_had(
        self, cast: Cast, provider: Provider
    ) -> None:
        seen(provider, server(end=5))
        provider.refresh_from_db()
        provider.host = "elsewhere.partner.example"
        services.edit_provider(provider=provider, actor=cast.actor)
        assert expiring.find_due(NOW) == expiring.Found()


class TestPeople:
    def test_the_owner_of_the_provider_is_told(self, cast: Cast, provider: Provider) -> None:
        Provider.objects.update(owner=cast.editor)
        seen(provider, server(end=20))
        expiring.find_due(NOW)
        assert told() == ["editor warning"]

    def test_an_owner_who_has_left_is_not(self, cast: Cast, provider: Provider) -> None:
        Provider.objects.update(owner=cast.editor)
        Membership.objects.get(user=cast.editor).delete()
        seen(provider, server(end=5))
        expiring.find_due(NOW)
        assert told() == ["owner urgent"]

    def test_what_is_told_holds_no_address(self, provider: Provider) -> None:
        seen(provider, server(end=5))
        expiring.find_due(NOW)
        notice = Notice.objects.filter(channel="portal").get()
        assert notice.title == "Orders API: its server's certificate ends on 6 June 2026"
        assert "ends on 6 June 2026 at 12:00 UTC, and from then on every call to it fails" in notice.text
        assert "partner.example" not in notice.title + notice.text
        assert notice.url == f"/providers/{provider.pk}/share/"

    def test_it_is_read_in_the_inbox(self, cast: Cast, provider: Provider) -> None:
        seen(provider, server(end=-1))
        expiring.find_due(NOW)
        page = client_of(cast.owner).get("/notices/").content.decode()
        assert "certificate ended on 31 May 2026" in page
        assert "since then every call to it fails" in page

    def test_an_owner_is_chosen_among_the_members(self, cast: Cast, provider: Provider) -> None:
        page = client_of(cast.editor).get(f"/providers/{provider.pk}/edit/").content.decode()
        assert ">Viewer</option>" in page
        assert ">Outsider</option>" not in page


class TestRun:
    def test_with_nothing_due_it_asks_once(self, provider: Provider) -> None:
        seen(provider, server(end=100))
        with CaptureQueriesContext(connection) as asked:
            expiring.find_due(NOW)
        assert len(asked) == 1

    def test_many_are_taken_batch_by_batch(self, cast: Cast) -> None:
        for number in range(7):
            one = Provider.objects.create(team=cast.team, name=f"p{number}", host="h")
            seen(one, server(end=5, name=f"p{number}"))
        assert expiring.find_due(NOW, batch=3).providers == 7
        assert len(told()) == 7

    def test_one_that_cannot_be_judged_stays_due_and_keeps_nobody_waiting(
        self, cast: Cast, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Provider.objects.create(team=cast.team, name="other", host="h")
        for one in (provider, other):
            seen(one, server(end=5, name=one.name))
        plain = endings_seen.ending_of

        def broken(row: Provider) -> Any:
            if row == provider:
                raise ValueError("broken")
            return plain(row)

        monkeypatch.setattr(expiring, "ending_of", broken)
        found = expiring.find_due(NOW)
        assert (found.providers, found.failed) == (1, 1)
        monkeypatch.undo()
        assert expiring.find_due(NOW).providers == 1

    def test_a_run_is_recorded(self, provider: Provider) -> None:
        seen(provider, server(end=5))
        tasks.find_expiring()
        run = TaskRun.objects.get(task="providers.tasks.find_expiring")
        assert run.facts == {"providers": 1, "notices": 2, "failed": 0, "closed": 0}

    def test_a_chain_that_is_seen_between_reading_and_claiming_is_left_for_the_next_run(
        self, provider: Provider, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen(provider, server(end=5))
        plain = endings_seen.ending_of

        def meanwhile(row: Provider) -> Any:
            ending = plain(row)
            seen(provider, server(end=300, begin=0))
            return ending

        monkeypatch.setattr(expiring, "ending_of", meanwhile)
        assert expiring.find_due(NOW) == expiring.Found()
        assert told() == []


class TestReplace:
    def test_theirs_stand_in_a_group_of_their_own(self, cast: Cast, provider: Provider) -> None:
        seen(provider, server(end=5))
        page = client_of(cast.editor).get("/replace/").content.decode()
        assert "Their certificates" in page
        assert f'href="/providers/{provider.pk}/share/"' in page
        assert "Ask them" in page

    def test_what_is_far_from_its_end_is_not_there(self, cast: Cast, provider: Provider) -> None:
        seen(provider, server(end=150))
        assert "Their certificates" not in client_of(cast.editor).get("/replace/").content.decode()

    def test_mine_are_those_of_providers_that_are_mine(self, cast: Cast, provider: Provider) -> None:
        Provider.objects.update(owner=cast.editor)
        seen(provider, server(end=5))
        for person, count in ((cast.editor, True), (cast.owner, False)):
            page = client_of(person).get("/replace/?whose=mine").content.decode()
            assert ("Their certificates" in page) is count

    def test_a_viewer_is_not_asked_to_ask(self, cast: Cast, provider: Provider) -> None:
        seen(provider, server(end=5))
        page = client_of(cast.viewer).get("/replace/").content.decode()
        assert "Their certificates" in page
        assert "Ask them" not in page
