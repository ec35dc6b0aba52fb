"""What two reports say of one server, fact by fact, and what differs between them. No fact holds the server's address."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from portal.templatetags.portal_tags import visible
from providers.connection.report import Report, ServerCertificate
from providers.models import Change
from providers.wording import WORKS, headline

Kind = Change.Kind
NONE_NAMED = "A client certificate is asked for, and no CA is named"
NOT_ASKED = "No client certificate is asked for"
MOST_NAMED = 3


@dataclass(frozen=True)
class Difference:
    """One fact that is not as it was known."""

    kind: str
    before: str
    after: str


def facts_of(report: Report) -> dict[str, str]:
    """By kind all that the report knows of the server, in lines that are the same when the fact is.

    What a test that failed could not see is left out.
    """
    facts: dict[str, str] = {Kind.REACHABILITY: WORKS if report.ok else headline(report.code)}
    if report.server_chain:
        leaf, *above = report.server_chain
        facts[Kind.CHAIN] = "\n".join([_line(_own(leaf), leaf), *(_line(_above(one), one) for one in above)])
        facts[Kind.KEY] = f"{leaf.key_type}, pin {leaf.spki_pin}"
    if report.protocol:
        facts[Kind.PROTOCOL] = report.protocol
    if report.client_certificate_requested:
        facts[Kind.CLIENT_CAS] = "\n".join(sorted(set(map(visible, report.acceptable_cas)))) or NONE_NAMED
    elif report.ok and report.protocol:
        facts[Kind.CLIENT_CAS] = NOT_ASKED
    return facts


def _line(what: str, one: ServerCertificate) -> str:
    return f"{what}, until {one.not_after:%d %b %Y}, SHA-256 {one.sha256[:16]}…"


def _own(leaf: ServerCertificate) -> str:
    """Its subject says where it is, and so does its issuer when it is signed by itself."""
    if leaf.issuer == leaf.subject:
        return "The server's own, signed by itself"
    return f"The server's own, issued by {visible(leaf.issuer)}"


def _above(one: ServerCertificate) -> str:
    return visible(one.common_name) if one.is_ca else "One that is no CA"


def differences(known: Mapping[str, str], seen: Mapping[str, str]) -> list[Difference]:
    """What is seen now and was known otherwise, the weightiest first. Of a test only counts whether it fails, not how."""
    order = (Kind.REACHABILITY, Kind.CHAIN, Kind.KEY, Kind.PROTOCOL, Kind.CLIENT_CAS)
    both = [kind for kind in order if kind in known and kind in seen]
    return [
        Difference(kind.value, known[kind], seen[kind])
        for kind in both
        if _differs(kind, known[kind], seen[kind])
    ]


def _differs(kind: Kind, before: str, after: str) -> bool:
    if kind == Kind.REACHABILITY:
        return (before == WORKS) != (after == WORKS)
    return before != after


def title(found: Sequence[Difference]) -> str:
    """The weightiest difference in a few words that follow the provider's name."""
    first = found[0]
    if first.kind == Kind.REACHABILITY:
        return "the connection works again" if first.after == WORKS else "the connection fails"
    if first.kind == Kind.CHAIN:
        return (
            "the server sends other certificates"
            if _same_leaf(first)
            else "the server shows a new certificate"
        )
    if first.kind == Kind.PROTOCOL:
        return f"the server speaks {first.after}"
    return "the server has a new key" if first.kind == Kind.KEY else "the server names other client CAs"


def text(found: Iterable[Difference]) -> str:
    """All differences in sentences."""
    return " ".join(_sentence(one) for one in found)


def _sentence(one: Difference) -> str:
    if one.kind == Kind.REACHABILITY:
        return f"Before: {one.before}." if one.after == WORKS else f"{one.after}. It passed before."
    if one.kind == Kind.CHAIN:
        return _about_chain(one)
    if one.kind == Kind.KEY:
        return "Its key is a new one."
    if one.kind == Kind.PROTOCOL:
        return f"It speaks {one.after}, and spoke {one.before}."
    before, after = one.before.split("\n"), one.after.split("\n")
    new, gone = _named(set(after) - set(before)), _named(set(before) - set(after))
    return f"About client certificates it says now: {new}. No longer: {gone}."


def _about_chain(one: Difference) -> str:
    if _same_leaf(one):
        return "The server's own certificate is the same, and the chain above it is another one."
    was, now = _leaf(one.before), _leaf(one.after)
    issuer = "the same issuer" if was[0] == now[0] else "another issuer"
    return f"The server shows a new certificate of {issuer}, {now[1]}."


def _leaf(chain: str) -> tuple[str, str]:
    """Of the first line who issued the certificate, and until when it is valid. Names of issuers hold commas."""
    issuer, until, _ = chain.split("\n", maxsplit=1)[0].rsplit(", ", 2)
    return issuer, until


def _same_leaf(one: Difference) -> bool:
    return one.before.split("\n")[0] == one.after.split("\n")[0]


def _named(lines: Iterable[str]) -> str:
    names = sorted(lines)
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "") if names else "nothing"
