"""What a gateway may have, by the names under which it asks, and the version of each: read without opening a key.

A version of a certificate never changes, so its id stands for its content; so do the ids of the versions that are trusted.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from django.db.models import Q

from providers.connection.verify import public_roots
from providers.models import Gateway, Host, Provider
from providers.trust import believed
from stores.models import Version

FORM = 1
"""Of what is sent; counted up when the same versions are sent in another form, so that gateways fetch anew."""
CERTIFICATE, TRUST = "certificate", "trust"
_NAME = re.compile(r"(certificate|trust)/([a-z0-9]{1,32})")


@dataclass(frozen=True)
class Wanted:
    """One secret as it is now."""

    name: str
    info: str
    """Changes when, and only when, the content does."""
    version: Version | None = None
    """Of a certificate."""
    user: Provider | Host | None = None
    trusted: tuple[Version, ...] = ()
    """Of trust: whose entries are believed; the user says what else is checked."""


def wanted(gateway: Gateway, names: Collection[str] | None = None) -> dict[str, Wanted]:
    """What the gateway may have of these names, by name; of all without names.

    What is another's is missing just as what does not exist.
    """
    found = [*_certificates(gateway, _ids(names, CERTIFICATE)), *_trust(gateway, _ids(names, TRUST))]
    return {one.name: one for one in found}


def name_of_certificate(certificate_id: str) -> str:
    return f"{CERTIFICATE}/{certificate_id}"


def name_of_trust(user: Provider | Host) -> str:
    return f"{TRUST}/{user.pk}"


def has_trust(user: Provider | Host) -> bool:
    """Whether the other side is checked at all: callers where they show a certificate, servers where they speak TLS."""
    return user.has_tls if isinstance(user, Provider) else user.trust_store_id is not None


def believes_public(user: Provider | Host) -> bool:
    """Whether the system's public roots are believed."""
    return isinstance(user, Provider) and (user.trust_store_id is None or user.trust_public)


def names_to_match(user: Provider | Host) -> tuple[str, str] | None:
    """Kind and text of the name that the server's certificate must carry; None: it is not checked."""
    if not isinstance(user, Provider) or not user.check_host_name:
        return None
    name = user.server_name or user.host
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return "DNS", name
    return "IP_ADDRESS", name


def digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _ids(names: Collection[str] | None, kind: str) -> set[str] | None:
    """Ids of this kind among the names; None for all."""
    if names is None:
        return None
    found = (_NAME.fullmatch(name) for name in names)
    return {match[2] for match in found if match and match[1] == kind}


def _certificates(gateway: Gateway, ids: set[str] | None) -> Iterable[Wanted]:
    """Active versions with a key, of what its hosts and providers show."""
    if ids is not None and not ids:
        return
    shown = Q(certificate__in=Host.objects.filter(gateways=gateway).values("key_certificate"))
    shown |= Q(certificate__in=Provider.objects.filter(gateways=gateway).values("key_certificate"))
    rows = Version.objects.filter(shown, state=Version.State.ACTIVE, sealed_key__isnull=False)
    if ids is not None:
        rows = rows.filter(certificate__in=ids)
    for version in rows.select_related("certificate").defer("sealed_key", "findings").order_by("certificate"):
        yield Wanted(
            name_of_certificate(version.certificate_id),
            digest(FORM, CERTIFICATE, version.pk),
            version=version,
        )


def _trust(gateway: Gateway, ids: set[str] | None) -> Iterable[Wanted]:
    """What its providers and hosts trust; nothing where a trust store holds no version, which must never mean: trust all."""
    if ids is not None and not ids:
        return
    wanted = Q(gateways=gateway) if ids is None else Q(gateways=gateway, pk__in=ids)
    providers = Provider.objects.filter(wanted).defer("sealed_password", "description")
    users: list[Provider | Host] = [*providers, *Host.objects.filter(wanted).defer("description")]
    users = [user for user in users if has_trust(user)]
    versions = _believed(users)
    for user in users:
        trusted = tuple(versions[_key(user)])
        if trusted or believes_public(user):
            yield Wanted(name_of_trust(user), _info(user, trusted), user=user, trusted=trusted)


def _info(user: Provider | Host, trusted: Iterable[Version]) -> str:
    roots = len(public_roots()) if believes_public(user) else 0
    pins = user.spki_pins if isinstance(user, Provider) else []
    return digest(FORM, TRUST, [one.pk for one in trusted], roots, pins, names_to_match(user))


def _key(user: Provider | Host) -> str:
    """What it trusts: one certificate, or a store."""
    return (isinstance(user, Provider) and user.trust_certificate_id) or user.trust_store_id or ""


def _believed(users: Iterable[Provider | Host]) -> defaultdict[str, list[Version]]:
    """The versions believed, in a constant order, by store and by certificate."""
    keys = {key for user in users if (key := _key(user))}
    found: defaultdict[str, list[Version]] = defaultdict(list)
    if not keys:
        return found
    rows = believed().filter(Q(certificate__in=keys) | Q(certificate__store__in=keys))
    rows = rows.select_related("certificate").defer("sealed_key", "findings")
    for version in rows.order_by("certificate", "number"):
        found[version.certificate_id].append(version)
        found[version.certificate.store_id].append(version)
    return found
