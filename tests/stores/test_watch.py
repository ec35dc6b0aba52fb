"""The watch: every crossing is written down once, whenever and however often the scan runs."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Role, Team, User
from stores import notices, watch
from stores.models import Case, Certificate, Flag, Notice, Version
from tests.cast import Cast
from tests.material import NOW
from tests.stores.watched import Link, day, watched

YEAR = Link("orders.example.org", end=300)
"""Notice 60, warning 30 and urgent 7 days before its end on day 300."""


def stages(version: Version, *, told: bool | None = None) -> list[tuple[str, str]]:
    flags = Flag.objects.filter(version=version).order_by("crossed_at", "pk")
    return [(flag.ends_name, flag.stage) for flag in flags if told is None or flag.told == told]


class TestStart:
    def test_names_the_first_end_of_a_chain_and_repeats_it_on_the_certificate(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR, Link("Issuing CA 2", end=250, life=3000))
        version.refresh_from_db()
        assert (version.fails_at, version.fails_name, version.stage) == (day(250), "Issuing CA 2", "")
        assert version.fails_sha256 == Link("Issuing CA 2", end=250, life=3000).sha256
        assert version.next_stage_at == day(190)
        certificate = Certificate.objects.get()
        assert (certificate.fails_at, certificate.stage) == (day(250), "")

    def test_a_self_signed_root_above_the_leaf_is_not_watched(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR, Link("Old Root", end=10, life=3000, self_signed=True))
        assert version.fails_name == "orders.example.org"

    def test_a_stage_already_reached_is_shown_at_once_and_due_at_once(self, cast: Cast) -> None:
        version = watched(cast.team, Link("leaf", end=20))
        assert version.stage == "warning"
        assert Certificate.objects.get().stage == "warning"
        assert list(Version.objects.due(NOW)) == [version]
        assert not Flag.objects.exists()

    def test_a_teams_own_days_count(self, cast: Cast) -> None:
        cast.team.policy = {"notice": 100}
        cast.team.save()
        assert watched(cast.team, YEAR).next_stage_at == day(200)


class TestScan:
    def test_nothing_due_is_one_query_and_writes_nothing(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        with CaptureQueriesContext(connection) as queries:
            assert watch.find_due(day(239)) == watch.Found()
        assert len(queries) == 1
        assert not Flag.objects.exists()

    def test_a_crossing_is_flagged_at_its_instant_and_once(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        assert watch.find_due(day(240)) == watch.Found(versions=1, flags=1, notices=2)
        assert watch.find_due(day(240)) == watch.Found()
        flag = Flag.objects.get()
        assert (flag.version, flag.stage, flag.ends_at, flag.crossed_at, flag.told) == (
            version, "notice", day(300), day(240), True,
        )  # fmt: skip
        version.refresh_from_db()
        assert (version.stage, version.next_stage_at) == ("notice", day(270))
        assert Certificate.objects.get().stage == "notice"

    def test_stage_after_stage_is_flagged_to_the_end_and_then_no_more(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        for number in range(400):
            watch.find_due(day(number))
        assert stages(version, told=True) == [
            ("orders.example.org", stage) for stage in ("notice", "warning", "urgent", "expired")
        ]
        version.refresh_from_db()
        assert (version.next_stage_at, version.stage) == (None, "expired")

    def test_after_an_outage_every_stage_is_caught_up_and_only_the_latest_told(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        watch.find_due(day(240))
        assert watch.find_due(day(295)).flags == 2
        assert stages(version, told=False) == [("orders.example.org", "warning")]
        assert stages(version, told=True) == [
            ("orders.example.org", "notice"),
            ("orders.example.org", "urgent"),
        ]
        assert not Notice.objects.filter(flag__stage="warning").exists()
        assert Notice.objects.filter(flag__stage="urgent", user=cast.owner).count() == 2

    def test_the_second_root_of_a_bundle_is_told_as_well(self, cast: Cast) -> None:
        first, second = Link("Root A", end=100, life=3000), Link("Root B", end=120, life=3000)
        version = watched(cast.team, first, second, kind="trust")
        for number in range(130):
            watch.find_due(day(number))
        assert stages(version, told=True) == [
            ("Root A", "notice"), ("Root B", "notice"), ("Root A", "warning"), ("Root B", "warning"),
            ("Root A", "urgent"), ("Root A", "expired"), ("Root B", "urgent"), ("Root B", "expired"),
        ]  # fmt: skip

    def test_a_bundle_names_the_next_end_and_shows_the_farthest_stage(self, cast: Cast) -> None:
        first, second = Link("Root A", end=100, life=3000), Link("Root B", end=2000, life=3000)
        version = watched(cast.team, first, second, kind="trust")
        watch.find_due(day(101))
        version.refresh_from_db()
        assert (version.fails_name, version.fails_at, version.stage) == ("Root B", day(2000), "expired")

    def test_a_chain_that_has_failed_keeps_naming_the_link_that_ended(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR, Link("Issuing CA 2", end=2000, life=3000))
        watch.find_due(day(301))
        version.refresh_from_db()
        assert (version.fails_name, version.fails_at, version.stage) == (
            "orders.example.org",
            day(300),
            "expired",
        )

    def test_batches_reach_every_due_version(self, cast: Cast) -> None:
        for number in range(7):
            watched(cast.team, Link(f"leaf {number % 2}", end=300), name=f"client-{number}")
        assert watch.find_due(day(240), batch=2).versions == 7
        assert not Version.objects.due(day(240)).exists()

    def test_superseded_versions_are_never_flagged(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        Version.objects.filter(pk=version.pk).update(state=Version.State.SUPERSEDED)
        watch.stop(version, day(1))
        assert watch.find_due(day(299)) == watch.Found()

    def test_one_version_that_cannot_be_judged_stays_due_and_keeps_no_other_from_being_told(
        self, cast: Cast, caplog: pytest.LogCaptureFixture
    ) -> None:
        watched(cast.team, YEAR, name="good")
        bad = watched(cast.other_team, YEAR, name="bad")
        Team.objects.filter(pk=cast.other_team.pk).update(policy={"notice": -1})
        found = watch.find_due(day(240))
        assert (found.versions, found.failed) == (1, 1)
        assert bad.pk in caplog.text
        Team.objects.filter(pk=cast.other_team.pk).update(policy=None)
        assert watch.find_due(day(240)).versions == 1


class TestClaim:
    def test_a_version_that_somebody_moved_meanwhile_is_left_alone(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = watched(cast.team, YEAR)
        plain = watch._judge

        def moved_meanwhile(*read: Any) -> Any:
            Version.objects.filter(pk=version.pk).update(next_stage_at=day(270))
            return plain(*read)

        monkeypatch.setattr(watch, "_judge", moved_meanwhile)
        assert watch.find_due(day(240)) == watch.Found()
        assert not Flag.objects.exists()

    def test_killed_before_the_commit_it_leaves_nothing_and_is_done_anew(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        watched(cast.team, YEAR)
        with monkeypatch.context() as patch:
            patch.setattr(notices, "queue", _die)
            with pytest.raises(KeyboardInterrupt):
                watch.find_due(day(240))
        assert not Flag.objects.exists()
        assert not Case.objects.exists()
        assert watch.find_due(day(240)).flags == 1
        assert Case.objects.count() == 1

    def test_the_database_refuses_a_second_flag(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        watch.find_due(day(240))
        flag = Flag.objects.get()
        flag.pk = None
        with pytest.raises(IntegrityError):
            flag.save(force_insert=True)


def _die(*_: object) -> int:
    raise KeyboardInterrupt


class TestReplacement:
    def test_the_flags_are_resolved_and_what_was_not_sent_is_dropped(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        watch.find_due(day(240))
        Notice.objects.filter(channel="email").update(state=Notice.State.WAITING)
        watch.stop(version, day(241))
        assert not Flag.objects.open().exists()
        assert [notice.channel for notice in Notice.objects.all()] == ["portal"]
        assert not Notice.objects.unread().exists()

    def test_a_version_that_is_restored_counts_again_but_is_not_told_again(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR)
        watch.find_due(day(240))
        Notice.objects.update(state=Notice.State.SENT)
        watch.stop(version, day(241))
        Case.objects.update(closed_at=day(241))
        watch.start(version, day(242))
        assert watch.find_due(day(242)) == watch.Found(versions=1)
        assert [flag.stage for flag in Flag.objects.open()] == ["notice"]
        assert Case.objects.open().get().stage == "notice"
        assert watch.find_due(day(270)) == watch.Found(versions=1, flags=1, notices=2)


class TestRecipients:
    def test_the_owner_of_the_certificate_is_told(self, cast: Cast) -> None:
        watched(cast.team, YEAR, owner=cast.editor)
        watch.find_due(day(240))
        assert {(notice.user, notice.channel) for notice in Notice.objects.all()} == {
            (cast.editor, "portal"), (cast.editor, "email"),
        }  # fmt: skip

    def test_without_an_owner_the_owners_of_the_team_are_told(self, cast: Cast) -> None:
        second = User.objects.create_user(email="second@example.org", password="x")
        Membership.objects.create(team=cast.team, user=second, role=Role.OWNER)
        watched(cast.team, YEAR)
        watch.find_due(day(240))
        assert {notice.recipient for notice in Notice.objects.all()} == {cast.owner.email, second.email}

    def test_the_owner_of_one_certificate_is_not_told_of_another(self, cast: Cast) -> None:
        watched(cast.team, YEAR, name="theirs", owner=cast.editor)
        nobodys = watched(cast.team, YEAR, name="nobodys")
        watch.find_due(day(240))
        assert {notice.user for notice in Notice.objects.filter(flag__version=nobodys)} == {cast.owner}

    def test_an_owner_who_left_the_team_is_told_nothing(self, cast: Cast) -> None:
        watched(cast.team, YEAR, owner=cast.outsider)
        watch.find_due(day(240))
        assert {notice.user for notice in Notice.objects.all()} == {cast.owner}

    def test_an_owner_whose_account_is_closed_is_told_nothing(self, cast: Cast) -> None:
        User.objects.filter(pk=cast.editor.pk).update(is_active=False)
        watched(cast.team, YEAR, owner=cast.editor)
        watch.find_due(day(240))
        assert {notice.user for notice in Notice.objects.all()} == {cast.owner}

    def test_a_team_without_owners_is_still_flagged_and_the_log_says_so(
        self, cast: Cast, caplog: pytest.LogCaptureFixture
    ) -> None:
        Membership.objects.filter(role=Role.OWNER).delete()
        watched(cast.team, YEAR)
        assert watch.find_due(day(240)).flags == 1
        assert "nobody can be told" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_ten_scans_at_once_flag_once(cast: Cast) -> None:
    for number in range(20):
        watched(cast.team, YEAR, name=f"client-{number}")
    barrier = threading.Barrier(10)

    def scan(_: int) -> watch.Found:
        try:
            barrier.wait()
            return watch.find_due(day(240))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(10) as pool:
        found = list(pool.map(scan, range(10)))
    watch.find_due(day(240))
    assert sum(one.flags for one in found) == Flag.objects.count() == Case.objects.count() == 20
    assert Notice.objects.count() == 40


def test_what_is_due_is_read_from_the_partial_index(cast: Cast) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    assert "version_due" in Version.objects.due(NOW).explain()
