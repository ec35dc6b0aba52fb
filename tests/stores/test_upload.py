"""The upload flow as a browser without JavaScript goes through it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.models import User
from stores.models import Certificate, Draft, Store, Version
from tests.cast import Cast, client_of, kept
from tests.formats import jks_writer
from tests.material import Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
NEW = "/certificates/new/"


@pytest.fixture
def root() -> Minted:
    return mint("Example Root", ca=True)


def browser_of(user: User) -> Any:
    """Its answers carry more than their types know."""
    return client_of(user)


@pytest.fixture
def browser(cast: Cast) -> Any:
    return browser_of(cast.editor)


def fields(content: bytes, name: str = "orders.pem", **more: Any) -> dict[str, Any]:
    return {
        "kind": "key",
        "store_name": "outbound",
        "name": "orders-client",
        "file": SimpleUploadedFile(name, content),
    } | more


def pem(*chain: Minted) -> bytes:
    return b"".join(one.pem for one in chain)


def save(browser: Any, address: str, **more: Any) -> Any:
    page = browser.get(address)
    seen = page.context["form"].initial["seen"]
    destination = page.context["form"].initial["destination"]
    return browser.post(
        address,
        {"destination": destination, "name": "orders-client", "timing": "now", "seen": seen, "do": "save"}
        | more,
    )


def test_choose_review_save(browser: Any, root: Minted) -> None:
    leaf = mint("orders", root)
    chosen = browser.post(NEW, fields(leaf.key_pem + pem(leaf, root)))
    assert chosen.status_code == 302
    assert not Version.objects.exists(), "nothing is saved before the review"
    page = browser.get(chosen.url)
    for text in ("orders", "Example Root", "It will fail in", "outbound"):
        assert text in page.content.decode()
    saved = save(browser, chosen.url)
    version = Version.objects.get()
    assert saved.url == version.certificate.get_absolute_url()
    assert (version.state, version.certificate.name) == ("active", "orders-client")
    assert browser.get(chosen.url).url == saved.url, "an old review leads to what was saved"


def test_a_trust_store_from_pasted_text(browser: Any, root: Minted) -> None:
    data = {"kind": "trust", "store_name": "partners", "pasted": root.pem.decode()}
    chosen = browser.post(NEW, data)
    save(browser, chosen.url, name="")
    assert Certificate.objects.count() == 0, "a name is needed"
    save(browser, chosen.url, name="Example Root")
    assert Certificate.objects.get().store.kind == "trust"


def test_a_name_left_empty_is_the_one_inside(browser: Any, root: Minted) -> None:
    chosen = browser.post(NEW, fields(mint("orders", root).key_pem + mint("orders", root).pem) | {"name": ""})
    assert browser.get(chosen.url).context["form"].initial["name"] == "orders"


def test_the_key_in_a_second_file(browser: Any, root: Minted) -> None:
    leaf = mint("orders", root)
    chosen = browser.post(
        NEW, fields(pem(leaf, root), "orders.crt", key_file=SimpleUploadedFile("orders.key", leaf.key_pem))
    )
    save(browser, chosen.url)
    assert Version.objects.get().key_original


@pytest.mark.parametrize(
    ("content", "more", "field", "says"),
    [
        (b"", {}, "file", "empty"),
        (b"hello", {}, "file", "orders.pem"),
        (b"x" * 2_000_000, {}, "file", "1 MiB"),
    ],
)
def test_a_refusal_stands_beside_its_field_and_keeps_what_was_typed(
    browser: Any, content: bytes, more: dict[str, Any], field: str, says: str
) -> None:
    answer = browser.post(NEW, fields(content, description="for the order system", **more))
    assert answer.status_code == 422
    assert says in str(answer.context["form"].errors[field])
    assert 'value="for the order system"' in answer.content.decode()
    assert not Draft.objects.exists()


def test_a_password_and_pasted_text_are_never_sent_back(browser: Any) -> None:
    answer = browser.post(
        NEW,
        {
            "kind": "key",
            "store_name": "x",
            "pasted": "-----BEGIN PRIVATE KEY-----\nMTIz\n",
            "password": "Secret-4711",
        },
    )
    assert answer.status_code == 422
    assert "Secret-4711" not in answer.content.decode()


def test_several_keys_offer_their_aliases(browser: Any, root: Minted) -> None:
    two = jks_writer.store(
        *(jks_writer.key(alias, [mint(alias.decode(), root)]) for alias in (b"first", b"second"))
    )
    answer = browser.post(NEW, fields(two, "two.jks", password="changeit"))
    assert [choice for choice, _ in answer.context["form"].fields["alias"].widget.choices] == [
        "first",
        "second",
    ]
    chosen = browser.post(NEW, fields(two, "two.jks", password="changeit", alias="second"))
    assert "second" in browser.get(chosen.url).content.decode()


def test_unusable_trusted_certificates_are_left_out_by_choice(browser: Any, root: Minted) -> None:
    dead = mint("Dead Root", ca=True, begin=-900, end=-1)
    chosen = browser.post(
        NEW,
        {
            "kind": "trust",
            "store_name": "partners",
            "name": "bundle",
            "file": SimpleUploadedFile("b.pem", pem(root, dead)),
        },
    )
    page = browser.get(chosen.url)
    assert "Dead Root" in page.content.decode()
    assert save(browser, chosen.url, name="bundle").status_code == 422, "the choice has to be made"
    save(browser, chosen.url, name="bundle", leave_out="on")
    assert [one.common_name for one in Version.objects.get().chain.all()] == ["Example Root"]


def test_replacing_from_the_certificate_page(browser: Any, cast: Cast, root: Minted) -> None:
    old = kept(cast, mint("orders", root))
    address = reverse("stores:replace", args=[old.certificate_id])
    leaf = mint("orders", root, end=700)
    chosen = browser.post(address, {"file": SimpleUploadedFile("new.pem", leaf.key_pem + leaf.pem)})
    page = browser.get(chosen.url)
    assert "Version 1, active" in page.content.decode()
    save(browser, chosen.url)
    assert Certificate.objects.get().active.number == 2  # type: ignore[union-attr]


def test_an_existing_name_is_offered_as_a_replacement(browser: Any, cast: Cast, root: Minted) -> None:
    old = kept(cast, mint("orders", root))
    leaf = mint("something else", root)
    chosen = browser.post(
        NEW,
        fields(leaf.key_pem + leaf.pem)
        | {"store_name": "", "store": old.certificate.store_id, "name": "Orders-Client"},
    )
    page = browser.get(chosen.url)
    assert page.context["existing"] == old.certificate
    saved = save(browser, chosen.url, destination="new", name="another")
    assert saved.status_code == 302
    assert Certificate.objects.count() == 2


def test_a_taken_name_for_a_new_certificate_is_refused_without_loss(
    browser: Any, cast: Cast, root: Minted
) -> None:
    kept(cast, mint("orders", root))
    leaf = mint("something else", root)
    chosen = browser.post(NEW, fields(leaf.key_pem + leaf.pem, store_name="outbound"))
    answer = save(browser, chosen.url, destination="new", name="orders-client")
    assert answer.status_code in (302, 409)
    assert Certificate.objects.count() == 1
    assert Version.objects.filter(state="active").count() == 1


def test_two_people_replace_at_once(cast: Cast, root: Minted) -> None:
    old = kept(cast, mint("orders", root))
    address = reverse("stores:replace", args=[old.certificate_id])
    drafts = []
    for person, end in ((cast.editor, 500), (cast.owner, 600)):
        leaf = mint("orders", root, end=end)
        drafts.append(
            (
                browser_of(person),
                browser_of(person)
                .post(address, {"file": SimpleUploadedFile("n.pem", leaf.key_pem + leaf.pem)})
                .url,
            )
        )
    seen = old.pk
    data = {"destination": old.certificate_id, "timing": "now", "seen": seen, "do": "save"}
    assert drafts[0][0].post(drafts[0][1], data).status_code == 302
    second = drafts[1][0].post(drafts[1][1], data)
    assert second.status_code == 409
    assert "Nothing of yours is lost" in second.content.decode()
    assert save(drafts[1][0], drafts[1][1]).status_code == 302
    assert Version.objects.get(state="active").number == 3


def test_keeping_it_staged_until_a_date(browser: Any, root: Minted) -> None:
    leaf = mint("orders", root)
    chosen = browser.post(NEW, fields(leaf.key_pem + leaf.pem))
    assert save(browser, chosen.url, timing="at").status_code == 422
    assert save(browser, chosen.url, timing="at", activate_at="2020-01-01T00:00").status_code == 422
    save(browser, chosen.url, timing="at", activate_at="2026-06-03T10:00")
    assert Version.objects.get().activate_at == dt.datetime(2026, 6, 3, 10, tzinfo=dt.UTC)


def test_an_expired_session_keeps_what_was_typed(cast: Cast) -> None:
    anonymous: Any = Client()
    answer = anonymous.post(NEW, fields(b"x", description="typed before", password="Secret-4711"))
    assert answer.status_code == 302 and "next=/certificates/new/" in answer.url
    assert "Secret-4711" not in str(dict(anonymous.session))
    anonymous.post("/accounts/login/", {"login": cast.editor.email, "password": "correct horse battery"})
    page = anonymous.get(NEW).content.decode()
    assert 'value="typed before"' in page
    assert 'value="typed before"' not in anonymous.get(NEW).content.decode(), "once"


@pytest.mark.parametrize("name", ["n" * 101, "a\x00b", "a\u202eb", "   "])
def test_names_that_cannot_be(browser: Any, root: Minted, name: str) -> None:
    leaf = mint("orders", root)
    answer = browser.post(NEW, fields(leaf.key_pem + leaf.pem, store_name=name))
    assert answer.status_code == 422
    assert "store_name" in answer.context["form"].errors
    assert not Store.objects.exists()


def test_a_draft_of_another_team_is_not_there(cast: Cast, browser: Any, root: Minted) -> None:
    leaf = mint("orders", root)
    chosen = browser.post(NEW, fields(leaf.key_pem + leaf.pem))
    assert browser_of(cast.outsider).get(chosen.url).status_code == 404
    assert browser_of(cast.viewer).get(chosen.url).status_code == 403


def test_links_fill_in_the_store(browser: Any, cast: Cast, root: Minted) -> None:
    store = kept(cast, mint("orders", root)).certificate.store
    page = browser.get(f"{NEW}?store={store.pk}&name=next")
    assert page.context["form"].initial == {"kind": "key", "store": store, "name": "next"}
