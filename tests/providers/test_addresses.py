"""How host names, paths and pins are read."""

from __future__ import annotations

import base64

import pytest

from providers import addresses

PIN = base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("orders.example.org", "orders.example.org"),
        (" Orders.Example.ORG. ", "orders.example.org"),
        ("localhost", "localhost"),
        ("3com.example", "3com.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("Straße.example", "xn--strae-oqa.example"),
        ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
        ("ex\u200bample.org", "example.org"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[::1]", "::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_a_host_is_kept_in_one_form(typed: str, kept: str) -> None:
    assert addresses.host(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "orders example.org", "-orders.example.org", "orders-.example.org", "orders..example.org", ".example.org", "or_ders.example",
        "a" * 64 + ".example", ".".join(["a" * 60] * 5), "256.1.1.1", "1.2.3", "fe80::1%eth0", "orders.example.org\n.evil", "*.example.org",
        "user@example.org", "xn--\u0000.example", "", "[orders.example.org]", "\u202eexample.org",
    ],
)  # fmt: skip
def test_what_is_no_host_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(ValueError, match=r"host name"):
        addresses.host(typed)


def test_an_address_of_a_page_is_refused_with_the_host_to_type() -> None:
    with pytest.raises(ValueError, match=r"without https:// and path: orders\.example\.org\."):
        addresses.host("HTTPS://orders.example.org/v1")


def test_a_port_in_the_host_is_sent_to_its_own_field() -> None:
    with pytest.raises(ValueError, match="port has a field of its own"):
        addresses.host("orders.example.org:8443")


def test_a_server_name_is_no_address() -> None:
    with pytest.raises(ValueError, match="a name is needed"):
        addresses.host_name("192.0.2.7")


@pytest.mark.parametrize("typed", ["/", "/v1", "/v1/", "/a%20b/c;d=e,f/(g)'h'", "//double"])
def test_paths_stay_as_typed(typed: str) -> None:
    assert addresses.path(typed) == typed


@pytest.mark.parametrize(
    "typed", ["v1", "", "/a b", "/a?b", "/a#b", "/a%2", "/ü", "/a\\b", "/../etc", "/a/./b", "/a\n", "/<b>"]
)
def test_other_paths_are_refused(typed: str) -> None:
    with pytest.raises(ValueError, match=r"slash|percent-encoded|steps"):
        addresses.path(typed)


@pytest.mark.parametrize(
    "typed", [PIN, f" {PIN} ", f"sha256/{PIN}", f"sha256//{PIN}", f'pin-sha256="{PIN}";']
)
def test_pins_are_read_as_people_paste_them(typed: str) -> None:
    assert addresses.pins([typed, "", PIN]) == [PIN]


def test_a_wrong_pin_is_named_by_its_line() -> None:
    with pytest.raises(ValueError, match="Line 3 is no pin"):
        addresses.pins([PIN, "", PIN[:-4]])


def test_there_are_at_most_twenty_pins() -> None:
    many = [base64.b64encode(bytes([n]) * 32).decode() for n in range(21)]
    assert len(addresses.pins(many[:20])) == 20
    with pytest.raises(ValueError, match="at most 20"):
        addresses.pins(many)


@pytest.mark.parametrize(
    ("parts", "url"),
    [
        (("https", "orders.example.org", 443, "", ""), "https://orders.example.org"),
        (
            ("https", "orders.example.org", 8443, "/v1", "/services"),
            "https://orders.example.org:8443/v1/services",
        ),
        (
            ("https", "orders.example.org", 80, "/v1/", "/services"),
            "https://orders.example.org:80/v1/services",
        ),
        (("http", "::1", 80, "/", ""), "http://[::1]/"),
        (("http", "2001:db8::1", 8080, "", "/s"), "http://[2001:db8::1]:8080/s"),
    ],
)
def test_the_address_of_the_catalogue_is_made_of_its_parts(
    parts: tuple[str, str, int, str, str], url: str
) -> None:
    assert addresses.url(*parts) == url
