"""The REST API of certificates: read, inspect, upload."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.utils import timezone
from ninja import File, Form, Query, Router, Status
from ninja.files import UploadedFile

from portal.api import ERRORS, actor_of, load, may, token_of
from portal.csv import attachment
from portal.errors import PortalError
from portal.models import Team
from portal.names import fold
from portal.paging import page
from portal.permissions import Action
from stores import saving, switching
from stores.api_schemas import DetailsOut, Filter, InspectionOut, KeptOut, LinkOut, NewIn, PageOut, UploadIn
from stores.formats import limits
from stores.formats.parsed import Upload
from stores.inspection import as_json, inspect
from stores.listing import CertificateFilter, Listed, listed, with_what_is_shown
from stores.models import Certificate, ChainCertificate, Version
from stores.writing import CONTENT_TYPES, FileFormat, write

router = Router(tags=["certificates"])


@router.get("/certificates", auth=may(Action.SEE), response={200: PageOut, **ERRORS})
def certificates(request: HttpRequest, wanted: Query[Filter]) -> dict[str, Any]:
    """Certificates of the team, a page at a time."""
    query = QueryDict(mutable=True)
    query.update(wanted.dict(exclude={"cursor"}))
    token = token_of(request)
    form = CertificateFilter(query, team=token.team, user=token.created_by)
    rows = form.rows()
    for field, sentences in form.errors.items():
        raise PortalError("invalid", f"{field}: {' '.join(map(str, sentences))}", status=422)
    shown = page(
        rows,
        form.order.by,
        descending=form.order.descending,
        nullable=form.order.nullable,
        cursor=wanted.cursor,
    )
    return {
        "certificates": [_certificate(row) for row in listed(shown.rows, timezone.now())],
        "next": shown.next,
    }


@router.get("/certificates/{id}", auth=may(Action.SEE), response={200: DetailsOut, **ERRORS})
def certificate(request: HttpRequest, id: str) -> dict[str, Any]:  # noqa: A002 - as it is called in the address
    """One certificate with all its versions, the latest first."""
    return _details(load(request, Certificate, id))


@router.get("/certificates/{id}/download/{form}", auth=may(Action.SEE), response={200: None, **ERRORS})
def download(request: HttpRequest, id: str, form: FileFormat) -> HttpResponse:  # noqa: A002
    """The public part of the active version: all of it as `pem` or `p7b`, its first certificate as `der`."""
    found = load(request, Certificate, id)
    if found.active is None:
        raise Http404
    ders = [bytes(der) for der in found.active.chain.values_list("der", flat=True)]
    response = HttpResponse(write(ders, form), content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = attachment(f"{found.name}.{form}")
    return response


@router.post("/inspect", auth=may(Action.SEE), response={200: InspectionOut, **ERRORS})
def inspect_file(
    request: HttpRequest,
    said: Form[UploadIn],
    file: File[UploadedFile],
    key_file: File[UploadedFile | None] = None,
) -> dict[str, object]:
    """What an upload of the file would be answered, accepted or not; nothing is kept."""
    upload = _upload(said, file, key_file)
    return as_json(inspect(upload, timezone.now()), upload.name)


@router.post("/certificates", auth=may(Action.CHANGE), response={201: KeptOut, **ERRORS})
def upload_file(
    request: HttpRequest,
    said: Form[NewIn],
    file: File[UploadedFile],
    key_file: File[UploadedFile | None] = None,
) -> Status[dict[str, Any]]:
    """Keeps a file as a new certificate, or as the next version of one. The store is made where it is missing."""
    team, now = token_of(request).team, timezone.now()
    _refuse_surprises(team, said, now)
    version = saving.keep(
        team=team, upload=_upload(said, file, key_file), store_name=said.store_name, certificate_name=said.name,
        description=said.description, actor=actor_of(request), now=now, at_once=said.at_once and not said.rehearse,
        activate_at=said.activate_at, replaces=said.replace,
    )  # fmt: skip
    tried = _rehearse(request, version) if said.rehearse else {}
    return Status(201, _details(version.certificate) | tried)


def _rehearse(request: HttpRequest, version: Version) -> dict[str, str]:
    """The page that shows how the version is tried, or why it is not; it is kept staged all the same."""
    try:
        page_of = switching.rehearse(version, actor_of(request), timezone.now())
    except PortalError as error:
        return {"not_rehearsed": error.sentence}
    return {"rehearsal": request.build_absolute_uri(page_of)}


def _refuse_surprises(team: Team, said: NewIn, now: dt.datetime) -> None:
    """A name that is there is replaced only when asked for, and nothing is scheduled for the past; said before the file is read."""
    same = Certificate.objects.filter(
        team=team,
        store__kind=said.store,
        store__folded_name=fold(said.store_name),
        folded_name=fold(said.name),
    )
    if not said.replace and same.exists():
        raise saving.name_taken(said.name)
    if said.activate_at and said.activate_at <= now:
        raise PortalError("instant_passed", "activate_at has passed: send a later instant, or none.")


def _upload(said: UploadIn, file: UploadedFile, key_file: UploadedFile | None) -> Upload:
    """What was sent, in memory."""
    return Upload(
        name=file.name or "file", content=file.read(limits.UPLOAD_BYTES + 1), store=said.store, password=said.password,
        key_name=(key_file.name or "key") if key_file else None,
        key_content=key_file.read(limits.UPLOAD_BYTES + 1) if key_file else None, alias=said.alias, leave_out=said.leave_out,
        symbols=cast("Literal['refuse', 'warn']", settings.STOREKEEPER_PASSWORD_SYMBOLS),
    )  # fmt: skip


def _details(certificate: Certificate) -> dict[str, Any]:
    (row,) = listed(list(with_what_is_shown(Certificate.objects.filter(pk=certificate.pk))), timezone.now())
    versions = certificate.versions.prefetch_related("chain").defer("sealed_key", "findings")
    return _certificate(row) | {"versions": [_version(version) for version in versions]}


def _certificate(row: Listed) -> dict[str, Any]:
    one = row.certificate
    return {
        "id": one.pk,
        "name": one.name,
        "description": one.description,
        "store": {"id": one.store.pk, "name": one.store.name, "kind": one.store.kind},
        "owner": one.owner.email if one.owner else None,
        "state": row.state,
        "fails_at": one.fails_at,
        "because": row.prompt.because if row.prompt else "",
        "used_by": [{"kind": use.kind, "id": use.id, "title": use.title, "how": use.how} for use in row.uses],
    }


def _version(version: Version) -> dict[str, Any]:
    names = (
        "number",
        "state",
        "format",
        "created_at",
        "activate_at",
        "activated_at",
        "superseded_at",
        "fails_at",
    )
    facts = {name: getattr(version, name) for name in names}
    chain = [_link(one) for one in version.chain.all()]
    return facts | {"id": version.pk, "because": version.fails_name, "certificates": chain}


def _link(one: ChainCertificate) -> dict[str, Any]:
    return {name: getattr(one, name) for name in LinkOut.model_fields}
