"""What creates, edits and deletes providers and hosts, and what is refused whoever asks."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from portal import vault
from portal.errors import Conflict, PortalError
from portal.models import AuditEvent
from providers import services
from providers.models import Host, Provider
from stores import services as store_services
from stores.models import Certificate, Store
from tests.cast import Cast, kept
from tests.material import mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]


def refused(field: str, **changes: Any) -> str:
    """Creates a provider that is refused because of `field`; gives the sentence."""
    with pytest.raises(PortalError) as caught:
        services.create_provider(**changes)
    assert caught.value.field == field
    return caught.value.sentence


def provider_of(cast: Cast, **fields: Any) -> Provider:
    return Provider(**({"team": cast.team, "name": "orders", "host": "orders.example.org"} | fields))


def test_a_provider_is_created_with_its_audit(
    cast: Cast, register: Register, key_certificate: Certificate, trust_store: Store
) -> None:
    provider = register(key_certificate=key_certificate, trust_store=trust_store, host="Orders.Example.Org")
    provider.refresh_from_db()
    assert (provider.host, provider.key_certificate, provider.trust_store) == (
        "orders.example.org",
        key_certificate,
        trust_store,
    )
    event = AuditEvent.objects.get(action="provider.created")
    assert (event.actor, event.object_id, event.facts) == (
        cast.owner, provider.pk, {"certificate": "orders-client", "store": "Partner CAs"},
    )  # fmt: skip


def test_the_password_is_sealed_for_this_provider_alone(register: Register) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    other = register(name="other", authentication="basic", user_name="me", password="open sesame")
    sealed = bytes(Provider.objects.get(pk=provider.pk).sealed_password or b"")
    assert b"sesame" not in sealed
    assert vault.open_sealed(sealed, provider.binding()) == b"open sesame"
    with pytest.raises(vault.VaultError):
        vault.open_sealed(sealed, other.binding())
    assert provider.sealed_with == vault.ring().current


def test_no_secret_reaches_the_audit(register: Register, cast: Cast) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    services.edit_provider(provider=provider, password="another one", actor=cast.actor)
    facts = AuditEvent.objects.get(action="provider.edited").facts
    assert facts == {"changed": ["password"]}
    assert "sesame" not in str(list(AuditEvent.objects.values()))


def test_an_empty_password_keeps_the_one_that_is_sealed(register: Register, cast: Cast) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    provider.title = "Orders API"
    services.edit_provider(provider=provider, actor=cast.actor)
    provider.refresh_from_db()
    assert vault.open_sealed(bytes(provider.sealed_password or b""), provider.binding()) == b"open sesame"


@pytest.mark.parametrize(
    "changes", [{"host": "evil.example"}, {"port": 8443}, {"use_tls": False}, {"type": "on_premise"}]
)
def test_a_kept_password_goes_to_no_other_server(
    register: Register, cast: Cast, changes: dict[str, Any]
) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    for name, value in changes.items():
        setattr(provider, name, value)
    with pytest.raises(PortalError, match="type the password again"):
        services.edit_provider(provider=provider, actor=cast.actor)
    services.edit_provider(provider=provider, password="open sesame", actor=cast.actor)


def test_without_authentication_nothing_of_it_is_kept(register: Register, cast: Cast) -> None:
    provider = register(authentication="basic", user_name="me", password="open sesame")
    provider.authentication = "none"
    services.edit_provider(provider=provider, password="typed all the same", actor=cast.actor)
    provider.refresh_from_db()
    assert (provider.user_name, provider.sealed_password, provider.sealed_with) == ("", None, "")


@pytest.mark.parametrize(
    ("field", "fields", "password"),
    [
        ("user_name", {"authentication": "basic"}, "x"),
        ("user_name", {"authentication": "basic", "user_name": "a:b"}, "x"),
        ("user_name", {"authentication": "basic", "user_name": "a\nb"}, "x"),
        ("password", {"authentication": "basic", "user_name": "me"}, ""),
        ("password", {"authentication": "basic", "user_name": "me"}, "a\nb"),
        ("password", {"authentication": "basic", "user_name": "me"}, "x" * 1001),
        ("host", {"host": ""}, ""),
        ("host", {"host": "https://orders.example.org"}, ""),
        ("port", {"port": -1}, ""),
        ("server_name", {"server_name": "192.0.2.1"}, ""),
        ("path_prefix", {"path_prefix": "v1"}, ""),
        ("collection_path", {"collection_path": "/a b"}, ""),
        ("spki_pins", {"spki_pins": ["x"]}, ""),
        ("name", {"name": ""}, ""),
        ("type", {"type": "moon"}, ""),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    cast: Cast, field: str, fields: dict[str, Any], password: str
) -> None:
    assert refused(field, provider=provider_of(cast, **fields), password=password, actor=cast.actor)
    assert not Provider.objects.exists()


def test_a_name_is_taken_once_whatever_its_letter_case(register: Register, cast: Cast) -> None:
    register()
    assert "already" in refused("name", provider=provider_of(cast, name="ORDERS"), actor=cast.actor)
    services.create_provider(provider=provider_of(cast, team=cast.other_team), actor=cast.actor)


def test_a_key_certificate_comes_from_a_key_store_of_the_team(
    cast: Cast, trusted: Certificate, key_certificate: Certificate
) -> None:
    refused("key_certificate", provider=provider_of(cast, key_certificate=trusted), actor=cast.actor)
    refused(
        "key_certificate",
        provider=provider_of(cast, team=cast.other_team, key_certificate=key_certificate),
        actor=cast.actor,
    )


def test_trust_comes_from_a_trust_store_of_the_team(
    cast: Cast, trust_store: Store, key_certificate: Certificate
) -> None:
    refused("trust_store", provider=provider_of(cast, trust_store=key_certificate.store), actor=cast.actor)
    refused(
        "trust_store",
        provider=provider_of(cast, team=cast.other_team, trust_store=trust_store),
        actor=cast.actor,
    )


def test_a_trusted_certificate_lies_in_the_chosen_store(
    cast: Cast, trusted: Certificate, trust_store: Store, key_certificate: Certificate
) -> None:
    other = kept(
        cast, mint("Other Root", ca=True), name="other-root", store="Other CAs", kind="trust"
    ).certificate
    sentence = refused(
        "trust_certificate",
        provider=provider_of(cast, trust_store=trust_store, trust_certificate=other),
        actor=cast.actor,
    )
    assert "“other-root” is not in the trust store “Partner CAs”" in sentence
    refused(
        "trust_certificate", provider=provider_of(cast, trust_certificate=key_certificate), actor=cast.actor
    )
    one = services.create_provider(provider=provider_of(cast, trust_certificate=trusted), actor=cast.actor)
    assert one.trust_store == trust_store


@pytest.mark.parametrize("fields", [{"type": "on_premise", "location_id": "berlin"}, {"use_tls": False}])
def test_where_there_is_no_tls_no_store_is_kept(
    register: Register, key_certificate: Certificate, trusted: Certificate, fields: dict[str, Any]
) -> None:
    provider = register(
        key_certificate=key_certificate,
        trust_store=trusted.store,
        trust_certificate=trusted,
        server_name="x.example",
        **fields,
    )
    provider.refresh_from_db()
    assert (provider.key_certificate, provider.trust_store, provider.trust_certificate) == (None, None, None)
    assert (provider.use_tls, provider.server_name, provider.location_id) == (
        False,
        "",
        fields.get("location_id", ""),
    )


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "on_premise"}, {"use_tls": False}, {"trust_store": None}, {"sealed_password": b"x"}, {"port": 0}, {"port": 65536},
        {"name": ""}, {"type": "moon"},
    ],
)  # fmt: skip
def test_the_database_says_no_as_well(
    register: Register, key_certificate: Certificate, trusted: Certificate, broken: dict[str, Any]
) -> None:
    provider = register(key_certificate=key_certificate, trust_store=trusted.store, trust_certificate=trusted)
    with pytest.raises(IntegrityError), transaction.atomic():
        Provider.objects.filter(pk=provider.pk).update(**broken)


def test_who_edits_what_somebody_else_has_changed_is_told(register: Register, cast: Cast) -> None:
    mine, theirs = register(), Provider.objects.get()
    seen = services.state_of(mine)
    theirs.port = 8443
    services.edit_provider(provider=theirs, seen=seen, actor=cast.actor)
    mine.title = "Mine"
    with pytest.raises(Conflict, match="Somebody else changed"):
        services.edit_provider(provider=mine, seen=seen, actor=cast.actor)
    assert Provider.objects.get().port == 8443


def test_nothing_changed_is_nothing_recorded(register: Register, cast: Cast) -> None:
    services.edit_provider(provider=register(), actor=cast.actor)
    assert not AuditEvent.objects.filter(action="provider.edited").exists()


def test_a_new_name_is_recorded_with_the_old_one(register: Register, cast: Cast) -> None:
    provider = register()
    provider.name = "sales"
    services.edit_provider(provider=provider, actor=cast.actor)
    assert AuditEvent.objects.get(action="provider.edited").facts == {
        "changed": ["name"],
        "old_name": "orders",
        "new_name": "sales",
    }


def test_a_store_or_certificate_deleted_meanwhile_is_said(cast: Cast, key_certificate: Certificate) -> None:
    provider = provider_of(cast, key_certificate=key_certificate)
    store_services.delete_certificate(
        certificate=Certificate.objects.get(pk=key_certificate.pk), actor=cast.actor
    )
    assert "deleted meanwhile" in refused("key_certificate", provider=provider, actor=cast.actor)


def test_editing_what_was_deleted_is_a_conflict(register: Register, cast: Cast) -> None:
    provider = register()
    services.delete_provider(provider=Provider.objects.get(), actor=cast.actor)
    with pytest.raises(Conflict, match="deleted meanwhile"):
        services.edit_provider(provider=provider, actor=cast.actor)


def test_deletion_leaves_certificate_and_store(
    register: Register, cast: Cast, key_certificate: Certificate, trust_store: Store
) -> None:
    provider = register(key_certificate=key_certificate, trust_store=trust_store)
    services.delete_provider(provider=provider, actor=cast.actor)
    assert not Provider.objects.exists()
    assert Certificate.objects.filter(pk=key_certificate.pk).exists()
    assert Store.objects.filter(pk=trust_store.pk).exists()
    assert AuditEvent.objects.get(action="provider.deleted").object_name == "orders"


def test_a_host_is_created_edited_and_deleted(
    cast: Cast, key_certificate: Certificate, trust_store: Store
) -> None:
    host = Host(
        team=cast.team,
        name="api",
        host_name="API.example.org",
        key_certificate=key_certificate,
        trust_store=trust_store,
    )
    services.create_host(host=host, actor=cast.actor)
    assert host.host_name == "api.example.org"
    host.client_certificate = "off"
    services.edit_host(host=host, actor=cast.actor)
    assert Host.objects.get().trust_store is None
    services.delete_host(host=host, actor=cast.actor)
    assert [event.action for event in AuditEvent.objects.filter(object_type="host").order_by("id")] == [
        "host.created",
        "host.edited",
        "host.deleted",
    ]


def test_a_host_that_asks_for_certificates_needs_a_trust_store(cast: Cast) -> None:
    with pytest.raises(PortalError, match="Choose the trust store") as caught:
        services.create_host(
            host=Host(team=cast.team, name="api", host_name="api.example.org"), actor=cast.actor
        )
    assert caught.value.field == "trust_store"
