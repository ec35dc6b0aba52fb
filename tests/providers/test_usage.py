"""Where-used, seen from the certificates: complete, and in a constant number of queries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.errors import Conflict
from providers.models import Host, Provider
from providers.usage import find
from stores import services as store_services
from stores.models import Certificate, Store
from stores.usage import is_used, search_users, uses_of, uses_of_one, uses_of_store
from tests.cast import Cast, kept
from tests.material import mint
from tests.providers.conftest import Register

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
RegisterHost = Callable[..., Host]


@pytest.fixture
def second(cast: Cast, trusted: Certificate) -> Certificate:
    """Partner CAs / second-root."""
    return kept(
        cast, mint("Second Root", ca=True), name="second-root", store="Partner CAs", kind="trust"
    ).certificate


def test_who_shows_and_who_trusts(
    register: Register, register_host: RegisterHost, key_certificate: Certificate, trusted: Certificate
) -> None:
    provider = register(title="Orders API", key_certificate=key_certificate, trust_store=trusted.store)
    host = register_host(key_certificate=key_certificate, trust_store=trusted.store)
    shows, trusts = uses_of_one(key_certificate), uses_of_one(trusted)
    assert [(use.kind, use.id, use.title, use.how) for use in shows] == [
        ("provider", provider.pk, "Orders API", "shows"), ("host", host.pk, "public-api", "shows"),
    ]  # fmt: skip
    assert [(use.kind, use.how) for use in trusts] == [("provider", "trusts"), ("host", "trusts")]
    assert shows[0].url == provider.get_absolute_url()
    assert shows[0].detail == "orders.example.org:443"


def test_who_trusts_one_certificate_does_not_use_the_others(
    register: Register, trusted: Certificate, second: Certificate
) -> None:
    register(trust_store=trusted.store, trust_certificate=trusted)
    assert set(uses_of([trusted, second])) == {trusted.pk}
    assert [use.title for use in uses_of_store(trusted.store)] == ["orders"]


def test_the_query_finds_those_who_trust_a_store_as_a_whole(
    register: Register, trusted: Certificate, second: Certificate
) -> None:
    whole = register(name="whole", trust_store=trusted.store)
    alone = register(name="alone", trust_store=trusted.store, trust_certificate=trusted)
    assert set(Provider.objects.that_use([second])) == {whole}
    assert set(Provider.objects.that_use([trusted])) == {whole, alone}


def test_the_condition_says_the_same_as_the_finder(
    register: Register,
    register_host: RegisterHost,
    cast: Cast,
    key_certificate: Certificate,
    trusted: Certificate,
    second: Certificate,
) -> None:
    free = kept(cast, mint("free"), name="free").certificate
    register(key_certificate=key_certificate, trust_store=trusted.store, trust_certificate=trusted)
    everything = [key_certificate, trusted, second, free]
    assert set(Certificate.objects.filter(is_used())) == {key_certificate, trusted}
    assert set(uses_of(everything)) == {key_certificate.pk, trusted.pk}
    register_host(key_certificate=free, trust_store=trusted.store)
    assert set(Certificate.objects.filter(is_used())) == set(everything)
    assert set(uses_of(everything)) == {one.pk for one in everything}


@pytest.mark.parametrize("count", [1, 30])
def test_two_queries_however_many_there_are(
    register: Register,
    register_host: RegisterHost,
    key_certificate: Certificate,
    trusted: Certificate,
    count: int,
    django_assert_num_queries: Any,
) -> None:
    for number in range(count):
        register(name=f"p{number}", key_certificate=key_certificate, trust_store=trusted.store)
        register_host(name=f"h{number}", trust_store=trusted.store)
    with django_assert_num_queries(2):
        assert len(find([key_certificate, trusted])) == 3 * count


def test_what_is_used_cannot_be_deleted(
    register: Register, cast: Cast, key_certificate: Certificate, trusted: Certificate
) -> None:
    register(title="Orders API", key_certificate=key_certificate, trust_store=trusted.store)
    for one in (key_certificate, trusted):
        with pytest.raises(Conflict, match="Orders API"):
            store_services.delete_certificate(certificate=one, actor=cast.actor)
    with pytest.raises(Conflict, match="Orders API"):
        store_services.delete_store(store=trusted.store, actor=cast.actor)


def test_an_empty_store_that_is_trusted_cannot_be_deleted(
    register: Register, cast: Cast, django_assert_num_queries: Any
) -> None:
    empty = Store.objects.create(team=cast.team, kind="trust", name="Nobody")
    register(title="Orders API", trust_store=empty)
    with django_assert_num_queries(2):
        assert [use.title for use in uses_of_store(empty)] == ["Orders API"]
    with pytest.raises(Conflict, match="used by Orders API"):
        store_services.delete_store(store=empty, actor=cast.actor)


def test_of_a_key_store_every_user_is_named_once(
    register: Register, register_host: RegisterHost, cast: Cast, key_certificate: Certificate
) -> None:
    other = kept(cast, mint("other"), name="other").certificate
    register(name="b", key_certificate=key_certificate)
    register(name="A", key_certificate=other)
    register_host(name="h", key_certificate=other)
    assert [(use.title, use.how) for use in uses_of_store(other.store)] == [
        ("A", "shows"),
        ("b", "shows"),
        ("h", "shows"),
    ]


def test_a_replacement_reaches_the_provider_by_itself(
    register: Register, cast: Cast, key_certificate: Certificate
) -> None:
    provider = register(key_certificate=key_certificate)
    version = kept(cast, mint("orders-client", end=700))
    provider.refresh_from_db()
    assert provider.key_certificate is not None
    assert provider.key_certificate.active == version


def test_people_find_users_by_name_and_title_but_not_by_address(
    register: Register, register_host: RegisterHost, cast: Cast
) -> None:
    register(title="Shop API")
    register_host(name="shop-front")
    with CaptureQueriesContext(connection) as queries:
        hits = search_users(cast.team, "SHOP")
    assert {(hit.kind, hit.title) for hit in hits} == {("provider", "Shop API"), ("host", "shop-front")}
    assert len(queries) == 1
    assert [hit.title for hit in search_users(cast.team, "orders")] == ["Shop API"]
    assert search_users(cast.team, "example.org") == []
    assert search_users(cast.other_team, "shop") == []
