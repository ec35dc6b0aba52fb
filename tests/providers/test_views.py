"""The pages of providers and hosts: what they say, to whom, and what they keep."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import time_machine
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.models import AuditEvent
from providers.models import Host, Provider
from stores import watch
from stores.formats.parsed import StoreKind
from stores.models import Certificate, Store
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
RegisterHost = Callable[..., Host]
NEW = reverse("providers:new")


@pytest.fixture
def editor(cast: Cast) -> Client:
    return client_of(cast.editor)


@pytest.fixture
def orders(register: Register, key_certificate: Certificate, trust_store: Store) -> Provider:
    """A provider with all that viewers may not see."""
    return register(
        title="Orders API", key_certificate=key_certificate, trust_store=trust_store, server_name="inner.example.net", path_prefix="/v1",
        authentication="basic", user_name="storekeeper-user", password="open sesame",
    )  # fmt: skip


SECRETS = ("orders.example.org", "inner.example.net", "storekeeper-user", "api.example.org", "sesame")


def text_of(client: Client, url: str) -> str:
    answer = client.get(url)
    assert answer.status_code == 200
    return answer.getvalue().decode()


class TestPage:
    def test_it_says_in_plain_words_what_two_way_tls_will_do(self, orders: Provider, editor: Client) -> None:
        page = " ".join(text_of(editor, orders.get_absolute_url()).split())
        assert "Shows <a" in page
        assert "trusts <a" in page
        assert "checks host name <b>inner.example.net</b>" in page
        assert "https://orders.example.org/v1" in page
        assert "kept encrypted" in page

    def test_without_a_trust_store_it_says_what_is_trusted(self, register: Register, editor: Client) -> None:
        page = text_of(editor, register().get_absolute_url())
        assert "the system's public roots are used" in page.replace("&#x27;", "'")

    def test_what_is_not_checked_is_said(self, register: Register, editor: Client) -> None:
        assert "Host name not checked" in text_of(editor, register(check_host_name=False).get_absolute_url())
        assert "Nothing is encrypted" in text_of(editor, register(name="b", use_tls=False).get_absolute_url())

    def test_it_names_the_link_that_ends_first_and_offers_its_replacement(
        self, cast: Cast, register: Register, editor: Client
    ) -> None:
        root = mint("Root", ca=True, end=3000)
        issuer = mint("Issuing CA 2", root, ca=True, end=6)
        one = kept(cast, mint("leaf", issuer, end=100), issuer, root, name="leaf").certificate
        page = text_of(editor, register(key_certificate=one).get_absolute_url())
        assert "leaf fails in 6 days" in page
        assert "because Issuing CA 2, a link of its chain, ends" in page
        assert reverse("stores:replace", args=[one.pk]) in page

    def test_a_flag_shows_on_every_provider_that_uses_the_certificate(
        self, orders: Provider, register_host: RegisterHost, key_certificate: Certificate, cast: Cast
    ) -> None:
        users = (orders, register_host(key_certificate=key_certificate))
        near = NOW + dt.timedelta(days=362)
        with time_machine.travel(near, tick=False):
            watch.find_due(near)
            for user in users:
                assert "Urgent" in text_of(client_of(cast.editor), user.get_absolute_url())

    def test_an_empty_trust_store_is_said(self, cast: Cast, register: Register, editor: Client) -> None:
        empty = Store.objects.create(team=cast.team, kind="trust", name="Nobody")
        assert "holds no active certificate" in text_of(
            editor, register(trust_store=empty).get_absolute_url()
        )

    def test_a_certificate_without_an_active_version_is_said(
        self, cast: Cast, register: Register, editor: Client
    ) -> None:
        staged = kept(cast, name="later", at_once=False).certificate
        assert "has no active version" in text_of(editor, register(key_certificate=staged).get_absolute_url())


class TestWhoSeesWhat:
    @pytest.fixture
    def pages(
        self, orders: Provider, register_host: RegisterHost, key_certificate: Certificate, trust_store: Store
    ) -> list[str]:
        host = register_host(name="public", key_certificate=key_certificate, trust_store=trust_store)
        names = ("providers", "hosts", "providers_csv", "hosts_csv")
        return [
            orders.get_absolute_url(),
            host.get_absolute_url(),
            *(reverse(f"providers:{name}") for name in names),
        ]

    def test_viewers_see_neither_hosts_nor_user_names(self, pages: list[str], cast: Cast) -> None:
        viewer = client_of(cast.viewer)
        for page in pages:
            assert [secret for secret in SECRETS if secret in text_of(viewer, page)] == [], page

    def test_editors_do_but_nobody_sees_the_password(self, pages: list[str], cast: Cast) -> None:
        seen = "".join(text_of(client_of(cast.editor), page) for page in pages)
        assert [secret for secret in SECRETS if secret not in seen] == ["sesame"]

    def test_viewers_cannot_guess_hosts_by_searching(self, orders: Provider, cast: Cast) -> None:
        found = [
            text_of(client_of(user), reverse("providers:providers") + "?q=inner.example")
            for user in (cast.viewer, cast.editor)
        ]
        assert ["Orders API" in page for page in found] == [False, True]

    def test_only_the_own_team_is_listed(self, orders: Provider, cast: Cast) -> None:
        assert "Orders API" not in text_of(client_of(cast.outsider), reverse("providers:providers"))
        assert client_of(cast.outsider).get(orders.get_absolute_url()).status_code == 404
        assert client_of(cast.outsider).post(reverse("providers:delete", args=[orders.pk])).status_code == 404

    @pytest.mark.parametrize("name", ["new", "host_new"])
    def test_viewers_change_nothing(self, cast: Cast, typed: dict[str, str], name: str) -> None:
        assert client_of(cast.viewer).post(reverse(f"providers:{name}"), typed).status_code == 403
        assert not Provider.objects.exists()

    def test_buttons_are_there_for_those_who_may(self, orders: Provider, cast: Cast) -> None:
        edit, delete = (reverse(f"providers:{name}", args=[orders.pk]) for name in ("edit", "delete"))
        seen = {
            user: text_of(client_of(user), orders.get_absolute_url())
            for user in (cast.viewer, cast.editor, cast.owner)
        }
        assert [edit in page for page in seen.values()] == [False, True, True]
        assert [delete in page for page in seen.values()] == [False, False, True]

    def test_choices_and_preview_stay_in_the_team(self, orders: Provider, cast: Cast) -> None:
        for name in ("choices", "preview"):
            url = reverse(f"providers:{name}", args=[cast.team.pk]) + "?field=key_certificate"
            codes = [
                client_of(user).get(url).status_code for user in (cast.viewer, cast.editor, cast.outsider)
            ]
            assert codes == [403, 200, 404]
        own = reverse("providers:choices", args=[cast.other_team.pk]) + "?field=key_certificate&q="
        assert "orders-client" not in text_of(client_of(cast.outsider), own)


class TestForm:
    def test_registering(
        self,
        editor: Client,
        cast: Cast,
        typed: dict[str, str],
        key_certificate: Certificate,
        trust_store: Store,
    ) -> None:
        answer = editor.post(NEW, typed, follow=True)
        provider = Provider.objects.get()
        assert answer.redirect_chain == [(provider.get_absolute_url(), 302)]
        assert "“Orders API” is saved." in answer.getvalue().decode()
        assert AuditEvent.objects.get(action="provider.created").actor == cast.editor

    def test_what_was_typed_stays_after_an_error_but_not_the_password(
        self, editor: Client, typed: dict[str, str]
    ) -> None:
        answer = editor.post(NEW, typed | {"port": "x"})
        page = answer.getvalue().decode()
        assert answer.status_code == 422
        assert "A port is a number from 1 to 65535." in page
        assert 'value="orders.example.org"' in page
        assert "outbound / orders-client" in page
        assert "open sesame" not in page
        assert "Type it again" in page

    def test_a_taken_name_is_said_beside_the_name(
        self, editor: Client, orders: Provider, typed: dict[str, str]
    ) -> None:
        answer = editor.post(NEW, typed)
        assert answer.status_code == 409
        assert answer.context["form"].errors["name"] == [
            "Your team has a provider “orders” already. Type another name."
        ]

    def test_a_double_click_registers_once(
        self, editor: Client, typed: dict[str, str], key_certificate: Certificate, trust_store: Store
    ) -> None:
        assert [editor.post(NEW, typed).status_code for _ in range(2)] == [302, 409]
        assert Provider.objects.count() == 1

    def test_two_who_edit_at_once(
        self, editor: Client, cast: Cast, orders: Provider, typed: dict[str, str]
    ) -> None:
        url = reverse("providers:edit", args=[orders.pk])
        seen = editor.get(url).context["form"]["seen"].value()
        first = typed | {"seen": seen, "title": "Theirs"}
        assert client_of(cast.owner).post(url, first).status_code == 302
        answer = editor.post(url, typed | {"seen": seen, "title": "Mine"})
        assert answer.status_code == 409
        assert "Somebody else changed" in answer.getvalue().decode()
        assert Provider.objects.get().title == "Theirs"
        again = typed | {"seen": answer.context["form"]["seen"].value(), "title": "Mine"}
        assert editor.post(url, again).status_code == 302
        assert Provider.objects.get().title == "Mine"

    def test_becoming_on_premise_says_what_was_left_out(
        self, editor: Client, orders: Provider, typed: dict[str, str]
    ) -> None:
        url = reverse("providers:edit", args=[orders.pk])
        page = (
            editor.post(url, typed | {"type": "on_premise", "location_id": "berlin"}, follow=True)
            .getvalue()
            .decode()
        )
        assert "this was left out: orders-client, Partner CAs" in page
        assert "location <b>berlin</b>" in page

    @pytest.mark.parametrize(("field", "kind"), [("key_certificate", "key"), ("trust_store", "trust")])
    def test_leaving_for_an_upload_keeps_what_was_typed(
        self,
        editor: Client,
        cast: Cast,
        typed: dict[str, str],
        key_certificate: Certificate,
        trust_store: Store,
        field: str,
        kind: StoreKind,
    ) -> None:
        half = {
            name: value for name, value in typed.items() if name not in ("use_tls", "collection_path")
        } | {"do": f"upload:{field}", field: ""}
        answer = editor.post(NEW, half)
        assert answer.url == reverse("stores:upload") + f"?kind={kind}"  # type: ignore[attr-defined]
        assert not Provider.objects.exists()
        assert "sesame" not in str(dict(editor.session))
        fresh = kept(
            cast, mint("fresh", ca=kind == "trust"), name="fresh", store=f"fresh {kind}", kind=kind
        ).certificate
        form = editor.get(f"{editor.session['way_back']['address']}&certificate={fresh.pk}").context["form"]
        values = {name: form[name].value() for name in form.fields}
        assert (values["name"], values["host"], values["path_prefix"], values["use_tls"]) == (
            "orders",
            "orders.example.org",
            "/v1",
            "",
        )
        assert values[field] == ("fresh key / fresh" if kind == "key" else "fresh trust")
        other = "trust_store" if kind == "key" else "key_certificate"
        assert values[other] == typed[other]
        assert editor.get(NEW).context["form"]["name"].value() == ""

    @pytest.mark.parametrize(
        ("waits", "comes_back"), [(dt.timedelta(minutes=50), True), (dt.timedelta(minutes=70), False)]
    )
    def test_the_upload_leads_back_to_the_form(
        self, cast: Cast, typed: dict[str, str], waits: dt.timedelta, comes_back: bool
    ) -> None:
        browser: Any = client_of(cast.editor)
        upload = browser.post(
            NEW, typed | {"do": "upload:key_certificate", "key_certificate": "", "trust_store": ""}
        ).url
        leaf = mint("fresh")
        file = SimpleUploadedFile("fresh.pem", leaf.pem + leaf.key_pem)
        answer = browser.post(
            upload, {"kind": "key", "store_name": "outbound", "name": "fresh", "file": file}
        )
        with time_machine.travel(NOW + waits, tick=False):
            choice = {"destination": "new", "name": "fresh", "timing": "now", "do": "save"}
            back = browser.post(answer.url, choice).url
        one = Certificate.objects.get(name="fresh")
        if not comes_back:
            assert back == one.get_absolute_url()
            return
        assert back == f"{NEW}?for=key_certificate&certificate={one.pk}"
        form = browser.get(back).context["form"]
        assert [form[name].value() for name in ("host", "key_certificate")] == [
            "orders.example.org",
            "outbound / fresh",
        ]
        assert "way_back" not in browser.session

    def test_a_link_may_name_the_certificate_of_the_own_team_only(
        self, cast: Cast, key_certificate: Certificate
    ) -> None:
        url = f"{NEW}?for=key_certificate&certificate={key_certificate.pk}"
        values = [
            client_of(user).get(url).context["form"]["key_certificate"].value()
            for user in (cast.editor, cast.outsider)
        ]
        assert values == ["outbound / orders-client", None]

    def test_the_preview_follows_what_is_typed(
        self,
        editor: Client,
        cast: Cast,
        typed: dict[str, str],
        key_certificate: Certificate,
        trust_store: Store,
    ) -> None:
        url = reverse("providers:preview", args=[cast.team.pk])
        page = editor.get(url, typed | {"port": "8443"}).getvalue().decode()
        assert "https://orders.example.org:8443/v1/services" in page
        assert "orders-client" in page
        assert "appears when there is a host" in text_of(editor, f"{url}?type=internet&port=443")
        assert "appears when there is a host" not in text_of(editor, f"{url}?type=internet&port=443&host=a+b")
        assert "Path prefix: Begin with a slash" in text_of(
            editor, f"{url}?type=internet&port=443&host=a.example&path_prefix=v1"
        )
        assert not Provider.objects.exists()


class TestDeleting:
    def test_it_asks_once_naming_what_will_happen(self, cast: Cast, orders: Provider) -> None:
        url, owner = reverse("providers:delete", args=[orders.pk]), client_of(cast.owner)
        page = text_of(owner, url)
        for said in ("outbound / orders-client", "Partner CAs", "with the password that is kept for it"):
            assert said in page
        assert Provider.objects.exists()
        assert "is deleted" in owner.post(url, follow=True).getvalue().decode()
        assert not Provider.objects.exists()
        assert Certificate.objects.filter(name="orders-client").exists()

    def test_of_a_host(self, cast: Cast, register_host: RegisterHost, key_certificate: Certificate) -> None:
        host = register_host(key_certificate=key_certificate)
        url, owner = reverse("providers:host_delete", args=[host.pk]), client_of(cast.owner)
        assert "outbound / orders-client" in text_of(owner, url)
        assert owner.post(url).status_code == 302
        assert not Host.objects.exists()

    def test_editors_do_not(self, editor: Client, orders: Provider) -> None:
        assert editor.post(reverse("providers:delete", args=[orders.pk])).status_code == 403
        assert Provider.objects.exists()


class TestHostForm:
    def test_register_and_edit(
        self, editor: Client, key_certificate: Certificate, trust_store: Store
    ) -> None:
        typed: dict[str, Any] = {
            "name": "public", "host_name": "Api.Example.org", "port": "443", "key_certificate": "orders-client",
            "client_certificate": "optional", "trust_store": "Partner CAs", "do": "save",
        }  # fmt: skip
        assert editor.post(reverse("providers:host_new"), typed).status_code == 302
        host = Host.objects.get()
        assert (host.host_name, host.key_certificate, host.trust_store) == (
            "api.example.org",
            key_certificate,
            trust_store,
        )
        page = " ".join(text_of(editor, host.get_absolute_url()).split())
        assert "serves callers without a certificate too" in page
        url = reverse("providers:host_edit", args=[host.pk])
        assert "Choose the trust store" in editor.post(url, typed | {"trust_store": ""}).getvalue().decode()
        assert editor.post(url, typed | {"client_certificate": "off"}).status_code == 302
        assert Host.objects.get().trust_store is None


def test_a_host_fails_when_a_caller_root_ends(
    cast: Cast, register_host: RegisterHost, editor: Client
) -> None:
    near = kept(
        cast,
        mint("Near Root", ca=True, end=NOW + dt.timedelta(days=5)),
        name="near",
        store="Callers",
        kind="trust",
    ).certificate
    page = text_of(editor, register_host(trust_store=near.store).get_absolute_url())
    assert "near fails in 5 days" in page
