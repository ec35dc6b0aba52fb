"""Pinned keys: taken from what was seen or from a file, never without a backup; removed and put back; warned of before they break."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.errors import PortalError
from portal.models import AuditEvent
from providers import addresses, pins
from providers.connection.report import Report, ServerCertificate
from providers.models import ConnectionReport, Provider, Rehearsal
from stores import warning
from stores.formats.certificates import read_certificate
from stores.models import Certificate, Version
from tests.cast import Cast, client_of, kept
from tests.material import NOW, SERVER, Minted, mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
ROOT = mint("Acme Root", ca=True, end=3000)
ISSUING = mint("Acme Issuing", ROOT, ca=True, end=2000)
SERVER_LEAF = mint("orders.example.org", ISSUING, usages=[SERVER], end=100)
BACKUP = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.b64encode(bytes(range(1, 33))).decode()


def facts(one: Minted) -> ServerCertificate:
    return ServerCertificate.of(read_certificate(one.der, "a chain")[0])


def pin(one: Minted) -> str:
    return facts(one).spki_pin


def saw(provider: Provider, *chain: Minted, anchor: Minted = ROOT) -> ConnectionReport:
    """A test that passed and saw this chain; the last good one."""
    seen = Report(True, "ok", "", server_chain=tuple(map(facts, chain)), anchor=facts(anchor))
    report = ConnectionReport.objects.create(
        team=provider.team, provider=provider, reason="asked", state="done", ok=True, code="ok",
        asked_at=NOW, finished_at=NOW, details=seen.to_dict(),
    )  # fmt: skip
    Provider.objects.filter(pk=provider.pk).update(last_good=report)
    return report


@pytest.fixture
def trusted(cast: Cast) -> Certificate:
    return kept(cast, ROOT, name="acme-root", store="Partner CAs", kind="trust").certificate


@pytest.fixture
def orders(register: Register, trusted: Certificate) -> Provider:
    return register(title="Orders API", trust_store=trusted.store)


@pytest.fixture
def seen(orders: Provider) -> Provider:
    """Its server was seen with three certificates."""
    saw(orders, SERVER_LEAF, ISSUING, ROOT)
    return orders


@pytest.fixture
def editor(cast: Cast) -> Client:
    return client_of(cast.editor)


def pins_of(provider: Provider) -> list[str]:
    return list(Provider.objects.get(pk=provider.pk).spki_pins)


def keep(browser: Client, provider: Provider, **fields: Any) -> Any:
    return browser.post(reverse("providers:pins_keep", args=[provider.pk]), fields)


def page_of(browser: Client, provider: Provider, query: str = "") -> Any:
    answer = browser.get(reverse("providers:pins", args=[provider.pk]) + query)
    assert answer.status_code == 200
    return answer


class TestBackup:
    @pytest.mark.parametrize("kept_pins", [[], [pin(SERVER_LEAF), BACKUP], [BACKUP, OTHER]])
    def test_one_that_the_server_does_not_use_yet_suffices(self, kept_pins: list[str]) -> None:
        assert addresses.with_backup(kept_pins, [pin(SERVER_LEAF), pin(ISSUING)]) == kept_pins

    @pytest.mark.parametrize("kept_pins", [[BACKUP], [pin(SERVER_LEAF)], [pin(SERVER_LEAF), pin(ISSUING)]])
    def test_without_one_the_sentence_says_how_to_make_it(self, kept_pins: list[str]) -> None:
        with pytest.raises(ValueError, match="A backup pin is missing") as refused:
            addresses.with_backup(kept_pins, [pin(SERVER_LEAF), pin(ISSUING)])
        for command in addresses.BACKUP_COMMANDS:
            assert command in str(refused.value)

    def test_the_same_rule_holds_in_the_service(self, seen: Provider, cast: Cast) -> None:
        with pytest.raises(PortalError) as refused:
            pins.keep(provider=seen, pins=[pin(SERVER_LEAF), pin(ISSUING)], actor=cast.actor)
        assert refused.value.field == "pins"
        assert pins_of(seen) == []

    def test_a_backup_that_is_in_use_by_now_does_not_stop_other_edits(
        self, seen: Provider, cast: Cast
    ) -> None:
        pins.keep(provider=seen, pins=[pin(SERVER_LEAF), BACKUP], actor=cast.actor)
        Provider.objects.filter(pk=seen.pk).update(spki_pins=[pin(SERVER_LEAF), pin(ISSUING)])
        seen.refresh_from_db()
        seen.title = "Orders"
        seen.clean()
        seen.spki_pins = [pin(SERVER_LEAF)]
        with pytest.raises(Exception, match="A backup pin is missing"):
            seen.clean()


class TestPage:
    def test_the_servers_own_key_is_proposed(self, seen: Provider, editor: Client) -> None:
        form = page_of(editor, seen).context["form"]
        assert form.initial == {"seen": [pin(SERVER_LEAF)], "pins": []}
        assert [label for _, label in form.fields["seen"].choices] == [
            "orders.example.org",
            "Acme Issuing",
            "Acme Root",
        ]

    def test_a_link_proposes_another_one(self, seen: Provider, editor: Client) -> None:
        query = f"?pin={pin(ISSUING).replace('+', '%2B')}"
        assert page_of(editor, seen, query).context["form"].initial["seen"] == [pin(ISSUING)]

    def test_what_is_ticked_and_typed_is_kept_and_audited(self, seen: Provider, editor: Client) -> None:
        answer = keep(editor, seen, seen=[pin(SERVER_LEAF)], pins=f'pin-sha256="{BACKUP}"')
        assert answer.status_code == 302
        assert pins_of(seen) == [pin(SERVER_LEAF), BACKUP]
        event = AuditEvent.objects.filter(action="provider.edited").latest("pk")
        assert event.facts == {"changed": ["spki_pins"]}
        page = page_of(editor, seen).content.decode()
        assert "In the chain" in page and "Backup" in page

    def test_without_a_backup_it_is_refused_with_the_command(self, seen: Provider, editor: Client) -> None:
        answer = keep(editor, seen, seen=[pin(SERVER_LEAF)])
        assert answer.status_code == 422
        assert "A backup pin is missing" in str(answer.context["form"].errors["pins"])
        assert "openssl genpkey" in answer.content.decode()
        assert pins_of(seen) == []

    def test_a_file_gives_its_pin(self, seen: Provider, editor: Client) -> None:
        file = SimpleUploadedFile("next.pem", mint("next.example.org").pem)
        keep(editor, seen, seen=[pin(SERVER_LEAF)], file=file)
        assert pins_of(seen) == [pin(SERVER_LEAF), pin(mint("next.example.org"))]

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            (b"", "empty"),
            (b"\x00garbage", "is no"),
            (ROOT.pem + ISSUING.pem, "holds 2 certificates"),
            (b"x" * 1_100_000, "1 MiB"),
        ],
    )
    def test_another_file_is_refused_beside_its_field(
        self, seen: Provider, editor: Client, content: bytes, says: str
    ) -> None:
        answer = keep(editor, seen, pins=f"{BACKUP}\n{OTHER}", file=SimpleUploadedFile("x.pem", content))
        assert answer.status_code == 422
        assert says in str(answer.context["form"].errors["file"])
        assert pins_of(seen) == []

    def test_before_the_server_was_seen_pins_are_typed(self, orders: Provider, editor: Client) -> None:
        assert "has not been seen yet" in page_of(editor, orders).content.decode()
        assert keep(editor, orders, pins="x").status_code == 422
        assert keep(editor, orders, seen=[pin(SERVER_LEAF)], pins=BACKUP).status_code == 422
        assert keep(editor, orders, pins=f"{BACKUP}\n{OTHER}").status_code == 302
        assert pins_of(orders) == [BACKUP, OTHER]

    def test_one_click_removes_them_and_one_puts_them_back(self, seen: Provider, editor: Client) -> None:
        keep(editor, seen, seen=[pin(SERVER_LEAF)], pins=BACKUP)
        for _ in range(2):
            assert editor.post(reverse("providers:pins_remove", args=[seen.pk])).status_code == 302
        assert pins_of(seen) == []
        answer = page_of(editor, seen)
        assert answer.context["removed"] == [pin(SERVER_LEAF), BACKUP]
        assert f"{pin(SERVER_LEAF)}&#10;{BACKUP}</textarea>" in answer.content.decode()
        keep(editor, seen, pins=f"{pin(SERVER_LEAF)}\n{BACKUP}")
        assert pins_of(seen) == [pin(SERVER_LEAF), BACKUP]
        assert page_of(editor, seen).context["removed"] == []

    def test_viewers_see_pins_and_no_names_of_servers(self, seen: Provider, cast: Cast) -> None:
        pins.keep(provider=seen, pins=[pin(SERVER_LEAF), BACKUP], actor=cast.actor)
        page = page_of(client_of(cast.viewer), seen).content.decode()
        assert BACKUP in page
        assert "orders.example.org" not in page
        assert "Keep these pins" not in page

    def test_without_tls_there_is_nothing_to_pin(self, register: Register, editor: Client) -> None:
        plain = register(name="plain", use_tls=False)
        assert "no key to pin" in page_of(editor, plain).content.decode()
        assert keep(editor, plain, pins=f"{BACKUP}\n{OTHER}").status_code == 422


class TestWarnings:
    """Before a trust store entry is replaced."""

    def of(self, certificate: Certificate, *entries: Minted) -> list[str]:
        chain = [read_certificate(one.der, "x")[0] for one in entries]
        return warning.warnings(Certificate.objects.get(pk=certificate.pk), chain)

    def pinned(self, provider: Provider, *keys: str) -> None:
        Provider.objects.filter(pk=provider.pk).update(spki_pins=[*keys, BACKUP])

    @pytest.mark.parametrize("broken", [ROOT, ISSUING])
    def test_a_pin_above_the_leaf_breaks_with_another_root(
        self, seen: Provider, trusted: Certificate, broken: Minted
    ) -> None:
        self.pinned(seen, pin(broken))
        [sentence] = self.of(trusted, mint("Acme Root 2", ca=True))
        assert sentence.startswith("None of the keys pinned for “Orders API”")

    def test_the_servers_own_key_survives(self, seen: Provider, trusted: Certificate) -> None:
        self.pinned(seen, pin(SERVER_LEAF))
        assert self.of(trusted, mint("Acme Root 2", ca=True)) == []

    def test_an_intermediate_survives_below_the_same_key(self, seen: Provider, trusted: Certificate) -> None:
        self.pinned(seen, pin(ISSUING))
        renewed = mint("Acme Root", ca=True, end=5000)
        assert self.of(trusted, renewed) == []
        assert self.of(trusted, mint("Acme Root", ca=True, end=5000, key_name="fresh")) != []

    def test_a_pin_of_the_new_entry_survives(self, seen: Provider, trusted: Certificate) -> None:
        successor = mint("Acme Root 2", ca=True)
        self.pinned(seen, pin(ROOT), pin(successor))
        assert self.of(trusted, successor) == []

    def test_never_seen_it_goes_by_the_entries(self, orders: Provider, trusted: Certificate) -> None:
        self.pinned(orders, pin(ROOT))
        assert self.of(trusted, mint("Acme Root 2", ca=True)) != []
        assert self.of(trusted, ROOT) == []
        self.pinned(orders, pin(SERVER_LEAF))
        assert self.of(trusted, mint("Acme Root 2", ca=True)) == []

    def test_a_chain_that_ends_elsewhere_is_not_concerned(
        self, orders: Provider, trusted: Certificate
    ) -> None:
        other = mint("Other Root", ca=True)
        saw(orders, mint("orders.example.org", other), anchor=other)
        self.pinned(orders, pin(other))
        assert self.of(trusted, mint("Acme Root 2", ca=True)) == []

    def test_providers_without_pins_and_key_stores_are_not_concerned(
        self, seen: Provider, trusted: Certificate, cast: Cast
    ) -> None:
        assert self.of(trusted, mint("Acme Root 2", ca=True)) == []
        self.pinned(seen, pin(ROOT))
        assert self.of(kept(cast).certificate, mint("x")) == []

    def test_the_review_says_it_and_holds_nothing(
        self, seen: Provider, trusted: Certificate, editor: Client
    ) -> None:
        self.pinned(seen, pin(ROOT))
        file = SimpleUploadedFile("new.pem", mint("Acme Root 2", ca=True, end=3000).pem)
        answer: Any = editor.post(
            reverse("stores:replace", args=[trusted.pk]),
            {"kind": "trust", "store_name": "Partner CAs", "name": "acme-root", "file": file},
        )
        assert answer.status_code == 302, answer.context["form"].errors
        assert "None of the keys pinned for “Orders API”" in editor.get(answer.url).content.decode()
        assert Version.objects.get(certificate=trusted).state == "active"

    def test_the_page_that_activates_and_the_rehearsal_say_it_too(
        self, seen: Provider, trusted: Certificate, editor: Client, cast: Cast
    ) -> None:
        self.pinned(seen, pin(ROOT))
        successor = mint("Acme Root 2", ca=True, end=3000)
        staged = kept(cast, successor, name="acme-root", store="Partner CAs", kind="trust", at_once=False)
        rehearsal = Rehearsal.objects.create(team=cast.team, version=staged, asked_at=NOW, finished_at=NOW)
        for address in (
            reverse("stores:version_activate", args=[staged.pk]),
            reverse("providers:rehearsal", args=[rehearsal.pk]),
        ):
            assert "None of the keys pinned for “Orders API”" in editor.get(address).content.decode()
