"""Chains against trust entries, without any connection."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography import x509

from providers.connection.verify import Verdict, public_roots, verify
from tests.material import NOW, Minted, mint

ROOT = mint("Example Root", ca=True, end=3_650)
ISSUING = mint("Example Issuing CA", ROOT, ca=True, end=1_000)
LEAF = mint("orders.example", ISSUING)
OTHER = mint("Other Root", ca=True)
SELF = mint("self.example")
DAY = dt.timedelta(days=1)


def judged(*chain: Minted, trust: tuple[Minted, ...] = (ROOT,), now: dt.datetime = NOW) -> Verdict:
    return verify([one.certificate for one in chain], [one.certificate for one in trust], now)


def path(verdict: Verdict) -> list[x509.Certificate]:
    return list(verdict.path)


def certificates(*minted: Minted) -> list[x509.Certificate]:
    return [one.certificate for one in minted]


class TestAnchors:
    @pytest.mark.parametrize(
        ("trust", "anchor"),
        [
            ((ROOT,), ROOT),
            ((OTHER, ROOT), ROOT),
            ((ISSUING,), ISSUING),
            ((LEAF,), LEAF),
            ((ROOT, ISSUING), ISSUING),
            ((ROOT, LEAF), LEAF),
            ((ROOT, ROOT), ROOT),
        ],
        ids=lambda one: "",
    )
    def test_any_certificate_may_be_one(self, trust: tuple[Minted, ...], anchor: Minted) -> None:
        verdict = judged(LEAF, ISSUING, trust=trust)
        assert verdict.code == "ok"
        assert verdict.anchor == anchor.certificate == verdict.path[-1]

    def test_only_entries_are_trusted(self) -> None:
        assert judged(LEAF, ISSUING, ROOT, trust=(OTHER,)).anchor is None
        assert judged(LEAF, ISSUING, trust=()).code == "untrusted_issuer"

    def test_an_entry_may_bring_what_the_server_does_not_send(self) -> None:
        verdict = judged(LEAF, trust=(ROOT, ISSUING))
        assert path(verdict) == certificates(LEAF, ISSUING)

    def test_of_two_entries_with_one_key_the_valid_one_counts(self) -> None:
        old = mint("Renewed Root", ca=True, begin=-400, end=-1)
        new = mint("Renewed Root", ca=True, begin=-2, end=400)
        leaf = mint("leaf", new)
        for trust in ((old, new), (new, old)):
            assert judged(leaf, trust=trust).anchor == new.certificate
        assert judged(leaf, trust=(old,)).code == "untrusted_issuer"

    def test_the_public_roots_do_not_know_ours(self) -> None:
        assert len(public_roots()) > 50
        assert verify(certificates(LEAF, ISSUING), public_roots(), NOW).code == "untrusted_issuer"


class TestOrder:
    def test_is_told_when_it_is_another(self) -> None:
        verdict = judged(LEAF, ROOT, ISSUING)
        assert (verdict.code, verdict.reordered) == ("ok", True)
        assert path(verdict) == certificates(LEAF, ISSUING, ROOT)

    @pytest.mark.parametrize("chain", [(LEAF, ISSUING), (LEAF, ISSUING, ROOT), (LEAF, ISSUING, OTHER)])
    def test_is_not_told_otherwise(self, chain: tuple[Minted, ...]) -> None:
        assert not judged(*chain).reordered


class TestDates:
    def test_a_leaf_that_has_ended_comes_before_everything(self) -> None:
        late = mint("late.example", end=-1)
        verdict = judged(late)
        assert (verdict.code, verdict.culprit) == ("server_certificate_expired", late.certificate)

    def test_an_intermediate_that_has_ended(self) -> None:
        ended = mint("Ended CA", ROOT, ca=True, end=-1)
        verdict = judged(mint("leaf", ended), ended)
        assert (verdict.code, verdict.culprit) == ("server_certificate_expired", ended.certificate)

    def test_a_leaf_that_begins_later(self) -> None:
        verdict = judged(mint("leaf", ROOT, begin=1))
        assert verdict.code == "server_certificate_not_yet_valid"

    def test_the_instant_is_the_one_that_is_asked_for(self) -> None:
        end = LEAF.certificate.not_valid_after_utc
        assert judged(LEAF, ISSUING, now=end).code == "ok"
        assert judged(LEAF, ISSUING, now=end + DAY).code == "server_certificate_expired"

    def test_two_instants_at_once_do_not_mix(self) -> None:
        instants = [NOW, NOW + 500 * DAY] * 50
        chain = [one.certificate for one in (LEAF, ISSUING)]
        roots = public_roots()
        with ThreadPoolExecutor(8) as threads:
            codes = list(threads.map(lambda now: verify(chain, roots, now).code, instants))
        assert codes == ["untrusted_issuer", "server_certificate_expired"] * 50

    def test_an_entry_of_ours_that_has_ended_is_ours(self) -> None:
        ended = mint("Ended Root", ca=True, end=-1)
        verdict = judged(mint("leaf", ended), trust=(ended,))
        assert (verdict.code, verdict.ours, verdict.culprit) == ("untrusted_issuer", True, ended.certificate)

    def test_an_old_root_sent_along_does_not_matter(self) -> None:
        crossed = mint("Example Root", OTHER, key_name="Example Root", ca=True, end=-1)
        assert judged(LEAF, ISSUING, crossed).code == "ok"


class TestUntrusted:
    def test_self_signed(self) -> None:
        assert judged(SELF).code == "server_self_signed"
        assert judged(SELF, trust=(SELF,)).code == "ok"

    def test_a_chain_that_leads_to_another_root(self) -> None:
        verdict = judged(LEAF, ISSUING, ROOT, trust=(OTHER,))
        assert (verdict.code, verdict.culprit) == ("untrusted_issuer", ROOT.certificate)

    @pytest.mark.parametrize(
        "leaf",
        [LEAF, mint("leaf", OTHER, issuer_url="http://ca.example/issuer.crt")],
        ids=["by the issuer's name", "by where it can be had"],
    )
    def test_a_missing_intermediate(self, leaf: Minted) -> None:
        assert judged(leaf).code == "server_chain_incomplete"

    @pytest.mark.parametrize(
        "leaf",
        [mint("leaf", OTHER), mint("leaf", mint("Example Root", key_name="another", ca=True))],
        ids=["directly below another root", "another root of the same name"],
    )
    def test_a_root_that_is_no_entry(self, leaf: Minted) -> None:
        assert judged(leaf).code == "untrusted_issuer"

    def test_an_issuer_that_is_no_authority(self) -> None:
        verdict = judged(mint("leaf", LEAF), LEAF, ISSUING)
        assert verdict.code == "untrusted_issuer"
        assert "CA" in verdict.reason

    def test_a_loop_ends(self) -> None:
        first = mint("Loop A", ca=True)
        second = mint("Loop B", first, ca=True)
        back = mint("Loop A", second, key_name="Loop A", ca=True)
        assert judged(mint("leaf", second), second, back).code == "untrusted_issuer"
