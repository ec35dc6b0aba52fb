"""What the REST API of certificates takes and gives."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from ninja import Field, Schema
from pydantic import AwareDatetime

from portal.api import Name, Text

Kind = Literal["key", "trust"]


class StoreOut(Schema):
    id: str
    name: str
    kind: Kind


class UseOut(Schema):
    """A provider or host that shows or trusts the certificate."""

    kind: str
    id: str
    title: str
    how: str


class CertificateOut(Schema):
    """A named slot; `state` is valid, notice, warning, urgent, expired, staged or inactive."""

    id: str
    name: str
    description: str
    store: StoreOut
    owner: str | None
    state: str
    fails_at: dt.datetime | None
    because: str
    used_by: list[UseOut]


class PageOut(Schema):
    """Some certificates; give `next` as `cursor` for those that follow, an empty one is the end."""

    certificates: list[CertificateOut]
    next: str


class LinkOut(Schema):
    """One X.509 certificate, as in an inspection."""

    sha256: str
    subject: str
    issuer: str
    serial: str
    not_before: dt.datetime
    not_after: dt.datetime
    key_type: str


class VersionOut(Schema):
    id: str
    number: int
    state: str
    format: str
    created_at: dt.datetime
    activate_at: dt.datetime | None
    activated_at: dt.datetime | None
    superseded_at: dt.datetime | None
    fails_at: dt.datetime | None
    because: str
    certificates: list[LinkOut]


class DetailsOut(CertificateOut):
    versions: list[VersionOut]


class KeptOut(DetailsOut):
    """And, where the version was to be tried first, the page of its rehearsal, or why there is none."""

    rehearsal: str = ""
    not_rehearsed: str = ""


class FindingOut(Schema):
    code: str
    severity: str
    text: str


class FoundOut(Schema):
    sha256: str
    subject: str
    issuer: str
    serial: str
    not_before: str
    not_after: str
    key_type: str


class InspectionOut(Schema):
    """The same answer as `manage.py inspect` gives."""

    file: str
    accepted: bool
    code: str | None
    message: str
    format: str | None
    certificates: list[FoundOut]
    findings: list[FindingOut]


class Filter(Schema):
    """As in the address of the page of certificates."""

    q: str = ""
    state: str = ""
    kind: str = ""
    store: str = ""
    used: str = ""
    sort: str = ""
    cursor: str = ""


class UploadIn(Schema):
    """What is said of a file."""

    store: Kind
    password: str | None = None
    alias: str | None = None
    leave_out: bool = False


class NewIn(UploadIn):
    """And where it goes. `replace` makes it the next version of a certificate of this name; without it a taken name is refused.

    `rehearse` keeps it staged and tries it with the providers that use the certificate.
    """

    store_name: Name
    name: Name
    description: Text = Field("", max_length=2000)
    replace: bool = False
    at_once: bool = True
    rehearse: bool = False
    activate_at: AwareDatetime | None = None
