"""The page of one case: what it says in each of its states, and what people of each role can do there."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from portal.models import AuditEvent, Membership, User
from providers.models import ConnectionReport, Provider
from stores import case_work, cases, issuers, watch
from stores.models import Case, Certificate, IssuerNote
from tests.cast import Cast, client_of
from tests.material import NOW
from tests.stores.test_cases import supersede
from tests.stores.watched import Link, day, watched

pytestmark = pytest.mark.usefixtures("now")


@pytest.fixture
def case(cast: Cast) -> Case:
    """Of a certificate of the editor that two providers use, one of them on premise; it fails in 5 days."""
    version = watched(
        cast.team, Link("orders", end=5), Link("Issuing CA", end=3, life=3000), owner=cast.editor
    )
    Provider.objects.create(
        team=cast.team,
        name="orders",
        title="Orders API",
        host="orders.example.org",
        key_certificate=version.certificate,
    )
    watch.find_due(NOW)
    return Case.objects.get()


def text_of(answer: Any) -> str:
    """The page's words, without tags."""
    main = answer.content.decode().split("<main")[1].split("</main>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", main).split())


def shown(user: User, case: Case) -> str:
    return text_of(client_of(user).get(case.get_absolute_url()))


def seen(case: Case, number: int, at: float = 0) -> None:
    """A test that passed with the version."""
    version = case.certificate.versions.get(number=number)
    ConnectionReport.objects.create(
        team=case.team, provider=Provider.objects.get(name="orders"), reason="asked", state="done", ok=True, code="ok",
        asked_at=day(at), finished_at=day(at), shown=version,
    )  # fmt: skip


def replace(case: Case, end: float = 400, at: float = 1) -> None:
    supersede(case.team, Link("orders", end=end), at=day(at))


class TestWhatItSays:
    def test_what_fails_when_why_who_and_what_will_show_that_it_is_done(self, cast: Cast, case: Case) -> None:
        page = shown(cast.viewer, case)
        assert "orders-client fails in 3 days" in page
        assert (
            "because Issuing CA, a link of its chain, ends. The certificate itself would last until" in page
        )
        assert "Who has it Editor Open since" in page
        assert "Missing the next version, active" in page
        assert "After that Orders API , seen with it" in page
        assert "Opened 1 Jun 2026, 12:00 UTC Urgent: Issuing CA ends on 4 June 2026." in page

    def test_what_nothing_uses_is_to_be_deleted_by_an_owner(self, cast: Cast, case: Case) -> None:
        Provider.objects.all().delete()
        assert "Delete it" in shown(cast.owner, case)
        page = shown(cast.editor, case)
        assert "Nothing uses it." in page
        assert "Delete it if" in page
        assert "so nothing has to be seen" in page

    def test_while_it_waits_for_proof_it_says_what_is_missing(self, cast: Cast, case: Case) -> None:
        Provider.objects.create(
            team=cast.team, name="billing", host="b.example.org", key_certificate=case.certificate
        )
        replace(case)
        seen(case, 2, at=2)
        cases.settle_all(day(2))
        answer = client_of(cast.editor).get(case.get_absolute_url())
        page = text_of(answer)
        assert "Version 2 is active, 1 of 2 seen" in page
        assert "Not seen yet billing Test it now" in page
        assert "Seen Orders API" in page
        assert (
            f'action="/providers/{Provider.objects.get(name="billing").pk}/test/"' in answer.content.decode()
        )
        assert "Test it now" not in shown(cast.viewer, case)

    def test_what_was_seen_stays_seen_when_the_report_is_gone(self, cast: Cast, case: Case) -> None:
        other = Provider.objects.create(
            team=cast.team, name="billing", host="b.example.org", key_certificate=case.certificate
        )
        replace(case)
        seen(case, 2, at=2)
        cases.settle_all(day(2))
        ConnectionReport.objects.all().delete()
        assert "1 of 2 seen" in shown(cast.viewer, case)
        other.delete()
        assert cases.settle_all(day(3)) == 1

    def test_closed_it_stays_readable_with_its_evidence(self, cast: Cast, case: Case) -> None:
        replace(case)
        seen(case, 2, at=2)
        assert cases.settle_all(day(2)) == 1
        page = shown(cast.viewer, case)
        assert "What showed that it is done Active version 2" in page
        assert "Seen Orders API with version 2" in page
        assert "Take it" not in shown(cast.owner, case)
        certificate = client_of(cast.viewer).get(f"/certificates/{case.certificate_id}/history/")
        assert case.get_absolute_url() in certificate.content.decode()

    @pytest.mark.parametrize(
        ("end", "said"),
        [(3, "at the same time as the one before"), (2, "before the one before"), (20, "soon as well")],
    )
    def test_a_replacement_that_ends_no_later_or_soon_says_so(
        self, cast: Cast, case: Case, end: float, said: str
    ) -> None:
        replace(case, end)
        page = shown(cast.viewer, case)
        assert f"Stays open 2 Jun 2026, 12:00 UTC Version 2 ends {said}: orders, " in page
        assert "when the certificate itself ends" in page, "the end of the new one, before it is flagged"

    def test_an_old_version_that_is_restored_says_that_it_is_the_one(self, cast: Cast, case: Case) -> None:
        old = case.version
        replace(case)
        with transaction.atomic():
            watch.stop(old.certificate.versions.get(number=2), day(2))
            old.certificate.versions.filter(number=2).update(state="superseded")
            watch.start(old, day(2), state="active", activated_at=day(2))
            cases.replaced(old, day(2))
        page = shown(cast.viewer, case)
        assert "Version 1 is the one that has to be replaced" in page
        assert "orders-client fails in 3 days" in page

    def test_snoozed_it_says_until_when_and_why(self, cast: Cast, case: Case) -> None:
        case_work.snooze(
            case=case, until=day(2), reason="See https://t.example.org", actor=cast.actor, now=NOW
        )
        page = client_of(cast.editor).get(case.get_absolute_url()).content.decode()
        assert '<a href="https://t.example.org" rel="nofollow">' in page
        assert "Wake it now" in page

    def test_who_left_the_team_is_named(self, cast: Cast, case: Case) -> None:
        Membership.objects.filter(user=cast.editor).delete()
        page = shown(cast.viewer, case)
        assert (
            "The team's owners , since nobody has taken it Editor had it, and is no longer in the team."
            in page
        )

    def test_what_is_typed_means_nothing_to_a_browser(self, cast: Cast, case: Case) -> None:
        text = '<script>alert(1)</script> javascript:alert(1) www.a.example/"onclick=x \u202eevil'
        case_work.note(case=case, text=text, actor=cast.actor, now=NOW)
        page = client_of(cast.viewer).get(case.get_absolute_url()).content.decode()
        assert "&lt;script&gt;alert(1)" in page
        assert 'href="javascript' not in page
        assert "\u202e" not in page
        assert '"onclick' not in page

    def test_queries_do_not_grow(self, cast: Cast, case: Case) -> None:
        replace(case)
        few = self.count(cast, case)
        for number in range(30):
            Provider.objects.create(
                team=cast.team, name=f"p{number}", host="h.example.org", key_certificate=case.certificate
            )
            case_work.note(case=case, text="x", actor=cast.actor, now=NOW)
        assert self.count(cast, case) == few <= 24

    def count(self, cast: Cast, case: Case) -> int:
        client = client_of(cast.owner)
        with CaptureQueriesContext(connection) as queries:
            assert client.get(case.get_absolute_url()).status_code == 200
        return len(queries)


class TestWhatCanBeDone:
    def post(self, user: User, case: Case, what: str, **fields: str) -> Any:
        return client_of(user).post(f"{case.get_absolute_url()}{what}/", fields)

    def test_an_editor_takes_hands_notes_snoozes_and_wakes(self, cast: Cast, case: Case) -> None:
        for what, fields in (
            ("take", {"seen": case_work.holding(case)}),
            ("note", {"text": "Asked."}),
            ("snooze", {"until": "2026-06-03", "reason": "It comes tomorrow."}),
            ("wake", {}),
            ("hand", {"to": str(cast.owner.pk), "words": "Please."}),
        ):
            answer = self.post(cast.editor, case, what, **fields)
            assert (answer.status_code, answer.headers["Location"]) == (302, case.get_absolute_url()), what
        kinds = list(case.events.values_list("kind", flat=True))
        assert kinds == ["opened", "noted", "snoozed", "woken", "handed"]
        assert AuditEvent.objects.filter(object_type="case").count() == 4

    def test_a_viewer_is_offered_nothing(self, cast: Cast, case: Case) -> None:
        page = client_of(cast.viewer).get(case.get_absolute_url()).content.decode().split("<main")[1]
        assert "<form" not in page
        assert "btn-primary" not in page

    def test_days_are_those_of_the_user(self, cast: Cast, case: Case) -> None:
        User.objects.filter(pk=cast.editor.pk).update(time_zone="Asia/Tokyo")
        self.post(cast.editor, case, "snooze", until="2026-06-03", reason="x")
        case.refresh_from_db()
        assert case.snoozed_until and case.snoozed_until.isoformat() == "2026-06-02T15:00:00+00:00"

    @pytest.mark.parametrize(
        ("what", "fields", "field", "said"),
        [
            ("snooze", {"until": "2026-06-01", "reason": "x"}, "until", "has begun already"),
            ("snooze", {"until": "2026-06-05", "reason": "x"}, "until", "It fails on 4 June 2026"),
            ("snooze", {"until": "soon", "reason": "x"}, "until", "Type the day as"),
            ("snooze", {"until": "9999-12-31", "reason": "x"}, "until", "It fails on"),
            ("snooze", {"until": "0001-01-01", "reason": "x"}, "until", "from tomorrow on"),
            ("snooze", {"until": "2026-06-03"}, "reason", "Say why it can wait"),
            ("note", {"text": " "}, "text", "This field is required"),
            ("hand", {"to": "999999"}, "to", "no editor of the team"),
            ("hand", {"to": "x"}, "to", "no editor of the team"),
            ("hand", {}, "to", "This field is required"),
        ],
    )
    def test_what_is_refused_stands_at_its_field_and_keeps_what_was_typed(
        self, cast: Cast, case: Case, what: str, fields: dict[str, str], field: str, said: str
    ) -> None:
        User.objects.filter(pk=cast.editor.pk).update(time_zone="Asia/Tokyo")
        answer = self.post(cast.editor, case, what, **fields)
        assert answer.status_code == 422
        form = answer.context[what]
        assert said in str(form.errors[field])
        assert f'id="{form[field].auto_id}_error"' in answer.content.decode()
        assert all(form[name].value() == value for name, value in fields.items())

    def test_who_takes_it_too_late_sees_who_has_it(self, cast: Cast, case: Case) -> None:
        before = case_work.holding(case)
        case_work.take(case=case, seen=before, actor=cast.actor, now=NOW)
        chief = User.objects.create_user(email="chief@example.org")
        Membership.objects.create(team=cast.team, user=chief, role="editor")
        answer = self.post(chief, case, "take", seen=before)
        assert answer.status_code == 409
        assert "Owner has taken it meanwhile" in text_of(answer)

    def test_what_is_closed_meanwhile_says_so(self, cast: Cast, case: Case) -> None:
        Case.objects.update(closed_at=NOW)
        answer = self.post(cast.editor, case, "note", text="x")
        assert answer.status_code == 409
        assert "done, and closed by now" in text_of(answer)


class TestHowToRenew:
    def post(self, user: User, certificate: Certificate, text: str, seen: str = "") -> Any:
        return client_of(user).post(f"/certificates/{certificate.pk}/renewal/", {"text": text, "seen": seen})

    def test_it_stands_where_certificates_of_the_issuer_are_replaced(self, cast: Cast, case: Case) -> None:
        answer = self.post(cast.editor, case.certificate, "Ask https://pki.example.org\nor Jo.")
        assert answer.headers["Location"] == case.get_absolute_url()
        for address in (case.get_absolute_url(), case.certificate.get_absolute_url(), "/team/renewal/"):
            page = client_of(cast.viewer).get(address).content.decode()
            assert ">https://pki.example.org</a><br>or Jo." in page, address
        event = AuditEvent.objects.get(action="issuer_note.written")
        assert event.object_name == "how to renew certificates of CN=Somebody"

    def test_the_list_names_issuers_without_a_note(self, cast: Cast, case: Case) -> None:
        page = client_of(cast.editor).get("/team/renewal/").content.decode()
        assert "CN=Somebody" in page
        assert f"/certificates/{case.certificate_id}/renewal/" in page
        assert "Write it down" not in client_of(cast.viewer).get("/team/renewal/").content.decode()
        assert "CN=Somebody" not in client_of(cast.outsider).get("/team/renewal/").content.decode()
        self.post(cast.editor, case.certificate, "Ask.")
        assert issuers.without_note(cast.team) == []

    def test_an_empty_text_removes_it(self, cast: Cast, case: Case) -> None:
        self.post(cast.editor, case.certificate, "Ask.")
        note = IssuerNote.objects.get()
        answer = client_of(cast.editor).post(
            f"/team/renewal/{note.pk}/", {"text": " ", "seen": issuers.stamp(note)}
        )
        assert answer.headers["Location"] == "/team/renewal/"
        assert not IssuerNote.objects.exists()
        assert AuditEvent.objects.filter(action="issuer_note.removed").exists()

    def test_what_somebody_else_wrote_meanwhile_is_not_lost(self, cast: Cast, case: Case) -> None:
        self.post(cast.owner, case.certificate, "Theirs.")
        answer = self.post(cast.editor, case.certificate, "Mine.")
        assert answer.status_code == 409
        page = text_of(answer)
        assert "Owner changed this note while you wrote" in page
        assert "Theirs." in page
        assert answer.context["form"]["text"].value() == "Mine."
        again = answer.context["form"].data | {"text": "Both."}
        assert self.post(cast.editor, case.certificate, **again).status_code == 302
        assert IssuerNote.objects.get().text == "Both."

    def test_too_much_is_refused(self, cast: Cast, case: Case) -> None:
        answer = self.post(cast.editor, case.certificate, "x" * 4001)
        assert answer.status_code == 422
        assert "at most 4000 characters" in str(answer.context["form"].errors["text"])

    def test_what_others_have_issued_to_themselves_nobody_here_renews(self, cast: Cast) -> None:
        bundle = watched(cast.team, Link("Root", end=500), kind="trust", name="partners")
        assert self.post(cast.editor, bundle.certificate, "Ask.").status_code == 400
        assert not IssuerNote.objects.exists()
