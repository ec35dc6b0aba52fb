"""Names and pins."""

from __future__ import annotations

import pytest

from providers.connection.identity import has_pin, matches, spki_pin
from tests.material import mint

ONE, RENEWED, OTHER = mint("one"), mint("one again", key_name="one"), mint("other")


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("orders.example.org", ("DNS:orders.example.org",)),
        ("orders.example.org", ("DNS:a.example", "DNS:ORDERS.example.ORG")),
        ("Orders.Example.org.", ("DNS:orders.example.org",)),
        ("orders.example.org", ("DNS:*.example.org",)),
        ("192.0.2.1", ("IP:192.0.2.1",)),
        ("2001:db8::1", ("IP:2001:db8:0:0::1",)),
    ],
)
def test_a_name_that_belongs(name: str, names: tuple[str, ...]) -> None:
    assert matches(name, names)


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("orders.example.org", ()),
        ("orders.example.org", ("DNS:example.org",)),
        ("orders.example.org", ("email:orders.example.org", "URI:orders.example.org")),
        ("a.orders.example.org", ("DNS:*.example.org",)),
        ("example.org", ("DNS:*.example.org",)),
        ("example.org", ("DNS:*.org", "DNS:*")[1:]),
        ("orders.example.org", ("DNS:o*.example.org", "DNS:orders.*.org", "DNS:*rders.example.org")),
        ("localhost", ("DNS:*",)),
        (".example.org", ("DNS:*.example.org",)),
        ("192.0.2.1", ("DNS:192.0.2.1", "DNS:*.0.2.1")),
        ("192.0.2.1", ("IP:192.0.2.2",)),
    ],
)
def test_a_name_that_does_not(name: str, names: tuple[str, ...]) -> None:
    assert not matches(name, names)


def test_a_pin_is_that_of_a_key() -> None:
    assert spki_pin(ONE.certificate) == spki_pin(RENEWED.certificate) != spki_pin(OTHER.certificate)
    assert len(spki_pin(ONE.certificate)) == 44


def test_any_certificate_of_the_path_may_have_the_pin() -> None:
    path = [ONE.certificate, OTHER.certificate]
    assert has_pin(path, [spki_pin(OTHER.certificate), "backup"])
    assert not has_pin(path, ["backup"])
