"""Downloads of public parts: nothing that leaves here is secret."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q
from django.http import Http404, HttpRequest, HttpResponse

from portal.csv import attachment
from portal.permissions import Action, guarded
from stores.models import Certificate, ChainCertificate, Store, Version
from stores.trusted_on import trusted_on
from stores.writing import CONTENT_TYPES, write


@guarded(Action.SEE, Certificate)
def certificate(request: HttpRequest, certificate: Certificate, form: str) -> HttpResponse:
    """The active version: all of it as PEM or PKCS#7, its first certificate as DER."""
    if certificate.active is None:
        raise Http404
    return _answer(certificate.name, _chain(certificate.active), form)


@guarded(Action.SEE, Version)
def version(request: HttpRequest, version: Version, form: str) -> HttpResponse:
    """One version, whatever its state; its public parts stay for ever."""
    return _answer(f"{version.certificate.name}-version-{version.number}", _chain(version), form)


@guarded(Action.SEE, Store)
def store(request: HttpRequest, store: Store) -> HttpResponse:
    """Every certificate that a trust store trusts, each once, as PEM; with the old versions that are still trusted beside new ones."""
    if store.kind != Store.Kind.TRUST:
        raise Http404
    old = [one.old.pk for one in trusted_on(store.certificates.all())]
    trusted = Version.objects.filter(Q(state=Version.State.ACTIVE) | Q(pk__in=old), certificate__store=store)
    rows = ChainCertificate.objects.filter(version__in=trusted)
    in_order = rows.order_by("version__certificate__folded_name", "-version__number", "position").values_list(
        "sha256", "der"
    )
    return _answer(store.name, list({sha256: bytes(der) for sha256, der in in_order}.values()), "pem")


def _chain(version: Version) -> list[bytes]:
    return [bytes(der) for der in version.chain.values_list("der", flat=True)]


def _answer(name: str, certificates: Sequence[bytes], form: str) -> HttpResponse:
    if form not in CONTENT_TYPES or not certificates:
        raise Http404
    response = HttpResponse(write(certificates, form), content_type=CONTENT_TYPES[form])
    response["Content-Disposition"] = attachment(f"{name}.{form}")
    return response
