"""What has ended, ends soon or has not begun."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from stores import expiry
from stores.expiry import Ending, Stage
from stores.formats.parsed import Certificate, Finding, StoreKind, Upload
from stores.rules import commands
from stores.rules.codes import said
from stores.rules.wording import instant, named, quoted


def check(kept: Sequence[Certificate], store: StoreKind, now: dt.datetime, upload: Upload) -> list[Finding]:
    """expired, chain_expired, expires_soon and not_yet_valid of what would be kept, in its order."""
    found = []
    for ending in expiry.watched(kept, store):
        stage = expiry.stage_at(ending.not_before, ending.not_after, now)
        if stage is Stage.EXPIRED:
            found.append(_ended(ending, kept, store, upload))
        elif stage is not None:
            found.append(_ends_soon(ending, kept, store, now, upload))
    if store == "key" and kept and kept[0].not_before > now:
        found.append(_not_begun(kept[0]))
    return found


def has_ended(certificate: Certificate, now: dt.datetime) -> bool:
    """Whether a certificate has ended, by the same rule as everywhere."""
    return expiry.stage_at(certificate.not_before, certificate.not_after, now) is Stage.EXPIRED


def _ended(ending: Ending, kept: Sequence[Certificate], store: StoreKind, upload: Upload) -> Finding:
    who, when = quoted(ending.common_name), instant(ending.not_after)
    if store == "trust":
        text = f"The trusted certificate {who} ended on {when}. Leave it out, and ask its owner for the one that follows it."
        return said("expired", text, certificate=ending.sha256)
    if ending.position == 0:
        text = f"The certificate {who} ended on {when}. Ask its issuer for a new one and upload that."
        return said("expired", text, certificate=ending.sha256, command=commands.request(kept[0], upload))
    text = (
        f"{who}, which stands above {named(kept[0])} in the chain, ended on {when}, and the leaf is refused with it. "
        "Get the issuer's present certificate; if there is none, ask for a new leaf."
    )
    return said("chain_expired", text, certificate=ending.sha256)


def _ends_soon(
    ending: Ending, kept: Sequence[Certificate], store: StoreKind, now: dt.datetime, upload: Upload
) -> Finding:
    who, when = quoted(ending.common_name), _left(ending.not_after - now) + instant(ending.not_after)
    command = ""
    if store == "trust":
        text = (
            f"The trusted certificate {who} ends {when}. Ask its owner for the one that follows it, in time."
        )
    elif ending.position == 0:
        text = f"The certificate {who} ends {when}. Ask its issuer for a new one now."
        command = commands.request(kept[0], upload)
    else:
        text = f"{who}, which stands above {named(kept[0])} in the chain, ends {when}. Ask for a new chain in time."
    return said("expires_soon", text, certificate=ending.sha256, command=command)


def _left(left: dt.timedelta) -> str:
    """ "in 9 days, on " before a date."""
    if left.days < 1:
        return "within a day, on "
    return f"in {left.days} {'day' if left.days == 1 else 'days'}, on "


def _not_begun(leaf: Certificate) -> Finding:
    text = (
        f"The certificate {named(leaf)} is valid only from {instant(leaf.not_before)} on. "
        "It can be kept now, staged, and becomes active at that instant."
    )
    return said("not_yet_valid", text, certificate=leaf.sha256)
