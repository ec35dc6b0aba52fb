"""The true end of a provider: what of its server's own chain ends, as last seen."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from providers.models import ConnectionReport, OverlapProof, Provider
from stores import expiry
from stores.expiry import Ending
from stores.watch import EVER, policy_of

if TYPE_CHECKING:
    from providers.connection.report import Report, ServerCertificate

WHERE_IT_IS = ("type", "host", "port", "use_tls", "server_name")
"""What decides which server is seen."""
UNSEEN = {
    "server_ends_at": None,
    "server_ends_sha256": "",
    "server_ends_name": "",
    "anchor_sha256": "",
    "server_stage": "",
    "server_next_stage_at": None,
}
LONG = dt.timedelta(days=365)
"""A lifetime for which the stages are at their usual days."""


def after(report: ConnectionReport, parsed: Report | None, now: dt.datetime) -> None:
    """Remembers which certificate of the server's chain ends first, and the trust entry in which it ended.

    `parsed` is None for a test that never ran to its end. A rehearsal may have trusted what is not active, and says nothing of
    the trust entry.
    """
    if parsed is None or not parsed.server_chain:
        return
    provider = report.provider
    values = _first_end(provider, path_of(parsed), now)
    if report.reason != ConnectionReport.Reason.REHEARSAL:
        is_ours = provider.trust_store_id and parsed.anchor
        values["anchor_sha256"] = parsed.anchor.sha256 if is_ours and parsed.anchor else ""
    _write(provider, values)


def path_of(parsed: Report) -> list[ServerCertificate]:
    """Of what the server sent, the certificates that lead from its leaf up to the trust entry, or as far as they go.

    What it sends beside them, as an old cross-certificate, ends without harm.
    """
    path, rest, anchor = [parsed.server_chain[0]], list(parsed.server_chain[1:]), parsed.anchor
    while not (anchor and (path[-1].sha256 == anchor.sha256 or path[-1].issuer == anchor.subject)):
        above = next((one for one in rest if one.subject == path[-1].issuer), None)
        if above is None:
            break
        rest.remove(above)
        path.append(above)
    return path


def _first_end(provider: Provider, path: Sequence[ServerCertificate], now: dt.datetime) -> dict[str, object]:
    """What is kept of the certificate that ends first; its stages begin anew unless it is the one that was seen before."""
    counted = [path[0], *(one for one in path[1:] if one.subject != one.issuer)]
    first = min(counted, key=lambda one: one.not_after)
    if first.sha256 == provider.server_ends_sha256:
        return {}
    ending = Ending(first.sha256, first.common_name, first.not_before, first.not_after, 0)
    policy = policy_of(provider.team)
    return {
        "server_ends_at": first.not_after,
        "server_ends_sha256": first.sha256,
        "server_ends_name": first.common_name,
        "server_stage": expiry.stage_at(first.not_before, first.not_after, now, policy) or "",
        "server_next_stage_at": expiry.next_stage_at([ending], EVER, policy),
    }


def ending_of(provider: Provider) -> Ending | None:
    """The end that is kept, with the lifetime as the reports have it; one that no report has any more counts as long."""
    if provider.server_ends_at is None:
        return None
    begins = _begins(provider) or provider.server_ends_at - LONG
    return Ending(provider.server_ends_sha256, provider.server_ends_name, begins, provider.server_ends_at, 0)


def _begins(provider: Provider) -> dt.datetime | None:
    for report in provider.reports.filter(state=ConnectionReport.State.DONE).only("details"):
        for one in report.details.get("server_chain", ()):
            if one["sha256"] == provider.server_ends_sha256:
                return dt.datetime.fromisoformat(one["not_before"])
    return None


def is_another_server(provider: Provider, before: Provider) -> bool:
    """Whether the provider now leads elsewhere than it did."""
    return any(getattr(provider, name) != getattr(before, name) for name in WHERE_IT_IS)


def forget(provider: Provider) -> None:
    """Another server answers from now on: what was seen of the last one says nothing of it. Changes the row in memory alone."""
    for name, value in UNSEEN.items():
        setattr(provider, name, value)
    OverlapProof.objects.filter(provider=provider, overlap__closed_at__isnull=True).delete()


def _write(provider: Provider, values: dict[str, object]) -> None:
    if values:
        Provider.objects.filter(pk=provider.pk).update(**values)
        for name, value in values.items():
            setattr(provider, name, value)
