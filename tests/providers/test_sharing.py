"""Share pages: made, opened without an account, confirmed, revoked; what they say and what they never say."""

from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client
from django.urls import reverse

from portal.celery import app
from portal.models import AuditEvent
from providers import services, sharing
from providers.handover import offers
from providers.models import Installed, Provider, SharePage
from stores import watch
from stores.formats import read
from stores.formats.parsed import Upload
from stores.models import Case, Certificate, Notice, Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, Minted, mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ROOT = mint("Example Root", ca=True, end=3000)
ISSUING = mint("Issuing CA 2", ROOT, ca=True, end=2000)
LEAF = mint("orders-client", ISSUING, end=100)
NEXT = mint("orders-client", ISSUING, end=500, key_name="next")
WRONG = ["wrong", "x" * 5000, "%F0%9F%94%91", "..%2e", "' OR 1=1 --", "%ff%fe", "<script>", "0" * 43]


@pytest.fixture
def certificate(cast: Cast) -> Certificate:
    return kept(cast, LEAF, ISSUING, ROOT).certificate


@pytest.fixture
def orders(register: Register, certificate: Certificate) -> Provider:
    """A provider with all that nobody outside may see."""
    return register(
        title="Orders API", key_certificate=certificate, server_name="inner.example.net", authentication="basic",
        user_name="storekeeper-user", password="open sesame",
    )  # fmt: skip


@pytest.fixture
def shared(orders: Provider, cast: Cast) -> tuple[SharePage, str]:
    """The page, and the address that opens it."""
    page, token = sharing.make(
        provider=orders, days=30, note="Both nodes, please.", actor=cast.actor, now=NOW
    )
    return page, reverse("providers:handover", args=[token])


def staged(cast: Cast, activate_at: dt.datetime | None = None) -> Version:
    version = kept(cast, NEXT, ISSUING, ROOT, at_once=False)
    Version.objects.filter(pk=version.pk).update(activate_at=activate_at)
    return version


def opened(address: str, status: int = 200, browser: Client | None = None) -> str:
    answer = (browser or Client()).get(address)
    assert answer.status_code == status
    return " ".join(answer.content.decode().split())


def say(address: str, leaf: Minted = LEAF, name: str = "Jo of ops", **more: Any) -> Any:
    return Client(**more).post(f"{address}installed/", {"sha256": leaf.sha256, "name": name})


def colons(digest: str) -> str:
    return ":".join(digest.upper()[at : at + 2] for at in range(0, 64, 2))


class TestMaking:
    def test_the_link_is_shown_once_and_kept_as_a_digest(self, orders: Provider, cast: Cast) -> None:
        editor = client_of(cast.editor)
        answer: Any = editor.post(reverse("providers:share_make", args=[orders.pk]), {"days": "7"})
        found = re.search(r"/share/([\w-]{43})/", answer.content.decode())
        assert found and "no-store" in answer["Cache-Control"]
        page = SharePage.objects.get()
        assert page.expires_at == NOW + dt.timedelta(days=7)
        assert found[1] not in opened(reverse("providers:share", args=[orders.pk]), browser=editor)
        assert found[1] not in str(SharePage.objects.values())
        assert "Payments calls Orders API" in opened(found[0])

    @pytest.mark.parametrize("days", ["0", "91", "", "x", "-1", "1e9"])
    def test_it_works_for_one_to_ninety_days(self, orders: Provider, cast: Cast, days: str) -> None:
        answer: Any = client_of(cast.editor).post(
            reverse("providers:share_make", args=[orders.pk]), {"days": days}
        )
        assert answer.status_code == 422
        assert "days" in answer.context["form"].errors
        assert not SharePage.objects.exists()

    def test_a_provider_without_a_certificate_has_nothing_to_hand_over(
        self, register: Register, cast: Cast
    ) -> None:
        answer: Any = client_of(cast.editor).post(
            reverse("providers:share_make", args=[register().pk]), {"days": "30"}
        )
        assert answer.status_code == 409
        assert "nothing to hand over" in answer.content.decode()

    def test_viewers_see_the_links_and_make_none(self, shared: Any, cast: Cast, orders: Provider) -> None:
        page = opened(reverse("providers:share", args=[orders.pk]), browser=client_of(cast.viewer))
        assert "Works" in page
        assert "Make the link" not in page
        assert "Revoke" not in page

    def test_deleting_the_provider_takes_its_pages_along(self, shared: Any, cast: Cast) -> None:
        say(shared[1])
        services.delete_provider(provider=shared[0].provider, actor=cast.actor)
        assert not SharePage.objects.exists() and not Installed.objects.exists()
        opened(shared[1], 404)


class TestPage:
    def test_it_says_who_asks_what_is_shown_and_what_to_trust(self, shared: Any) -> None:
        page = opened(shared[1])
        assert "The team “Payments” calls your service “Orders API”" in page
        for one in (LEAF, ISSUING, ROOT):
            assert colons(one.sha256) in page
        assert "Valid from" in page
        assert "Both nodes, please." in page
        said = " ".join(page.split())
        assert "Now, for orders-client: <b>Issuing CA 2</b>, <b>Example Root</b>" in said

    def test_a_scheduled_version_stands_there_with_its_instant(self, shared: Any, cast: Cast) -> None:
        staged(cast, NOW + dt.timedelta(days=20))
        page = opened(shared[1])
        assert "From <time" in page and "in 20 days" in page
        assert colons(NEXT.sha256) in page
        assert page.index(colons(LEAF.sha256)) < page.index(colons(NEXT.sha256))
        assert 'By <time datetime="2026-06-21T12:00:00+00:00">' in page

    def test_a_waiting_version_is_to_be_trusted_before_the_present_one_ends(
        self, shared: Any, cast: Cast
    ) -> None:
        staged(cast)
        page = opened(shared[1])
        assert "the date is not set yet" in page
        assert "when the present one ends" in page

    def test_a_leaf_without_its_issuer_names_the_issuer_first(self, cast: Cast, register: Register) -> None:
        provider = register(key_certificate=kept(cast, LEAF, name="alone").certificate)
        _, token = sharing.make(provider=provider, days=7, note="", actor=cast.actor, now=NOW)
        said = " ".join(opened(reverse("providers:handover", args=[token])).split())
        assert (
            "<b>CN=Issuing CA 2</b>, which comes from the authority itself, or else this certificate alone"
            in said
        )

    def test_a_leaf_that_stands_alone_is_trusted_itself(self, cast: Cast, register: Register) -> None:
        own = mint("alone")
        provider = register(key_certificate=kept(cast, own, name="alone").certificate)
        assert [one.sha256 for one in offers(provider)[0].above] == [own.sha256]

    def test_it_says_nothing_else(self, shared: Any, cast: Cast, register: Register) -> None:
        register(name="billing", host="billing.example.org")
        staged(cast)
        page, provider = opened(shared[1]), shared[0].provider
        private = [
            "orders.example.org", "inner.example.net", "storekeeper-user", "sesame", "billing", "owner@example.org", "Owner",
            provider.pk, shared[0].pk, cast.team.pk, provider.key_certificate_id, *Version.objects.values_list("pk", flat=True),
            "BEGIN", "outbound", "/providers/", "/certificates/", "Dashboard",
        ]  # fmt: skip
        assert [one for one in private if one in page] == []

    def test_who_is_signed_in_sees_the_same(self, shared: Any, cast: Cast) -> None:
        plain = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
        views = {plain.sub("", opened(shared[1], browser=client_of(user))) for user in (None, cast.owner)}
        assert len(views) == 1

    def test_a_provider_that_shows_nothing_any_more(self, shared: Any) -> None:
        Provider.objects.update(key_certificate=None)
        assert "No certificate is shown to you at present" in opened(shared[1])

    @pytest.mark.parametrize("end", ["", "trust.pem"])
    def test_no_search_engine_no_cache_no_referrer(self, shared: Any, end: str) -> None:
        answer = Client().get(shared[1] + end)
        assert "noindex" in answer["X-Robots-Tag"]
        assert "no-store" in answer["Cache-Control"]
        assert answer["Referrer-Policy"] == "strict-origin"


class TestDownloads:
    @pytest.mark.parametrize(("form", "count"), [("pem", 3), ("der", 1), ("p7b", 3)])
    def test_what_is_shown_can_be_had(self, shared: Any, form: str, count: int) -> None:
        answer = Client().get(f"{shared[1]}{LEAF.sha256}.{form}")
        assert answer.status_code == 200
        assert f".{form}" in answer["Content-Disposition"]
        found = read(Upload(name=f"x.{form}", content=answer.content, store="trust"))
        assert len(found.certificates) == count
        assert LEAF.sha256 in {one.sha256 for one in found.certificates}
        assert not found.keys

    def test_what_to_trust_comes_as_one_file(self, shared: Any, cast: Cast) -> None:
        staged(cast)
        answer = Client().get(f"{shared[1]}trust.pem")
        assert answer.content == ISSUING.pem + ROOT.pem

    @pytest.mark.parametrize(
        "end",
        [f"{LEAF.sha256}.exe", f"{'0' * 64}.pem", f"{ROOT.sha256}.pem"],
        ids=["another form", "unknown", "not shown"],
    )
    def test_nothing_else_can(self, shared: Any, end: str) -> None:
        assert opened(shared[1] + end, 404) == opened("/share/wrong/", 404)

    def test_superseded_versions_are_gone(self, shared: Any, cast: Cast) -> None:
        kept(cast, NEXT, ISSUING, ROOT)
        opened(f"{shared[1]}{LEAF.sha256}.pem", 404)
        opened(f"{shared[1]}{NEXT.sha256}.pem")


class TestRefusals:
    def test_all_that_opens_nothing_answers_the_same(self, shared: Any, cast: Cast) -> None:
        page, address = shared
        sharing.revoke(page=page, actor=cast.actor, now=NOW)
        answers = {opened(f"/share/{token}/", 404) for token in WRONG} | {opened(address, 404)}
        answers |= {opened(f"{address}trust.pem", 404)}
        answers |= {" ".join(say(address).content.decode().split())}
        assert len(answers) == 1
        assert "It has expired, was revoked, or was not copied as a whole." in answers.pop()
        assert not Installed.objects.exists()

    def test_it_expires_to_the_second(self, shared: Any) -> None:
        last = NOW + dt.timedelta(days=30)
        for instant, status in ((last - dt.timedelta(seconds=1), 200), (last, 404)):
            with time_machine.travel(instant, tick=False):
                opened(shared[1], status)

    def test_revoking_twice_is_once(self, shared: Any, cast: Cast, orders: Provider) -> None:
        editor = client_of(cast.editor)
        for _ in range(2):
            answer: Any = editor.post(reverse("providers:share_revoke", args=[shared[0].pk]))
            assert answer.url == reverse("providers:share", args=[orders.pk])
        assert AuditEvent.objects.filter(action="share.revoked").count() == 1
        assert "Revoked" in opened(answer.url, browser=editor)

    @pytest.mark.parametrize("method", ["put", "delete", "post"])
    def test_other_methods(self, shared: Any, method: str) -> None:
        assert getattr(Client(), method)(shared[1]).status_code == 405

    def test_a_form_of_another_site_is_refused(self, shared: Any) -> None:
        assert say(shared[1], enforce_csrf_checks=True).status_code == 403
        assert not Installed.objects.exists()


class TestInstalled:
    def test_it_is_evidence_on_the_open_case_which_stays_open(
        self, shared: Any, cast: Cast, certificate: Certificate
    ) -> None:
        late = NOW + dt.timedelta(days=95)
        SharePage.objects.update(expires_at=late + dt.timedelta(days=1))
        watch.find_due(late)
        with time_machine.travel(late, tick=False):
            assert say(shared[1]).url == shared[1]
            case = Case.objects.open().get(certificate=certificate)
            assert case.evidence == [
                {
                    "kind": "installed",
                    "provider": "Orders API",
                    "version": 1,
                    "said_by": "Jo of ops",
                    "at": late.isoformat(),
                }
            ]
            for address in (certificate.get_absolute_url(), reverse("stores:cases")):
                assert "Orders API says that version 1 is installed" in opened(
                    address, browser=client_of(cast.viewer)
                )

    def test_the_owner_is_told_once_however_often_it_is_said(self, shared: Any, cast: Cast) -> None:
        for name in ("Jo of ops", "Somebody else", ""):
            assert say(shared[1], name=name).status_code == 302
        assert Installed.objects.get().said_by == "Jo of ops"
        notices = Notice.objects.filter(channel="portal")
        assert [one.user for one in notices] == [cast.owner]
        assert "Orders API has installed version 1 of orders-client" in notices[0].title
        assert AuditEvent.objects.filter(action="share.installed").count() == 1
        assert "You told the team (“Jo of ops”)" in opened(shared[1])
        assert "Jo of ops" in opened(
            reverse("providers:share", args=[shared[0].provider_id]), browser=client_of(cast.viewer)
        )

    def test_the_next_version_is_confirmed_by_itself(self, shared: Any, cast: Cast) -> None:
        staged(cast)
        say(shared[1], NEXT)
        page = opened(shared[1])
        assert page.count("You told the team") == 1
        assert page.count("We have installed it") == 1

    def test_what_was_replaced_meanwhile_is_not_confirmed(self, shared: Any, cast: Cast) -> None:
        kept(cast, NEXT, ISSUING, ROOT)
        answer = say(shared[1])
        assert answer.status_code == 409
        assert "replaced while you had this page open" in answer.content.decode()
        assert not Installed.objects.exists()

    @pytest.mark.parametrize(("name", "says"), [("x" * 201, "200"), ("a\u202eb", "invisible")])
    def test_a_hostile_name_is_refused_beside_its_field(self, shared: Any, name: str, says: str) -> None:
        answer = say(shared[1], name=name)
        assert answer.status_code == 422
        assert says in answer.content.decode()

    @pytest.mark.parametrize(
        "sha256",
        ["", "x", "0" * 64, ROOT.sha256, "\x00", "A" * 64],
        ids=["nothing", "short", "unknown", "not shown", "NUL", "upper case"],
    )
    def test_only_what_is_shown_can_be_confirmed(self, shared: Any, sha256: str) -> None:
        answer = Client().post(f"{shared[1]}installed/", {"sha256": sha256})
        assert answer.status_code in (409, 422)
        assert not Installed.objects.exists()

    def test_markup_in_a_name_is_text(self, shared: Any, cast: Cast) -> None:
        say(shared[1], name="<b>Jo</b>")
        assert "&lt;b&gt;Jo" in opened(shared[1])


class TestAudit:
    def test_every_view_is_audited_and_a_flood_is_bounded(self, shared: Any) -> None:
        for seconds in (0, 1, 59, 60, 61, 120):
            with time_machine.travel(NOW + dt.timedelta(seconds=seconds), tick=False):
                Client().get(shared[1], REMOTE_ADDR="192.0.2.7")
        Client().get(shared[1], REMOTE_ADDR="192.0.2.8")
        rows = AuditEvent.objects.filter(action="share.viewed").order_by("pk")
        assert [row.address for row in rows] == ["192.0.2.7"] * 3 + ["192.0.2.8"]
        assert {(row.actor, row.actor_name, row.team) for row in rows} == {
            (None, "whoever has the link", shared[0].team)
        }

    def test_a_signed_in_browser_is_whoever_has_the_link(self, shared: Any, cast: Cast) -> None:
        client_of(cast.editor).get(shared[1])
        assert AuditEvent.objects.get(action="share.viewed").actor is None

    def test_downloads_are_audited(self, shared: Any) -> None:
        Client().get(f"{shared[1]}trust.pem")
        assert AuditEvent.objects.filter(action="share.downloaded").count() == 1

    def test_it_is_known_when_it_was_last_opened(self, shared: Any) -> None:
        with time_machine.travel(NOW + dt.timedelta(days=3), tick=False):
            opened(shared[1])
        shared[0].refresh_from_db()
        assert shared[0].seen_at == NOW + dt.timedelta(days=3)


@pytest.mark.django_db(transaction=True)
def test_the_secret_is_in_no_table_log_or_message(
    cast: Cast, orders: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[object] = []
    log = io.StringIO()
    [console] = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    monkeypatch.setattr(console, "stream", log)
    monkeypatch.setattr(app, "send_task", lambda *args, **kwargs: sent.append((args, kwargs)))
    monkeypatch.setattr(logging.getLogger("django"), "level", logging.DEBUG)
    answer: Any = client_of(cast.editor).post(
        reverse("providers:share_make", args=[orders.pk]), {"days": "7"}
    )
    token = re.search(r"/share/([\w-]{43})/", answer.content.decode())[1]  # type: ignore[index]
    address = f"/share/{token}/"
    opened(address)
    say(address)
    say(address, enforce_csrf_checks=True)
    Client().put(address)
    sharing.revoke(page=SharePage.objects.get(), actor=cast.actor, now=NOW)
    opened(address, 404)
    assert log.getvalue().count("/share/…/") == 3
    assert token not in log.getvalue()
    assert token not in json.dumps(sent, default=str)
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            assert token not in str(cursor.fetchall()), table
