"""How reports of connection tests are read by people: in words, and without addresses for those who may not see them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from portal.templatetags.portal_tags import fingerprint
from providers.connection.report import Report, ServerCertificate
from providers.models import ConnectionReport
from providers.wording import EDITED_MEANWHILE, SIDES, headline
from stores.drawing import first_to_end
from stores.formats.certificates import read_certificate
from stores.formats.parsed import Certificate
from stores.models import ChainCertificate

PATIENCE = dt.timedelta(seconds=10)
"""After which a test that nobody has begun is said to wait for a worker."""
UNKNOWN = "not known"
NO_RESULT = ("info", "No result")
NAMES = {"tls": "TLS", "http": "HTTP"}
"""Steps whose names are no words."""
RESULTS = {None: ("staged", "Running"), True: ("valid", "Passed"), False: ("expired", "Failed")}


@dataclass(frozen=True)
class Line:
    """One step as it is shown."""

    name: str
    state: str
    words: str
    took: str
    detail: str


class Reading:
    """One report in words. `sees`: for somebody who may see addresses, which only sentences of the test itself hold."""

    def __init__(self, row: ConnectionReport, *, sees: bool, now: dt.datetime) -> None:
        self.row = row
        self.sees = sees
        self.now = now

    @cached_property
    def parsed(self) -> Report | None:
        """All that was seen; None before the end, and for a test that never reached it."""
        return Report.from_dict(self.row.details) if self.row.details else None

    @property
    def is_done(self) -> bool:
        return self.row.state == ConnectionReport.State.DONE

    @property
    def waits_long(self) -> bool:
        """Whether no worker has begun it for so long that there may be none."""
        waiting = self.row.state == ConnectionReport.State.WAITING
        return waiting and self.now - self.row.asked_at > PATIENCE

    @property
    def state(self) -> str:
        return self._result[0]

    @property
    def word(self) -> str:
        if self.row.state == ConnectionReport.State.WAITING:
            return "Waiting"
        return self._result[1]

    @property
    def _result(self) -> tuple[str, str]:
        return NO_RESULT if self.row.code == EDITED_MEANWHILE else RESULTS[self.row.ok]

    @property
    def headline(self) -> str:
        if self.is_done:
            return headline(self.row.code)
        return "The test runs" if self.row.started_at else "The test begins as soon as a worker is free"

    @property
    def message(self) -> str:
        """What is wrong, whose side it is on, what to do; "" for those who may not see addresses, since it names some."""
        return self.row.message if self.sees or not self.parsed else ""

    @property
    def side(self) -> str:
        return SIDES.get(self.parsed.side, "") if self.parsed else ""

    @property
    def lines(self) -> list[Line]:
        """The steps so far."""
        return [
            Line(
                NAMES.get(step["name"], step["name"][:1].upper() + step["name"][1:]),
                "valid" if step["ok"] else "expired",
                "done" if step["ok"] else "failed",
                in_milliseconds(step["seconds"]),
                step["detail"] if self.sees else "",
            )
            for step in self.row.steps
        ]

    @property
    def took(self) -> str:
        """All steps together."""
        return in_milliseconds(sum(step["seconds"] for step in self.row.steps))

    @cached_property
    def chain(self) -> Sequence[Certificate]:
        """The server's chain as it was sent."""
        sent = self.parsed.server_chain if self.parsed else ()
        return [read_certificate(one.der, "the server's chain")[0] for one in sent]

    @property
    def ends_first(self) -> str:
        """The sha256 of the certificate of the server's chain that ends first."""
        return first_to_end(self.chain, "key", self.now)

    @property
    def first_end(self) -> dt.datetime | None:
        return min((one.not_after for one in self.parsed.server_chain), default=None) if self.parsed else None

    @property
    def unsent_anchor(self) -> ServerCertificate | None:
        """The trust entry that the chain ends in, where the server did not send it."""
        anchor = self.parsed.anchor if self.parsed else None
        sent = {one.sha256 for one in self.parsed.server_chain} if self.parsed else set()
        return anchor if anchor and anchor.sha256 not in sent else None

    @property
    def rests_on(self) -> str:
        """The name of the old trust entry without which the server would not be believed; "" where a lasting one verifies it."""
        return (
            self.parsed.anchor.common_name
            if self.parsed and self.parsed.anchor and self.parsed.anchor_goes
            else ""
        )

    @cached_property
    def trusted_as(self) -> ChainCertificate | None:
        """The certificate of the provider's trust store that is the anchor; None for one of the system's."""
        anchor = self.parsed.anchor if self.parsed else None
        store = self.row.provider.trust_store_id
        if anchor is None or store is None:
            return None
        kept = ChainCertificate.objects.filter(sha256=anchor.sha256, version__certificate__store=store)
        return kept.select_related("version__certificate__store").order_by("-version__number").first()

    @property
    def asked_for(self) -> str:
        """Whether the server asked for a client certificate, in words."""
        if self.parsed is None or not self.parsed.protocol:
            return UNKNOWN
        return "yes" if self.parsed.client_certificate_requested else "no"

    @property
    def sent(self) -> str:
        """What became of our certificate, in words."""
        if self.parsed is None or not self.parsed.protocol:
            return UNKNOWN
        if not self.parsed.client_certificate_sent:
            return "none was sent"
        refused = self.row.code.startswith("client_certificate_")
        return "sent and refused" if refused else "sent and accepted"


def in_milliseconds(seconds: float) -> str:
    """As people read it."""
    return "< 1 ms" if seconds < 0.001 else f"{round(seconds * 1000):,} ms"


@dataclass(frozen=True)
class Row:
    """One property of two reports."""

    label: str
    first: str
    second: str

    @property
    def differs(self) -> bool:
        return self.first != self.second and UNKNOWN not in (self.first, self.second)


def compare(first: Reading, second: Reading) -> list[Row]:
    """Two reports side by side; times differ always, so that they are said and not marked."""
    facts = [dict(_facts(one)) for one in (first, second)]
    lacking = ["none" if one.parsed else UNKNOWN for one in (first, second)]
    return [
        Row(label, facts[0].get(label, lacking[0]), facts[1].get(label, lacking[1]))
        for label in dict.fromkeys(label for one in sorted(facts, key=len, reverse=True) for label in one)
    ]


def _facts(reading: Reading) -> list[tuple[str, str]]:
    seen = reading.parsed
    shown = reading.row.shown
    facts = [
        ("Diagnosis", reading.headline),
        ("Our version", f"{shown.certificate.name}, version {shown.number}" if shown else "none"),
    ]
    if seen is None:
        return facts
    facts += [
        ("Protocol", seen.protocol or "none"),
        ("Cipher", seen.cipher or "none"),
        *_chain_facts(reading, seen),
        ("Trust entry", f"{seen.anchor.common_name}, {_short(seen.anchor)}" if seen.anchor else "none"),
        ("Client certificate asked for", reading.asked_for),
        ("Our certificate", reading.sent),
        ("CAs named by the server", ", ".join(seen.acceptable_cas) or "none"),
        ("HTTP answer", str(seen.http_status or "none")),
    ]
    return facts


def _chain_facts(reading: Reading, seen: Report) -> list[tuple[str, str]]:
    """The names in the server's own certificate say where it is."""
    chain = seen.server_chain
    facts = [("Certificates sent", str(len(chain)))]
    for number, one in enumerate(chain):
        name = one.common_name if reading.sees or number else "the server's own"
        label = "Server's certificate" if number == 0 else f"Certificate {number + 1} of its chain"
        facts.append((label, f"{name}, {one.key_type}, {_short(one)}, until {one.not_after:%d %b %Y}"))
    return facts


def _short(one: ServerCertificate) -> str:
    return fingerprint(one.sha256[:16]) + "…"


def times(first: Reading, second: Reading) -> list[tuple[str, str, str]]:
    """What each step took, step by step."""
    took = [{line.name: line.took for line in one.lines} for one in (first, second)]
    names = dict.fromkeys(name for one in sorted(took, key=len, reverse=True) for name in one)
    return [(name, took[0].get(name, "not reached"), took[1].get(name, "not reached")) for name in names]
