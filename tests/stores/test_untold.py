"""What could not be told: to nobody, or not to somebody; who learns of it, and that it is told after all."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.models import Membership, Role, User
from stores import notices
from stores.models import Notice
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.test_notices import due

pytestmark = pytest.mark.usefixtures("now")
BANNER = "Something could be told to nobody"


@pytest.fixture
def staff(db: None) -> User:
    return User.objects.create_user(email="root@example.org", password="correct horse battery", is_staff=True)


@pytest.fixture
def orphan(cast: Cast) -> None:
    """The other team has lost its only owner, and something comes to its end there."""
    Membership.objects.filter(team=cast.other_team).delete()
    due(cast.other_team)


def tell(cast: Cast) -> None:
    said = {"key": "k", "title": "Orders API fails", "text": "x", "url": "/p/", "severity": "urgent"}
    notices.tell(team=cast.other_team, people=[], now=NOW, **said)  # type: ignore[arg-type]


class TestNobody:
    @pytest.mark.usefixtures("orphan")
    def test_administrators_see_it_on_every_page_and_where(self, cast: Cast, staff: User) -> None:
        Membership.objects.create(team=cast.team, user=staff, role=Role.VIEWER)
        browser = client_of(staff)
        for path in ("/", "/notices/", "/certificates/"):
            assert BANNER in browser.get(path).content.decode()
        page = browser.get("/admin/told-nobody/").content.decode()
        assert "orders-client ends in 5 days" in page
        assert f"/admin/portal/team/{cast.other_team.pk}/change/" in page

    @pytest.mark.usefixtures("orphan")
    def test_an_administrator_without_a_team_sees_it_too(self, staff: User) -> None:
        assert BANNER in client_of(staff).get("/accounts/profile/").content.decode()

    @pytest.mark.usefixtures("orphan")
    def test_nobody_else_does(self, cast: Cast) -> None:
        browser = client_of(cast.owner)
        assert BANNER not in browser.get("/").content.decode()
        assert browser.get("/admin/told-nobody/").status_code == 302

    def test_without_any_there_is_no_banner(self, cast: Cast, staff: User) -> None:
        assert BANNER not in client_of(staff).get("/accounts/profile/").content.decode()
        assert "had somebody to be told to" in client_of(staff).get("/admin/told-nobody/").content.decode()

    def test_it_costs_an_administrator_no_question_more(self, cast: Cast) -> None:
        asked = []
        for is_staff in (False, True):
            User.objects.filter(pk=cast.owner.pk).update(is_staff=is_staff)
            browser = client_of(cast.owner)
            with CaptureQueriesContext(connection) as counted:
                browser.get("/notices/")
            asked.append(len(counted))
        assert asked[0] == asked[1]

    def test_what_is_no_stage_counts_as_well_and_is_told_to_the_next_owner(
        self, cast: Cast, staff: User, orphan: None
    ) -> None:
        tell(cast)
        assert Notice.objects.for_nobody().count() == 2
        assert "Orders API fails" in client_of(staff).get("/admin/told-nobody/").content.decode()
        assert notices.tell_again(NOW) == 0
        Membership.objects.create(team=cast.other_team, user=cast.nobody, role=Role.OWNER)
        assert notices.tell_again(NOW) == 2
        assert notices.tell_again(NOW) == 0
        assert not Notice.objects.for_nobody().exists()
        told = Notice.objects.filter(user=cast.nobody, key="k")
        assert {(one.channel, one.severity) for one in told} == {("portal", "urgent"), ("email", "urgent")}

    def test_telling_nobody_twice_is_one_row(self, cast: Cast) -> None:
        tell(cast)
        tell(cast)
        assert Notice.objects.count() == 1


class TestInbox:
    def test_only_what_is_unread_can_be_shown(self, cast: Cast) -> None:
        due(cast.team, name="first")
        due(cast.team, name="second")
        browser = client_of(cast.owner)
        first = Notice.objects.get(channel="portal", flag__version__certificate__name="first")
        browser.post(f"/notices/{first.pk}/read/")
        page = browser.get("/notices/?show=unread").content.decode()
        assert "second fails" in page
        assert "first fails" not in page
        browser.post("/notices/read/")
        assert "Nothing is unread" in browser.get("/notices/?show=unread").content.decode()

    def test_what_was_dropped_is_no_failure(self, cast: Cast) -> None:
        due(cast.team)
        Notice.objects.filter(channel="email").update(state="dropped", error="wants no mail")
        assert "What could not be told" not in client_of(cast.owner).get("/notices/").content.decode()

    def test_owners_see_what_reached_nobody(self, cast: Cast) -> None:
        due(cast.team)
        Notice.objects.filter(channel="email").update(recipient="", state="failed", error=notices.NOBODY)
        page = client_of(cast.owner).get("/notices/").content.decode()
        assert "to nobody" in page
        assert "Give it one; then this is told." in page
