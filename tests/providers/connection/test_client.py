"""Why a server refuses our certificate, by what it says and by what is known."""

from __future__ import annotations

import pytest
from cryptography import x509

from providers.connection.client import Exchange, http_refusal, shown_names
from tests.material import NOW, Minted, mint

ROOT = mint("Client Root", ca=True)
OTHER = mint("Other Root", ca=True)
GOOD, ENDED, EARLY = mint("good", ROOT), mint("ended", ROOT, end=-1), mint("early", ROOT, begin=1)
OURS = ROOT.certificate.subject.public_bytes()
THEIRS = OTHER.certificate.subject.public_bytes()


def exchange(
    *chain: Minted, sent: bool = True, requested: bool = True, takes: tuple[bytes, ...] = ()
) -> Exchange:
    return Exchange(tuple(one.certificate for one in chain), requested, sent, takes, NOW)


@pytest.mark.parametrize(
    ("chain", "alert", "takes", "code", "side"),
    [
        ((GOOD,), 48, (OURS,), "client_certificate_unknown_ca", "theirs"),
        ((ENDED,), 48, (), "client_certificate_unknown_ca", "theirs"),
        ((ENDED,), 45, (), "client_certificate_expired", "ours"),
        ((GOOD,), 45, (), "client_certificate_expired", "theirs"),
        ((ENDED,), 42, (), "client_certificate_expired", "ours"),
        ((GOOD, mint("Ended CA", ca=True, end=-1)), 46, (), "client_certificate_expired", "ours"),
        ((ENDED,), 44, (), "client_certificate_refused", "theirs"),
        ((GOOD,), 42, (THEIRS,), "client_certificate_unknown_ca", "theirs"),
        ((GOOD,), 42, (THEIRS, OURS), "client_certificate_refused", "theirs"),
        ((GOOD,), 42, (b"no name",), "client_certificate_refused", "theirs"),
        ((EARLY,), 46, (), "client_certificate_refused", "ours"),
        ((GOOD,), 40, (), "client_certificate_refused", "theirs"),
        ((GOOD,), 116, (), "client_certificate_required", "ours"),
        ((GOOD,), None, (THEIRS,), "client_certificate_unknown_ca", "theirs"),
        ((ENDED,), None, (), "client_certificate_expired", "ours"),
    ],
)
def test_what_was_sent_is_refused(
    chain: tuple[Minted, ...], alert: int | None, takes: tuple[bytes, ...], code: str, side: str
) -> None:
    problem = exchange(*chain, takes=takes).refusal("why", alert)
    assert (problem.code, problem.side) == (code, side)
    assert "(why" in problem.message


@pytest.mark.parametrize("alert", [40, 42, 48, 116, None])
@pytest.mark.parametrize("chain", [(), (GOOD,)], ids=["none", "one of another kind"])
def test_what_was_not_sent_is_required(chain: tuple[Minted, ...], alert: int | None) -> None:
    problem = exchange(*chain, sent=False, takes=(THEIRS,)).refusal("why", alert)
    assert (problem.code, problem.side) == ("client_certificate_required", "ours")
    assert "CN=Other Root" in problem.message


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (400, b"<center>No required SSL certificate was sent</center>", "client_certificate_required"),
        (496, b"", "client_certificate_required"),
        (400, b"<center>The SSL certificate error</center>", "client_certificate_refused"),
        (495, b"", "client_certificate_refused"),
        (400, b"Bad request", None),
    ],
)
def test_nginx_says_it_in_http(status: int, body: bytes, code: str | None) -> None:
    problem = http_refusal(status, body, exchange(GOOD))
    assert (problem.code if problem else None) == code
    assert http_refusal(status, body, exchange(GOOD, requested=False)) is None


def test_names_are_harmless_to_show() -> None:
    hostile = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a\u202eb")]).public_bytes()
    assert shown_names((OURS, hostile, b"\x30\x80")) == (
        "CN=Client Root",
        "CN=a\\\\u202eb",
        "a name that cannot be read",
    )
