"""One connection test from the name to the HTTP answer; ends at the first problem, with a report in any case."""

from __future__ import annotations

import dataclasses
import datetime as dt
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Literal

from portal import outbound
from providers.connection import answers, client, failures, http, server
from providers.connection.problem import Problem, Steps
from providers.connection.reaching import Way
from providers.connection.report import Report, ServerCertificate, Step
from providers.connection.target import Target
from providers.connection.tls import BrokenError, Session, looks_like_tls
from providers.connection.wire import ClosedError, End, TimeUpError, Wire, WireError

TOTAL_SECONDS = 10.0
NUDGE_SECONDS = 2.0
"""How long a late refusal is waited for where no HTTP answer is asked for."""
SILENT_SECONDS = 6.0
"""How long the answer to HEAD is waited for; then GET has the rest of the time, since some servers do not answer HEAD at all."""


def probe(
    target: Target,
    policy: outbound.Policy,
    *,
    now: dt.datetime,
    on_step: Callable[[Step], None] | None = None,
) -> Report:
    """Tries a connection and says what is wrong with it. Never raises for what a server or the network does.

    At most `outbound.CONNECT_SECONDS` to connect and `TOTAL_SECONDS` in total. Certificates are judged at `now`.
    Our certificate is shown to whom asks for it; HTTP, with it the credentials, is sent only after the server has proved itself.
    """
    with ExitStack() as open_wires:
        way = Way(target, policy, time.monotonic() + TOTAL_SECONDS, open_wires)
        run = _Run(target, way, now, Steps(on_step))
        try:
            run.all()
        except Problem as problem:
            return run.report(ok=False, code=problem.code, message=problem.message, side=problem.side)
        return run.report(ok=True, code="ok", message=run.success())


class _Run:
    """The state of one connection test."""

    def __init__(self, target: Target, way: Way, now: dt.datetime, steps: Steps) -> None:
        self._target = target
        self._way = way
        self._now = now
        self._steps = steps
        self._found = Report(ok=False, code="", message="")

    def all(self) -> None:
        """Everything, in order. Raises Problem."""
        wire = self._way.first(self._steps)
        if self._target.tls:
            self._over_tls(wire)
        else:
            self._plainly(wire)

    def report(self, **outcome: object) -> Report:
        """What was found, with its outcome."""
        return dataclasses.replace(self._found, steps=tuple(self._steps.done), **outcome)  # type: ignore[arg-type]

    def success(self) -> str:
        """What to say when nothing is wrong."""
        found = self._found
        proved = "the server has proved itself" if self._target.tls else "TCP stands, without TLS"
        spoken = f" over {found.protocol}" if found.protocol else ""
        ours = " and was shown our certificate" if found.client_certificate_sent else ""
        answer = f"; HTTP {found.http_status}" if self._target.path is not None else ""
        return f"The connection works{spoken}: {proved}{ours}{answer}."

    def _note(self, **found: object) -> None:
        self._found = dataclasses.replace(self._found, **found)  # type: ignore[arg-type]

    # TLS

    def _over_tls(self, wire: Wire) -> None:
        with self._steps.step("tls") as note:
            session = self._session(wire)
            refusal = self._handshake(session, wire)
            note.detail = f"{session.protocol} with {session.cipher}."
        self._prove_server(session)
        with self._steps.step("client certificate") as note:
            if refusal:
                raise refusal
            outcome = self._first_answer(session, wire)
            accepted = session.accepted or isinstance(outcome, http.Answer)
            note.detail = self._exchange(session).summary(accepted=accepted)
        self._judge_http(outcome)

    def _session(self, wire: Wire) -> Session:
        try:
            return Session(wire, self._target, self._target.client)
        except ValueError:
            text = "Our certificate and our key cannot be used together for TLS. Choose another key store certificate."
            raise Problem("client_certificate_refused", text, "ours") from None

    def _handshake(self, session: Session, wire: Wire) -> Problem | None:
        """The refusal of our certificate, if there was one: it is told after the verdict on the server."""
        error: WireError | None = None
        try:
            session.handshake()
        except WireError as failed:
            error = failed
        self._note_tls(session)
        if error is None:
            return None
        if refusal := self._refusal(session, error):
            return refusal
        raise failures.handshake_failure(error, session, wire.beginning, self._target)

    def _note_tls(self, session: Session) -> None:
        self._note(
            protocol=session.protocol,
            cipher=session.cipher,
            client_certificate_requested=session.requested,
            client_certificate_sent=session.sent,
            acceptable_cas=client.shown_names(session.acceptable_cas),
        )

    def _refusal(self, session: Session, error: WireError) -> Problem | None:
        """The diagnosis when `error` speaks of our certificate, or comes where a refusal would."""
        past = session.heard or (session.established and session.protocol != "TLSv1.3")
        if not session.answered or (past and session.alert not in client.ABOUT_CERTIFICATES):
            return None
        if isinstance(error, BrokenError) and session.alert is not None:
            return self._exchange(session).refusal(client.in_words(session.alert), session.alert)
        abrupt = (End.RESET,) if session.accepted else (End.RESET, End.CUT)
        if isinstance(error, ClosedError) and error.end in abrupt:
            how = "it ended the connection after asking, which is probably the reason"
            return self._exchange(session).refusal(how)
        return None

    def _exchange(self, session: Session) -> client.Exchange:
        return client.Exchange(
            self._target.client.chain if self._target.client else (),
            session.requested,
            session.sent,
            session.acceptable_cas,
            self._now,
        )

    def _prove_server(self, session: Session) -> None:
        target = self._target
        with self._steps.step("server certificate") as note:
            chain = server.read_chain(session.chain)
            self._note(server_chain=tuple(ServerCertificate.of(one.facts) for one in chain))
            verdict = server.judge(chain, target, self._now)
            self._note(anchor=server.anchor_of(verdict), anchor_goes=verdict.goes)
            note.detail = server.check_chain(chain, verdict, session.staple, target)
        if target.check_host_name:
            with self._steps.step("host name") as note:
                note.detail = server.check_name(chain[0].facts, target.name)
        if target.pins:
            with self._steps.step("pins") as note:
                note.detail = server.check_pins(verdict, target.pins)

    # HTTP

    def _first_answer(self, session: Session, wire: Wire) -> http.Answer | Problem | None:
        """The first HTTP answer, or why there is none. Raises Problem when our certificate is refused, be it late."""
        try:
            answer = self._ask(session, wire)
        except WireError as error:
            self._note_tls(session)
            if refusal := self._refusal(session, error):
                raise refusal from None
            return self._no_answer(error, session.alert)
        except http.NoHttpError as error:
            return self._no_http(error.octets)
        self._note_tls(session)
        if answer.status in client.REFUSING_STATUS and session.requested:
            self._raise_http_refusal(answer, self._exchange(session))
        return answer

    def _ask(self, channel: http.Channel, wire: Wire) -> http.Answer:
        """The answer to HEAD, or else to GET. Raises what `http.ask` raises."""
        is_nudge = self._target.path is None
        wire.deadline = self._way.soon(NUDGE_SECONDS if is_nudge else SILENT_SECONDS)
        try:
            return http.ask(channel, self._target, "HEAD")
        except TimeUpError:
            wire.close()  # the server may serve one connection at a time
            if is_nudge or not (answer := self._once_more("GET", seconds=TOTAL_SECONDS)):
                raise
            return answer

    def _no_answer(self, error: WireError, alert: int | None = None) -> Problem | None:
        """What the lack of an answer means; without a path only an abrupt end means something."""
        abrupt = isinstance(error, BrokenError) or (isinstance(error, ClosedError) and error.end is End.RESET)
        return answers.no_answer(error, alert) if abrupt or self._target.path is not None else None

    def _no_http(self, octets: bytes) -> Problem | None:
        return None if self._target.path is None else answers.no_http(octets)

    def _raise_http_refusal(self, answer: http.Answer, exchange: client.Exchange) -> None:
        """Asks once more by GET, since the reason stands in the body; raises Problem if it is our certificate."""
        reason = self._once_more("GET", body=True)
        if refusal := client.http_refusal(answer.status, reason.body if reason else b"", exchange):
            self._note(http_status=answer.status)
            raise refusal

    def _once_more(
        self, method: Literal["HEAD", "GET"], *, body: bool = False, seconds: float = NUDGE_SECONDS
    ) -> http.Answer | None:
        """The answer to the same request on a fresh connection; None when there is none."""
        try:
            wire = self._way.again(seconds)
            if not self._target.tls:
                return http.ask(wire, self._target, method, body=body)
            session = Session(wire, self._target, self._target.client)
            session.handshake()
            if session.chain != tuple(one.der for one in self._found.server_chain):
                return None
            return http.ask(session, self._target, method, body=body)
        except (WireError, http.NoHttpError):
            return None

    def _judge_http(self, outcome: http.Answer | Problem | None) -> None:
        """Raises Problem unless the answer is the one that is wished for; without a path none is."""
        if outcome is None:
            return
        if isinstance(outcome, Problem):
            with self._steps.step("http"):
                raise outcome
        self._note(http_status=outcome.status)
        if self._target.path is None:
            return
        with self._steps.step("http") as note:
            if outcome.status in answers.HEAD_NOT_KNOWN:
                outcome = self._once_more("GET") or outcome
                self._note(http_status=outcome.status)
            note.detail = answers.check_status(outcome)

    # Without TLS

    def _plainly(self, wire: Wire) -> None:
        outcome = self._plain_answer(wire)
        if isinstance(outcome, Problem) and outcome.code == "tls_expected":
            with self._steps.step("tls"):
                raise outcome
        self._judge_http(outcome)

    def _plain_answer(self, wire: Wire) -> http.Answer | Problem | None:
        try:
            answer = self._ask(wire, wire)
        except http.NoHttpError as error:
            if looks_like_tls(error.octets):
                return answers.tls_expected(self._target.port)
            return self._no_http(error.octets)
        except WireError as error:
            if isinstance(error, ClosedError) and self._answers_tls():
                return answers.tls_expected(self._target.port)
            return self._no_answer(error)
        if answer.status == 400:
            reason = self._once_more("GET", body=True)
            if reason and answers.wants_tls(reason):
                self._note(http_status=answer.status)
                return answers.tls_expected(self._target.port)
        return answer

    def _answers_tls(self) -> bool:
        """Whether the port answers a TLS handshake; many such ports just hang up on plain HTTP."""
        session = None
        try:
            session = Session(self._way.again(NUDGE_SECONDS), self._target, None)
            session.handshake()
        except WireError:
            return session is not None and session.speaks_tls
        return True
