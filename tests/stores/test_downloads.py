"""What leaves the portal as a file: public parts for everybody in the team, a key for owners who have signed in again."""

from __future__ import annotations

import subprocess
import warnings
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from django.contrib.sessions.models import Session
from django.test import Client

from portal.models import AuditEvent
from stores.formats.parsed import Upload
from stores.inspection import inspect
from stores.models import Certificate, Version
from stores.writing import write
from tests.cast import Cast, client_of, kept
from tests.material import NOW, Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
PASSWORD = "correct horse battery"


@pytest.fixture
def chain() -> tuple[Minted, Minted]:
    root = mint("Example Root", ca=True)
    authority = mint("Example CA", root, ca=True)
    return mint("orders", authority), authority


@pytest.fixture
def orders(cast: Cast, chain: tuple[Minted, Minted]) -> Certificate:
    return kept(cast, *chain).certificate


def download(client: Client, certificate: Certificate, form: str) -> Any:
    return client.get(f"/certificates/{certificate.pk}/download/{form}/")


class TestPublicParts:
    def test_pem_is_the_chain_from_the_leaf_on(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]
    ) -> None:
        answer = download(client_of(cast.viewer), orders, "pem")
        assert answer.content == chain[0].pem + chain[1].pem
        assert answer["Content-Disposition"] == 'attachment; filename="orders-client.pem"'
        assert answer["X-Content-Type-Options"] == "nosniff"

    def test_der_is_the_leaf(self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]) -> None:
        answer = download(client_of(cast.viewer), orders, "der")
        assert answer.content == chain[0].der
        assert answer["Content-Disposition"] == 'attachment; filename="orders-client.der"'

    def test_pkcs7_holds_the_chain(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]
    ) -> None:
        content = download(client_of(cast.viewer), orders, "p7b").content
        with warnings.catch_warnings(action="error"):
            assert set(pkcs7.load_pem_pkcs7_certificates(content)) == {one.certificate for one in chain}

    def test_openssl_reads_the_pkcs7(self, orders: Certificate, cast: Cast) -> None:
        content = download(client_of(cast.viewer), orders, "p7b").content
        command = ["openssl", "pkcs7", "-print_certs", "-noout"]
        told = subprocess.run(command, input=content, capture_output=True, check=True).stdout.decode()
        subjects = {line.replace(" ", "") for line in told.splitlines() if line.startswith("subject")}
        assert subjects == {"subject=CN=orders", "subject=CN=ExampleCA"}

    def test_a_trust_store_is_one_file_with_each_certificate_once(self, cast: Cast) -> None:
        roots = [mint(f"Root {number}", ca=True) for number in range(3)]
        store = kept(cast, roots[1], roots[0], name="b", store="partners", kind="trust").certificate.store
        kept(cast, roots[1], roots[2], name="a", store="partners", kind="trust")
        answer = client_of(cast.viewer).get(f"/stores/{store.pk}/download/")
        assert x509.load_pem_x509_certificates(answer.content) == [
            roots[number].certificate for number in (1, 2, 0)
        ]
        assert answer["Content-Disposition"] == 'attachment; filename="partners.pem"'

    def test_only_what_is_active_is_trusted(self, cast: Cast) -> None:
        old, new = mint("Old Root", ca=True), mint("New Root", ca=True)
        store = kept(cast, old, name="root", store="partners", kind="trust").certificate.store
        kept(cast, new, name="root", store="partners", kind="trust")
        answer = client_of(cast.viewer).get(f"/stores/{store.pk}/download/")
        assert answer.content == new.pem

    def test_an_old_version_can_still_be_had(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]
    ) -> None:
        kept(cast, mint("next"))
        old = orders.versions.get(number=1)
        answer = client_of(cast.viewer).get(f"/certificates/versions/{old.pk}/download/pem/")
        assert answer.content == chain[0].pem + chain[1].pem
        assert answer["Content-Disposition"] == 'attachment; filename="orders-client-version-1.pem"'

    def test_a_purged_version_keeps_its_public_parts(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]
    ) -> None:
        kept(cast, mint("next"))
        old = orders.versions.get(number=1)
        client = client_of(cast.owner)
        client.post(f"/certificates/versions/{old.pk}/purge/")
        assert client.get(f"/certificates/versions/{old.pk}/download/der/").content == chain[0].der

    @pytest.mark.parametrize("form", ["pem", "der", "p7b"])
    def test_nothing_private_leaves(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted], form: str
    ) -> None:
        content = download(client_of(cast.owner), orders, form).content
        assert b"PRIVATE" not in content
        assert chain[0].key_der not in content
        refused = inspect(Upload(name=f"x.{form}", content=content, store="key"), NOW)
        assert refused.code == "key_missing"

    @pytest.mark.parametrize("form", ["p12", "key", "PEM", "pem.exe"])
    def test_another_format_is_not_found(self, cast: Cast, orders: Certificate, form: str) -> None:
        assert download(client_of(cast.viewer), orders, form).status_code == 404

    def test_the_name_of_the_file_is_harmless(self, cast: Cast, orders: Certificate) -> None:
        Certificate.objects.filter(pk=orders.pk).update(name='../a"; b=\u202egnp/évil')
        header = download(client_of(cast.viewer), orders, "pem")["Content-Disposition"]
        assert header == "attachment; filename*=utf-8''a-b-gnp-%C3%A9vil.pem"

    def test_where_nothing_is_active_there_is_nothing_to_have(
        self, cast: Cast, chain: tuple[Minted, Minted]
    ) -> None:
        staged = kept(cast, *chain, at_once=False).certificate
        assert download(client_of(cast.viewer), staged, "pem").status_code == 404

    def test_a_key_store_is_no_bundle(self, cast: Cast, orders: Certificate) -> None:
        assert client_of(cast.owner).get(f"/stores/{orders.store_id}/download/").status_code == 404


@pytest.mark.parametrize("count", [1, 3, 200])
def test_what_is_written_is_read_again(count: int) -> None:
    minted = [mint(f"Root {number}", key_name="one for all", ca=True) for number in range(count)]
    for form in ("pem", "p7b"):
        content = write([one.der for one in minted], form)
        read = inspect(Upload(name=f"x.{form}", content=content, store="trust"), NOW)
        assert {one.sha256 for one in read.certificates} == {one.sha256 for one in minted}
        assert form == "p7b" or [one.sha256 for one in read.certificates] == [one.sha256 for one in minted]


class TestKeyExport:
    def address(self, certificate: Certificate) -> str:
        assert certificate.active
        return f"/certificates/versions/{certificate.active.pk}/export-key/"

    def signed_in_again(self, cast: Cast) -> Client:
        client = client_of(cast.owner)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        return client

    def test_first_the_password_is_asked_for_again(self, cast: Cast, orders: Certificate) -> None:
        answer = client_of(cast.owner).get(self.address(orders))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/reauthenticate/?next=")

    def test_what_is_sent_without_it_is_neither_done_nor_kept(self, cast: Cast, orders: Certificate) -> None:
        client = client_of(cast.owner)
        answer = client.post(self.address(orders), {"password": "sevenhorsesrun", "again": "sevenhorsesrun"})
        assert answer.status_code == 302
        assert "sevenhorsesrun" not in str([session.get_decoded() for session in Session.objects.all()])
        assert not AuditEvent.objects.filter(action="key.exported").exists()

    def test_a_session_that_has_ended_keeps_neither_password_nor_its_repetition(
        self, orders: Certificate
    ) -> None:
        answer = Client().post(
            self.address(orders), {"password": "sevenhorsesrun", "again": "sevenhorsesrun"}
        )
        assert answer.status_code == 302
        assert "sevenhorsesrun" not in str([session.get_decoded() for session in Session.objects.all()])

    def test_an_owner_gets_key_and_chain_under_a_password_of_their_own(
        self, cast: Cast, orders: Certificate, chain: tuple[Minted, Minted]
    ) -> None:
        client = self.signed_in_again(cast)
        assert client.get(self.address(orders)).status_code == 200
        answer = client.post(
            self.address(orders), {"password": "seven horses run", "again": "seven horses run"}
        )
        assert answer["Content-Type"] == "application/x-pkcs12"
        assert answer["Content-Disposition"] == 'attachment; filename="orders-client.p12"'
        assert "no-store" in answer["Cache-Control"]
        opened = pkcs12.load_pkcs12(answer.content, b"seven horses run")
        assert opened.cert
        assert opened.cert.certificate == chain[0].certificate
        assert [one.certificate for one in opened.additional_certs] == [chain[1].certificate]
        assert opened.key
        assert opened.key.public_key() == chain[0].key.public_key()

    def test_it_is_in_the_audit_and_in_the_history(self, cast: Cast, orders: Certificate) -> None:
        client = self.signed_in_again(cast)
        client.post(self.address(orders), {"password": "seven horses run", "again": "seven horses run"})
        event = AuditEvent.objects.get(action="key.exported")
        assert (event.actor, event.object_id, event.facts) == (cast.owner, orders.pk, {"version": 1})
        shown = client_of(cast.viewer).get(f"/certificates/{orders.pk}/history/").content.decode()
        assert "exported the private key of version 1" in shown

    @pytest.mark.parametrize(
        ("password", "again", "sentence"),
        [
            ("seven horses run", "seven horses ran", "The two passwords differ"),
            ("short", "short", "fewer than 12 characters"),
            ("seven&horses$run", "seven&horses$run", "Many gateways cannot take a password with"),
            ("", "", "required"),
        ],
    )
    def test_a_password_that_will_not_do_is_refused_and_not_sent_back(
        self, cast: Cast, orders: Certificate, password: str, again: str, sentence: str
    ) -> None:
        answer = self.signed_in_again(cast).post(self.address(orders), {"password": password, "again": again})
        shown = answer.content.decode()
        assert answer.status_code == 422
        assert sentence in shown
        assert not password or f'value="{password}"' not in shown
        assert not AuditEvent.objects.filter(action="key.exported").exists()

    def test_who_signs_in_elsewhere_comes_freshly_from_there(self, cast: Cast, orders: Certificate) -> None:
        cast.owner.set_unusable_password()
        cast.owner.save()
        answer = client_of(cast.owner).get(self.address(orders))
        assert answer.status_code == 403
        assert "Sign out and sign in again" in answer.content.decode()

    def test_a_trust_store_has_no_key(self, cast: Cast) -> None:
        trusted = kept(cast, mint("Root", ca=True), name="root", store="partners", kind="trust").certificate
        answer = self.signed_in_again(cast).post(
            self.address(trusted), {"password": "seven horses run", "again": "seven horses run"}
        )
        assert answer.status_code == 422
        assert "has no private key here" in answer.content.decode()

    def test_a_purged_version_has_no_key(self, cast: Cast, orders: Certificate) -> None:
        kept(cast, mint("next"))
        old = Version.objects.get(number=1)
        client = self.signed_in_again(cast)
        client.post(f"/certificates/versions/{old.pk}/purge/")
        answer = client.post(
            f"/certificates/versions/{old.pk}/export-key/",
            {"password": "seven horses run", "again": "seven horses run"},
        )
        assert answer.status_code == 422
