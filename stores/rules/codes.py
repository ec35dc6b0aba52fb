"""The codes of findings, in the order in which the first error is chosen (DESIGN section 6), and how grave each is.

Codes are stable: texts may improve, codes may not change. docs/codes.md explains every one.
"""

from __future__ import annotations

from collections.abc import Iterable

from stores.formats.errors import CODES as READING_ERRORS
from stores.formats.parsed import Finding, Severity

RULE_ERRORS = (
    "no_certificate",
    "key_missing",
    "several_keys",
    "key_mismatch",
    "key_in_trust_store",
    "expired",
    "chain_expired",
    "weak_key",
    "weak_signature",
    "unknown_critical_extension",
)
WARNINGS = (
    "not_yet_valid",
    "expires_soon",
    "chain_incomplete",
    "chain_reordered",
    "chain_unrelated",
    "duplicate_certificates",
    "left_out",
    "not_for_client_auth",
    "uncommon_key",
)
INFOS = ("trusts_one_certificate", "self_signed", "password_not_needed", "extension_mismatch")
ALL = (*READING_ERRORS, *RULE_ERRORS, *WARNINGS, *INFOS)

_RANKS: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


def severity_of(code: str) -> Severity:
    """How grave a code is; `restricted_password` is an error here, and a warning only where a setting says so."""
    if code in WARNINGS:
        return "warning"
    return "info" if code in INFOS else "error"


def said(
    code: str, text: str, *, certificate: str | None = None, field: str = "file", command: str = ""
) -> Finding:
    """A finding with the severity that belongs to its code. Raises ValueError for a code that is not known."""
    if code not in ALL:
        raise ValueError(f"unknown code {code}")
    return Finding(code, severity_of(code), text, certificate, field, command)


def sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then infos, each in the order of the codes; equal codes keep their order."""
    return tuple(sorted(findings, key=lambda finding: (_RANKS[finding.severity], ALL.index(finding.code))))


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The findings that refuse a file."""
    return tuple(finding for finding in findings if finding.severity == "error")
