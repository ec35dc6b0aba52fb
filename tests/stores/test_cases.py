"""Cases: opened by a flag, advanced by the next, closed by evidence; and the page that lists them."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.models import TaskRun, Team
from portal.runs import WATCH
from providers.models import Provider
from stores import case_work, cases, watch
from stores.models import Case, Notice, Version
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.watched import Link, day, watched

YEAR = Link("orders.example.org", end=300)
pytestmark = pytest.mark.usefixtures("now")


def supersede(team: Team, *links: Link, at: dt.datetime) -> Version:
    """The next version of the certificate, active from this instant."""
    with transaction.atomic():
        for old in Version.objects.current().filter(team=team):
            Version.objects.filter(pk=old.pk).update(state=Version.State.SUPERSEDED, superseded_at=at)
            watch.stop(old, at)
        version = watched(team, *links, now=at)
        cases.replaced(version, at)
    return version


class TestDeciding:
    def test_a_flag_opens_a_case_for_the_owner_of_the_certificate(self, cast: Cast) -> None:
        version = watched(cast.team, YEAR, owner=cast.editor)
        watch.find_due(day(240))
        case = Case.objects.get()
        assert (case.certificate, case.version, case.team) == (version.certificate, version, cast.team)
        assert (case.stage, case.fails_at, case.owner, case.opened_at) == (
            "notice",
            day(300),
            cast.editor,
            day(240),
        )

    def test_without_an_owner_in_the_team_the_case_is_for_the_teams_owners(self, cast: Cast) -> None:
        watched(cast.team, YEAR, owner=cast.outsider)
        watch.find_due(day(240))
        assert Case.objects.get().owner is None

    def test_the_next_stage_advances_the_same_case(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        for number in (240, 270, 293, 300):
            watch.find_due(day(number))
        case = Case.objects.get()
        assert (case.stage, case.opened_at) == ("expired", day(240))

    def test_the_case_of_a_bundle_speaks_of_the_root_that_is_nearest_its_end(self, cast: Cast) -> None:
        roots = Link("Root A", end=100, life=3000), Link("Root B", end=2000, life=3000)
        watched(cast.team, *roots, kind="trust")
        watch.find_due(day(101))
        assert (Case.objects.get().stage, Case.objects.get().fails_at) == ("expired", day(100))

    def test_the_next_version_closes_it_with_evidence_and_may_open_another(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        watch.find_due(day(240))
        successor = supersede(cast.team, Link("orders", end=700), at=day(250))
        case = Case.objects.get()
        assert (case.closed_at, case.successor) == (day(250), successor)
        assert case.evidence == [{"kind": "version_active", "version": 2, "at": day(250).isoformat()}]
        assert [event.kind for event in case.events.all()] == ["opened", "evidence", "closed"]
        watch.find_due(day(640))
        assert Case.objects.count() == 2
        assert Case.objects.open().get().version == successor

    @pytest.mark.parametrize(("end", "stays"), [(299, True), (300, True), (301, True), (500, False)])
    def test_a_replacement_that_ends_no_later_or_soon_keeps_it_open_and_it_says_so(
        self, cast: Cast, end: int, stays: bool
    ) -> None:
        watched(cast.team, YEAR)
        watch.find_due(day(240))
        successor = supersede(cast.team, Link("orders", end=end, life=400), at=day(250))
        case = Case.objects.get()
        assert (case.closed_at is None) == stays
        if stays:
            assert (case.version, case.fails_at, case.stage) == (successor, day(end), "notice")
            assert "Version 2 ends" in case.events.get(kind="stays").text

    def test_without_an_open_case_a_replacement_says_nothing(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        supersede(cast.team, Link("orders", end=700), at=day(1))
        assert not Case.objects.exists()

    def test_a_later_stage_wakes_a_case_that_is_snoozed_and_takes_it_up_one_level(self, cast: Cast) -> None:
        watched(cast.team, YEAR, owner=cast.editor)
        watch.find_due(day(240))
        Case.objects.update(snoozed_until=day(290), snooze_reason="the supplier is on holiday")
        watch.find_due(day(270))
        case = Case.objects.get()
        assert (case.stage, case.snoozed_until, case.level) == ("warning", None, 1)
        assert [event.kind for event in case.events.all()] == ["opened", "woken"]
        Notice.objects.all().delete()
        watch.find_due(day(293))
        assert {notice.user for notice in Notice.objects.all()} == {cast.editor, cast.owner}

    def test_the_database_refuses_a_second_open_case(self, cast: Cast) -> None:
        watched(cast.team, YEAR)
        watch.find_due(day(240))
        case = Case.objects.get()
        case.pk = "another"
        with pytest.raises(IntegrityError):
            case.save(force_insert=True)


class TestPage:
    def test_what_fails_first_stands_first_with_a_button_that_leads_to_its_next_version(
        self, cast: Cast
    ) -> None:
        late = watched(cast.team, Link("late", end=50), name="late")
        soon = watched(cast.team, Link("soon", end=5), Link("Issuing CA 2", end=3, life=3000), name="soon")
        for version in (late, soon):
            Provider.objects.create(
                team=cast.team,
                name=f"{version.certificate}-api",
                host="h",
                key_certificate=version.certificate,
            )
        watch.find_due(NOW)
        page = client_of(cast.editor).get("/replace/").content.decode()
        assert page.index("key store / soon") < page.index("key store / late")
        assert f"/certificates/{soon.certificate.pk}/replace/" in page
        assert "Issuing CA 2" in page
        assert "late-api" in page

    def test_what_nothing_uses_is_to_be_deleted_by_an_owner(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        watch.find_due(NOW)
        assert "Delete?" in client_of(cast.owner).get("/replace/").content.decode()
        assert "Delete?" not in client_of(cast.editor).get("/replace/").content.decode()

    def test_a_viewer_is_offered_nothing_that_a_viewer_may_not_do(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5))
        watch.find_due(NOW)
        page = client_of(cast.viewer).get("/replace/").content.decode()
        assert "key store / orders-client" in page
        assert "/replace/" in page
        assert "Replace<span" not in page.split("<main")[1]

    def test_a_case_of_another_team_is_not_there(self, cast: Cast) -> None:
        watched(cast.other_team, Link("leaf", end=5), name="secret-client")
        watch.find_due(NOW)
        assert "secret-client" not in client_of(cast.owner).get("/replace/").content.decode()

    def test_yours_are_those_that_you_own(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=5), name="mine", owner=cast.editor)
        watched(cast.team, Link("leaf", end=5), name="theirs", owner=cast.owner)
        watch.find_due(NOW)
        page = client_of(cast.editor).get("/replace/?whose=mine").content.decode()
        assert "/ mine" in page
        assert "/ theirs" not in page

    def test_names_from_certificates_are_shown_with_their_invisible_characters(self, cast: Cast) -> None:
        watched(cast.team, Link("leaf", end=50), Link("CA\u202egnp.<b>", end=3, life=3000))
        watch.find_due(NOW)
        page = client_of(cast.owner).get("/replace/").content.decode()
        assert "CA\\u202egnp.&lt;b&gt;" in page

    def test_long_lists_have_pages_and_a_constant_number_of_queries(self, cast: Cast) -> None:
        TaskRun.objects.create(task=WATCH, started_at=NOW, finished_at=NOW, seconds=0.009)
        for number in range(55):
            watched(cast.team, Link("leaf", end=5 + number / 100), name=f"client-{number:02}")
        watch.find_due(NOW)
        client = client_of(cast.owner)
        with CaptureQueriesContext(connection) as queries:
            first = client.get("/replace/")
        assert len(queries) <= 12
        second = client.get("/replace/", {"cursor": first.context["page"].next})
        names = [prompt.certificate.name for page in (first, second) for prompt in page.context["prompts"]]
        assert names == [f"client-{number:02}" for number in range(55)]

    def test_each_tab_has_its_own_and_the_counts_of_all_pages_agree(self, cast: Cast) -> None:
        for name, owner in (
            ("awake", cast.editor),
            ("asleep", cast.editor),
            ("done", None),
            ("theirs", None),
        ):
            version = watched(cast.team, Link("leaf", end=20 + len(name)), name=name, owner=owner)
            if name == "theirs":
                Provider.objects.create(
                    team=cast.team, name="api", host="api.example.org", key_certificate=version.certificate
                )
        watch.find_due(NOW)
        named = {case.certificate.name: case for case in Case.objects.all()}
        case_work.snooze(case=named["asleep"], until=day(5), reason="Later.", actor=cast.actor, now=NOW)
        for name in ("done", "theirs"):
            with transaction.atomic():
                watch.stop(named[name].version, NOW)
                Version.objects.filter(pk=named[name].version_id).update(state="superseded")
                cases.replaced(watched(cast.team, Link("leaf", end=400), name=name), NOW)
        client = client_of(cast.editor)
        tabs = {
            "": ["awake", "theirs"],
            "?whose=mine": ["awake"],
            "?state=snoozed": ["asleep"],
            "?state=closed": ["done"],
        }
        for query, names in tabs.items():
            page = client.get(f"/replace/{query}")
            assert [prompt.certificate.name for prompt in page.context["prompts"]] == names, query
        page = client.get("/replace/")
        assert "version 2 is active, 0 of 1 seen" in page.content.decode()
        figures = {name: figure.count for name, figure in page.context["figures"].items()}
        assert figures == {"all": 2, "mine": 1, "snoozed": 1}
        board = client.get("/").context["figures"]
        counted = [board[name].count for name in ("open_cases", "mine", "snoozed", "unproven")]
        assert counted == [2, 1, 1, 1]
        assert "2<span" in page.content.decode().split("<main")[0], "the menu says the same"

    def test_what_waits_for_proof_costs_no_query_for_each(self, cast: Cast) -> None:
        def count() -> int:
            client = client_of(cast.owner)
            with CaptureQueriesContext(connection) as queries:
                assert "0 of 1 seen" in client.get("/replace/").content.decode()
            return len(queries)

        def wait(name: str) -> None:
            old = watched(cast.team, Link("leaf", end=20), name=name)
            Provider.objects.create(
                team=cast.team, name=name, host="api.example.org", key_certificate=old.certificate
            )
            watch.find_due(NOW)
            watch.stop(old, NOW)
            Version.objects.filter(pk=old.pk).update(state="superseded")
            cases.replaced(watched(cast.team, Link("leaf", end=400), name=name), NOW)

        wait("first")
        few = count()
        for number in range(12):
            wait(f"n{number}")
        assert count() == few <= 18
        with CaptureQueriesContext(connection) as queries:
            assert cases.settle_all(NOW) == 0
        assert len(queries) <= 5

    def test_nothing_to_replace_is_said(self, cast: Cast) -> None:
        assert "Nothing has to be replaced" in client_of(cast.viewer).get("/replace/").content.decode()
