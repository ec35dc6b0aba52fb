"""The first instant at which a provider fails, and the link that causes it."""

from __future__ import annotations

import datetime as dt
import html
from typing import Any

import pytest

from providers import endings, services
from providers.connection.report import Report
from providers.endings_seen import path_of
from providers.listing import listing
from providers.models import OverlapProof, Provider
from stores import watch
from stores.models import Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, Minted, mint
from tests.providers.reported import certificates
from tests.providers.seen import seen

DAY = dt.timedelta(days=1)
ROOT = mint("Partner Root", ca=True, begin=-900, end=900)
SOON = mint("Old Root", ca=True, begin=-900, end=50)
pytestmark = pytest.mark.usefixtures("now")


def issuing(end: float = 500, issuer: Minted = ROOT) -> Minted:
    return mint("Partner Issuing CA", issuer, ca=True, begin=-400, end=end)


def leaf(end: float = 200, issuer: Minted = ROOT, name: str = "orders.partner.example") -> Minted:
    return mint(name, issuer, begin=-100, end=end)


def days(number: float) -> dt.datetime:
    return NOW + number * DAY


@pytest.fixture
def bundle(cast: Cast) -> Version:
    return kept(cast, ROOT, SOON, name="partner-roots", store="partners", kind="trust")


@pytest.fixture
def provider(cast: Cast, bundle: Version) -> Provider:
    """It shows nothing, and trusts two roots, of which one ends in 50 days."""
    return Provider.objects.create(
        team=cast.team, name="orders", host="orders.partner.example", trust_store=bundle.certificate.store
    )


def kept_of(provider: Provider) -> Provider:
    return Provider.objects.get(pk=provider.pk)


def first(provider: Provider, *, addresses: bool = True) -> Any:
    provider = kept_of(provider)
    return endings.first_ends([provider], NOW, addresses=addresses)[provider.pk][0]


def text_of(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    return html.unescape(content.decode())


def sorted_by_end(cast: Cast) -> list[str]:
    rows = Provider.objects.filter(team=cast.team).annotate(end=endings.fails_at(Provider))
    return [f"{row.name} {(row.end - NOW).days}" for row in rows.order_by("end", "pk")]  # type: ignore[attr-defined]


class TestPath:
    """Of what the server sent, what its validity depends on."""

    def names(self, *chain: Minted, anchor: Minted | None = None) -> list[str]:
        sent = certificates(*chain)
        found = Report(True, "ok", "", server_chain=sent, anchor=certificates(anchor)[0] if anchor else None)
        return [one.common_name for one in path_of(found)]

    def test_it_leads_up_to_the_trust_entry_and_not_further(self) -> None:
        above = issuing()
        assert self.names(leaf(issuer=above), above, ROOT, anchor=ROOT) == [
            "orders.partner.example",
            "Partner Issuing CA",
        ]

    def test_what_is_sent_beside_it_has_no_part(self) -> None:
        crossed = mint("Partner Root", SOON, key_name="Partner Root", ca=True, end=1)
        above = issuing()
        path = self.names(leaf(issuer=above), above, crossed, anchor=ROOT)
        assert path == ["orders.partner.example", "Partner Issuing CA"]

    def test_the_order_of_what_was_sent_does_not_matter(self) -> None:
        above, upper = issuing(), mint("Upper CA", ROOT, ca=True)
        below = mint("Lower CA", upper, ca=True)
        assert self.names(leaf(issuer=below), above, upper, below, anchor=ROOT)[1:] == [
            "Lower CA",
            "Upper CA",
        ]

    def test_a_leaf_that_is_trusted_itself_is_all_of_it(self) -> None:
        above = issuing()
        one = leaf(issuer=above)
        assert self.names(one, above, anchor=one) == ["orders.partner.example"]

    def test_without_a_trust_entry_it_goes_as_far_as_was_sent(self) -> None:
        above = issuing()
        assert len(self.names(leaf(issuer=above), above, ROOT)) == 3
        assert len(self.names(leaf(issuer=above))) == 1

    def test_a_loop_of_issuers_ends(self) -> None:
        one, two = mint("A", issuer_name="B", ca=True), mint("B", issuer_name="A", ca=True)
        assert self.names(one, two, one) == ["A", "B", "A"]


class TestSeen:
    def test_the_first_end_of_the_servers_chain_is_kept(self, provider: Provider) -> None:
        above = issuing(end=90)
        seen(provider, leaf(issuer=above), above, anchor=ROOT)
        row = kept_of(provider)
        assert (row.server_ends_at, row.server_ends_name) == (days(90), "Partner Issuing CA")
        assert (row.server_ends_sha256, row.anchor_sha256) == (above.sha256, ROOT.sha256)

    def test_a_root_that_the_server_sends_does_not_count(self, provider: Provider) -> None:
        seen(provider, leaf(end=200, issuer=SOON), SOON)
        assert kept_of(provider).server_ends_at == days(200)

    def test_a_test_without_a_chain_changes_nothing(self, provider: Provider) -> None:
        seen(provider, leaf(), anchor=ROOT)
        before = kept_of(provider)
        seen(provider, code="connection_refused", now=days(1))
        assert kept_of(provider).server_ends_at == before.server_ends_at

    def test_a_server_that_is_not_believed_is_seen_all_the_same(self, provider: Provider) -> None:
        seen(provider, leaf(end=-1), code="server_certificate_expired")
        row = kept_of(provider)
        assert (row.server_ends_at, row.anchor_sha256, row.server_stage) == (days(-1), "", "expired")

    def test_a_rehearsal_says_nothing_of_the_trust_entry(self, provider: Provider, bundle: Version) -> None:
        seen(provider, leaf(), anchor=ROOT)
        seen(provider, leaf(end=300), code="untrusted_issuer", reason="rehearsal")
        row = kept_of(provider)
        assert (row.server_ends_at, row.anchor_sha256) == (days(300), ROOT.sha256)

    def test_without_a_trust_store_there_is_no_entry_of_ours(self, cast: Cast) -> None:
        plain = Provider.objects.create(team=cast.team, name="plain", host="h")
        seen(plain, leaf(), anchor=ROOT)
        assert kept_of(plain).anchor_sha256 == ""

    def test_another_server_makes_it_forgotten(self, cast: Cast, provider: Provider) -> None:
        newest = mint("New Root", ca=True)
        kept(cast, newest, name="partner-roots", store="partners", kind="trust")
        seen(provider, leaf(issuer=newest), anchor=newest)
        assert OverlapProof.objects.count() == 1
        row = kept_of(provider)
        row.host = "elsewhere.partner.example"
        services.edit_provider(provider=row, actor=cast.actor)
        row = kept_of(provider)
        assert (row.server_ends_at, row.server_ends_sha256, row.anchor_sha256) == (None, "", "")
        assert (row.server_stage, row.server_next_stage_at) == ("", None)
        assert OverlapProof.objects.count() == 0

    def test_another_title_does_not(self, cast: Cast, provider: Provider) -> None:
        seen(provider, leaf(), anchor=ROOT)
        row = kept_of(provider)
        row.title = "Orders API"
        services.edit_provider(provider=row, actor=cast.actor)
        assert kept_of(provider).server_ends_at == days(200)

    def test_what_is_seen_while_somebody_edits_is_kept_and_no_change_of_theirs(
        self, cast: Cast, provider: Provider
    ) -> None:
        mine = kept_of(provider)
        state = services.state_of(mine)
        seen(provider, leaf(), anchor=ROOT)
        mine.title = "Orders API"
        services.edit_provider(provider=mine, seen=state, actor=cast.actor)
        row = kept_of(provider)
        assert (row.title, row.server_ends_at) == ("Orders API", days(200))


class TestFirst:
    def test_before_it_was_seen_the_earliest_of_its_trust_store_counts(
        self, cast: Cast, provider: Provider
    ) -> None:
        assert first(provider).ends_at == days(50)
        assert sorted_by_end(cast) == ["orders 50"]

    def test_once_it_was_seen_only_the_entry_in_which_its_chain_ends_counts(
        self, cast: Cast, provider: Provider
    ) -> None:
        seen(provider, leaf(end=2000), anchor=ROOT)
        end = first(provider)
        assert (end.ends_at, end.ends_name) == (days(900), "Partner Root")
        assert end.reason == "because Partner Root, in which the server's chain ends, ends"
        assert sorted_by_end(cast) == ["orders 900"]

    def test_its_servers_own_certificate_is_named(self, cast: Cast, provider: Provider) -> None:
        seen(provider, leaf(end=10), anchor=ROOT)
        end = first(provider)
        assert end.ends_at == days(10)
        assert end.headline == "orders fails in 10 days"
        assert end.reason == "because its server's own certificate orders.partner.example ends"
        assert sorted_by_end(cast) == ["orders 10"]

    def test_who_may_not_see_addresses_reads_no_name(self, provider: Provider) -> None:
        seen(provider, leaf(end=10), anchor=ROOT)
        assert first(provider, addresses=False).reason == "because its server's own certificate ends"

    def test_our_own_certificate_may_be_the_first(self, cast: Cast, provider: Provider) -> None:
        own = kept(cast, mint("orders-client", ROOT, end=5), name="orders-client").certificate
        Provider.objects.update(key_certificate=own)
        seen(provider, leaf(end=10), anchor=ROOT)
        assert first(provider).certificate == own
        assert sorted_by_end(cast) == ["orders 5"]

    def test_an_entry_that_is_believed_no_longer_does_not_count(self, cast: Cast, provider: Provider) -> None:
        seen(provider, leaf(end=2000), anchor=ROOT)
        Provider.objects.update(trust_store=None)
        other = kept(cast, SOON, name="others", store="others", kind="trust").certificate
        Provider.objects.update(trust_store=other.store)
        assert first(provider).ends_at == days(50)
        assert sorted_by_end(cast) == ["orders 50"]

    def test_an_old_version_of_an_overlap_is_believed(self, cast: Cast, provider: Provider) -> None:
        seen(provider, leaf(end=2000), anchor=ROOT)
        kept(cast, mint("New Root", ca=True, end=4000), name="partner-roots", store="partners", kind="trust")
        assert first(provider).ends_at == days(900)
        assert sorted_by_end(cast) == ["orders 900"]

    def test_one_certificate_that_is_trusted_alone_is_looked_into_alone(
        self, cast: Cast, provider: Provider, bundle: Version
    ) -> None:
        short = kept(cast, SOON, name="old-root", store="partners", kind="trust").certificate
        seen(provider, leaf(end=2000), anchor=ROOT)
        Provider.objects.update(trust_certificate=short)
        assert first(provider).ends_at == days(50)
        assert sorted_by_end(cast) == ["orders 50"]
        Provider.objects.update(trust_certificate=bundle.certificate)
        assert first(provider).ends_at == days(900)
        assert sorted_by_end(cast) == ["orders 900"]

    def test_where_nothing_is_known_to_end_it_is_last(self, cast: Cast, provider: Provider) -> None:
        Provider.objects.create(team=cast.team, name="plain", host="h")
        row = Provider.objects.annotate(end=endings.fails_at(Provider)).get(name="plain")
        assert row.end == endings.NEVER  # type: ignore[attr-defined]


class TestLists:
    @pytest.fixture
    def three(self, cast: Cast, provider: Provider) -> list[Provider]:
        """In the order in which they fail: by the server in 5 days, by a root in 50, by the server in 200."""
        store = provider.trust_store
        rows = [
            Provider.objects.create(team=cast.team, name=name, host=f"{name}.example", trust_store=store)
            for name in ("later", "sooner")
        ]
        seen(rows[0], leaf(end=200, name="later.example"), anchor=ROOT)
        seen(rows[1], leaf(end=5, name="sooner.example"), anchor=ROOT)
        watch.find_due(NOW)
        return [rows[1], provider, rows[0]]

    def listed(self, cast: Cast, **query: str) -> list[str]:
        found = listing(Provider, cast.team, query, NOW, addresses=True).page("").rows
        return [row.name for row in found]

    def test_they_are_sorted_by_what_fails_first(self, cast: Cast, three: list[Provider]) -> None:
        assert self.listed(cast, sort="fails") == ["sooner", "orders", "later"]

    def test_pages_follow_each_other_without_gap(self, cast: Cast, three: list[Provider]) -> None:
        chunks = listing(Provider, cast.team, {"sort": "fails"}, NOW, addresses=True).chunks()
        assert [row.name for rows in chunks for row in rows] == ["sooner", "orders", "later"]

    def test_they_are_filtered_by_the_stage_of_what_they_depend_on(
        self, cast: Cast, three: list[Provider]
    ) -> None:
        assert self.listed(cast, state="urgent") == ["sooner"]
        assert self.listed(cast, state="notice") == ["orders"]
        assert self.listed(cast, state="flagged") == ["orders", "sooner"]

    def test_an_entry_near_its_end_is_found_where_the_chain_ends_in_it(
        self, cast: Cast, three: list[Provider]
    ) -> None:
        seen(three[2], leaf(end=200, issuer=SOON, name="later.example"), anchor=SOON)
        assert self.listed(cast, state="notice") == ["later", "orders"]

    @pytest.mark.parametrize("address", ["/providers/", "/providers.csv", "/", "/replace/"])
    def test_every_list_names_the_link_to_those_who_may_see_addresses(
        self, cast: Cast, three: list[Provider], address: str
    ) -> None:
        said = "server's own certificate sooner.example"
        assert said in text_of(client_of(cast.editor).get(address))
        assert "server's own certificate" in text_of(client_of(cast.viewer).get(address))
        assert "sooner.example" not in text_of(client_of(cast.viewer).get(address))

    def test_the_page_of_a_provider_says_it(self, cast: Cast, three: list[Provider]) -> None:
        page = text_of(client_of(cast.editor).get(three[0].get_absolute_url()))
        assert "sooner fails in 5 days" in page
        assert "because its server's own certificate sooner.example ends" in page

    def test_the_dashboard_puts_it_first(self, cast: Cast, three: list[Provider]) -> None:
        assert "sooner fails in 5 days" in text_of(client_of(cast.owner).get("/"))
