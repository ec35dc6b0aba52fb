"""What the forms of providers and hosts accept, refuse and leave out, and how certificates are chosen by name."""

from __future__ import annotations

from typing import Any

import pytest

from providers.forms import HostForm, ProviderForm
from providers.models import Host, Provider
from providers.picking import key_certificates, options, trust_certificates, trust_stores
from stores.models import Certificate, Store
from tests.cast import Cast, kept
from tests.material import mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
PIN = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
BACKUP = "HxwdHh8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRo="


@pytest.fixture
def form_of(cast: Cast, typed: dict[str, str], key_certificate: Certificate, trust_store: Store) -> Any:
    """The form filled in, with changes; None takes a field away."""

    def make(**changes: str | None) -> ProviderForm:
        data = {name: value for name, value in (typed | changes).items() if value is not None}
        return ProviderForm(data, team=cast.team, instance=Provider(team=cast.team))

    return make


def test_what_is_typed_is_kept(
    form_of: Any, cast: Cast, key_certificate: Certificate, trust_store: Store
) -> None:
    form = form_of(spki_pins=f"sha256/{PIN}\n\n{PIN}\n{BACKUP}", server_name="Orders.internal")
    assert form.is_valid(), form.errors
    provider = form.keep(cast.actor)
    provider.refresh_from_db()
    assert (provider.title, provider.host, provider.port) == ("Orders API", "orders.example.org", 443)
    assert (provider.key_certificate, provider.trust_store) == (key_certificate, trust_store)
    assert (provider.spki_pins, provider.server_name) == ([PIN, BACKUP], "orders.internal")
    assert provider.catalogue_url == "https://orders.example.org/v1/services"
    assert provider.sealed_password is not None


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("name", "", "required"),
        ("name", "or\u202eders", "invisible"),
        ("name", "x" * 101, "100"),
        ("title", "a\u200bb", "invisible"),
        ("description", "x" * 2001, "2000"),
        ("type", "moon", "moon"),
        ("host", "", "required"),
        ("host", "http://orders.example.org/", "without https:// and path"),
        ("host", "x" * 301, "300"),
        ("port", "0", "1 to 65535"),
        ("port", "65536", "1 to 65535"),
        ("port", "https", "1 to 65535"),
        ("server_name", "10.0.0.1", "a name is needed"),
        ("path_prefix", "v1", "Begin with a slash"),
        ("collection_path", "/a?b", "percent-encoded"),
        ("spki_pins", "x", "Line 1"),
        ("spki_pins", PIN, "A backup pin is missing"),
        ("user_name", "", "needs a user name"),
        ("user_name", "a:b", "no colon"),
        ("authentication", "digest", "digest"),
        ("key_certificate", "Partner CAs / acme-root", "Your team has no"),
        ("trust_store", "outbound", "Your team has no"),
        ("trust_certificate", "outbound / orders-client", "Your team has no"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(form_of: Any, field: str, value: str, says: str) -> None:
    form = form_of(**{field: value})
    assert not form.is_valid()
    assert set(form.errors) == {field}
    assert says in str(form.errors[field])
    assert form.fields[field].widget.attrs["aria-invalid"] == "true"


def test_all_errors_are_said_at_once(form_of: Any) -> None:
    assert set(form_of(name="", host="a b", port="x", path_prefix="v1", user_name="").errors) == {
        "name", "host", "port", "path_prefix", "user_name",
    }  # fmt: skip


@pytest.mark.parametrize("changes", [{"type": "on_premise"}, {"use_tls": None}])
def test_stores_that_do_not_matter_are_left_out_and_named(
    form_of: Any, cast: Cast, changes: dict[str, str | None]
) -> None:
    form = form_of(**changes)
    assert form.is_valid(), form.errors
    provider = form.keep(cast.actor)
    assert (provider.key_certificate, provider.trust_store) == (None, None)
    assert form.left_out() == ["orders-client", "Partner CAs"]


def test_a_trusted_certificate_outside_the_chosen_store_is_refused(form_of: Any, cast: Cast) -> None:
    kept(cast, mint("Other Root", ca=True), name="other-root", store="Other CAs", kind="trust")
    form = form_of(trust_certificate="other-root")
    assert form.errors == {
        "trust_certificate": [
            "“other-root” is not in the trust store “Partner CAs”: choose one of its certificates, or none to trust all of them."
        ]
    }


def test_a_trusted_certificate_brings_its_store(form_of: Any, trust_store: Store) -> None:
    form = form_of(trust_store="", trust_certificate="acme-root")
    assert form.is_valid(), form.errors
    assert form.instance.trust_store == trust_store


def test_the_password_is_never_written_into_the_page(register: Register, cast: Cast) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    form = ProviderForm(team=cast.team, instance=provider)
    assert "sesame" not in form.as_p()
    assert "Leave this empty to keep it" in form["password"].help_text


def test_a_host_recognises_callers_only_by_a_trust_store(cast: Cast, trust_store: Store) -> None:
    typed = {"name": "api", "host_name": "api.example.org", "port": "443", "client_certificate": "required"}
    form = HostForm(typed, team=cast.team, instance=Host(team=cast.team))
    assert set(form.errors) == {"trust_store"}
    form = HostForm(typed | {"trust_store": "partner cas"}, team=cast.team, instance=Host(team=cast.team))
    assert form.is_valid(), form.errors
    assert form.keep(cast.actor).trust_store == trust_store
    form = HostForm(
        typed | {"name": "b", "client_certificate": "off", "trust_store": "Partner CAs"},
        team=cast.team,
        instance=Host(team=cast.team),
    )
    assert form.is_valid(), form.errors
    assert form.left_out() == ["Partner CAs"]


class TestChoosing:
    @pytest.mark.parametrize(
        "text", ["outbound / orders-client", "OUTBOUND / Orders-Client", "orders-client", " orders-client "]
    )
    def test_by_name_with_or_without_the_store(
        self, form_of: Any, key_certificate: Certificate, text: str
    ) -> None:
        form = form_of(key_certificate=text)
        assert form.is_valid(), form.errors
        assert form.cleaned_data["key_certificate"] == key_certificate

    def test_one_name_in_two_stores_asks_for_the_store(self, form_of: Any, cast: Cast) -> None:
        other = kept(cast, mint("orders"), store="second").certificate
        error = str(form_of(key_certificate="orders-client").errors["key_certificate"])
        assert "More than one is called" in error
        assert "second / orders-client" in error
        form = form_of(key_certificate="second / orders-client")
        assert form.is_valid(), form.errors
        assert form.cleaned_data["key_certificate"] == other

    def test_a_near_miss_says_what_there_is(self, form_of: Any) -> None:
        assert "Do you mean “outbound / orders-client”?" in str(form_of(key_certificate="orders").errors)

    def test_nothing_of_another_team_is_offered_or_taken(
        self, cast: Cast, key_certificate: Certificate, trusted: Certificate
    ) -> None:
        for rows in (key_certificates, trust_stores, trust_certificates):
            assert not rows(cast.other_team).exists()
        data = {
            "name": "x",
            "host": "x.example",
            "port": "1",
            "type": "internet",
            "use_tls": "on",
            "key_certificate": "orders-client",
            "authentication": "none",
        }
        form = ProviderForm(data, team=cast.other_team, instance=Provider(team=cast.other_team))
        assert set(form.errors) == {"key_certificate"}
        assert "Do you mean" not in str(form.errors)

    def test_search_finds_name_store_subject_and_fingerprint(
        self, cast: Cast, key_certificate: Certificate
    ) -> None:
        leaf = mint("shipping.example.org")
        shipping = kept(cast, leaf, name="ship", store="second").certificate
        colons = ":".join(leaf.sha256[at : at + 2] for at in range(0, 64, 2)).upper()
        for text in (
            "ship",
            "SHIP",
            "second",
            "second / ship",
            "ship second",
            "shipping.example",
            leaf.sha256,
            colons,
        ):
            assert options(key_certificates(cast.team), text)[0] == [shipping], text
        assert len(options(key_certificates(cast.team), "")[0]) == 2

    def test_a_long_list_is_cut_and_says_so(self, cast: Cast, key_certificate: Certificate) -> None:
        store = key_certificate.store
        Certificate.objects.bulk_create(
            [Certificate(team=cast.team, store=store, name=f"c{n:02}") for n in range(30)]
        )
        found, more = options(key_certificates(cast.team), "c")
        assert (len(found), more) == (20, True)
