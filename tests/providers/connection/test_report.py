"""What is kept of a connection test, and what is printed."""

from __future__ import annotations

import json

import pytest

from providers.connection.identity import spki_pin
from providers.connection.problem import Problem, Steps
from providers.connection.report import CODES, Report, ServerCertificate, Step
from stores.formats.certificates import read_certificate
from tests.material import mint

ROOT = mint("Root", ca=True)
LEAF = mint("orders.example", ROOT)


def shown(minted: object) -> ServerCertificate:
    facts, _ = read_certificate(minted.der, "a certificate")  # type: ignore[attr-defined]
    return ServerCertificate.of(facts)


WHOLE = Report(
    ok=False,
    code="http_not_found",
    message="Nothing there.",
    side="ours",
    protocol="TLSv1.3",
    cipher="TLS_AES_256_GCM_SHA384",
    server_chain=(shown(LEAF), shown(ROOT)),
    anchor=shown(ROOT),
    client_certificate_requested=True,
    client_certificate_sent=True,
    acceptable_cas=("CN=Root",),
    http_status=404,
    steps=(Step("http", False, 0.25, "Nothing there."),),
)
EMPTY = Report(ok=False, code="dns_failure", message="No such name.", side="ours")


@pytest.mark.parametrize("report", [WHOLE, EMPTY], ids=["whole", "empty"])
def test_it_comes_back_from_json_as_it_was(report: Report) -> None:
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_a_certificate_keeps_its_octets_and_its_pin() -> None:
    leaf = WHOLE.server_chain[0]
    assert (leaf.der, leaf.sha256, leaf.spki_pin) == (LEAF.der, LEAF.sha256, spki_pin(LEAF.certificate))


def test_the_form_that_others_rely_on() -> None:
    """DESIGN section 13."""
    assert WHOLE.as_json() == {
        "ok": False,
        "code": "http_not_found",
        "message": "Nothing there.",
        "protocol": "TLSv1.3",
        "cipher": "TLS_AES_256_GCM_SHA384",
        "server_chain": [LEAF.sha256, ROOT.sha256],
        "anchor": ROOT.sha256,
        "client_certificate_requested": True,
        "client_certificate_sent": True,
        "acceptable_cas": ["CN=Root"],
        "http_status": 404,
        "steps": [{"name": "http", "ok": False, "seconds": 0.25, "detail": "Nothing there."}],
    }
    assert (EMPTY.as_json()["protocol"], EMPTY.as_json()["anchor"]) == (None, None)


class TestSteps:
    def test_each_is_told_when_it_ends(self) -> None:
        told: list[Step] = []
        steps = Steps(told.append)
        with steps.step("first") as note:
            note.detail = "done"
            assert told == []
        assert [(step.name, step.ok, step.detail) for step in told] == [("first", True, "done")]
        assert steps.done == told

    def test_a_problem_fails_it_and_goes_on(self) -> None:
        steps = Steps(None)
        with pytest.raises(Problem), steps.step("first"):
            raise Problem("timeout", "Too late.", "theirs")
        assert [(step.ok, step.detail) for step in steps.done] == [(False, "Too late.")]

    def test_there_is_no_code_but_the_known_ones(self) -> None:
        with pytest.raises(ValueError, match="unknown"):
            Problem("nonsense", "", "")
        assert len(set(CODES)) == len(CODES)
