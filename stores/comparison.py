"""Old and new side by side."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from stores.drawing import NO_END
from stores.expiry import Ending, Link, fails_at, watched
from stores.models import ChainCertificate, Version


class Facts(Link, Protocol):
    """What is compared of a certificate, as parsed or as stored."""

    @property
    def subject(self) -> str: ...
    @property
    def issuer(self) -> str: ...
    @property
    def serial(self) -> str: ...
    @property
    def key_type(self) -> str: ...
    @property
    def spki_sha256(self) -> str: ...
    @property
    def names(self) -> Sequence[str]: ...


@dataclass(frozen=True)
class Row:
    """One property of the old and of the new version; `remark` says what the difference means."""

    label: str
    old: str
    new: str
    remark: str = ""
    severity: str = "info"


def compare(old: Version, new: Sequence[Facts], kind: Literal["key", "trust"], now: dt.datetime) -> list[Row]:
    """What a person wants to know before a switch."""
    chain = list(old.chain.all())
    rows = [_ends(chain, new, kind, now)]
    return rows + (_key_rows(chain, old, new) if kind == "key" else _trust_rows(chain, new))


def _ends(old: Sequence[Facts], new: Sequence[Facts], kind: Literal["key", "trust"], now: dt.datetime) -> Row:
    old_end, new_end = (fails_at(watched(chain, kind), now) for chain in (old, new))
    no_gain = old_end is not None and new_end is not None and new_end.not_after <= old_end.not_after
    return Row(
        "Fails", _day(old_end), _day(new_end), "no gain" if no_gain else "", "urgent" if no_gain else "info"
    )


def _day(ending: Ending | None) -> str:
    if ending is None or ending.not_after.year == NO_END:
        return "never"
    return f"{ending.not_after.day} {ending.not_after:%b %Y}"


def _key_rows(chain: list[ChainCertificate], old: Version, new: Sequence[Facts]) -> list[Row]:
    before, after = chain[0], new[0]
    same_key = before.spki_sha256 == after.spki_sha256
    lost = [name for name in before.names if name not in after.names]
    return [
        Row(
            "Subject",
            before.subject,
            after.subject,
            "" if before.subject == after.subject else "another subject",
            "warning",
        ),
        Row(
            "Names",
            ", ".join(before.names) or "none",
            ", ".join(after.names) or "none",
            f"missing now: {', '.join(lost)}" if lost else "",
            "warning",
        ),
        Row("Issuer", before.issuer, after.issuer, "" if before.issuer == after.issuer else "another issuer"),
        Row("Key", before.key_type, after.key_type, "the same key" if same_key else "a new key"),
        Row("Serial", before.serial, after.serial),
        Row("Chain", _count(len(chain)), _count(len(new))),
    ]


def _trust_rows(chain: list[ChainCertificate], new: Sequence[Facts]) -> list[Row]:
    before = {one.sha256: one.common_name for one in chain}
    after = {one.sha256: one.common_name for one in new}
    gone = [name for sha256, name in before.items() if sha256 not in after]
    come = [name for sha256, name in after.items() if sha256 not in before]
    return [
        Row("Certificates", _count(len(before)), _count(len(after))),
        Row(
            "No longer trusted",
            ", ".join(gone) or "none",
            "",
            "calls that depend on these will fail" if gone else "",
            "warning",
        ),
        Row("Newly trusted", "", ", ".join(come) or "none"),
    ]


def _count(number: int) -> str:
    return f"{number} certificate{'' if number == 1 else 's'}"
