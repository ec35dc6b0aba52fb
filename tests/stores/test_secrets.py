"""No password and no private key is found anywhere but sealed: not in pages, logs, mails, messages, files, sessions, caches or tables."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from django.conf import settings
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from portal import vault
from portal.celery import app
from portal.models import User
from stores import watch
from stores.models import Version
from stores.notices import delivery
from tests.cast import Cast, client_of
from tests.crawl import crawl
from tests.formats import jks_writer
from tests.material import NOW, Minted, mint
from tests.stores.steps import NEW, ROOT, save, saving

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("now")]
PASSWORD, WRONG = "Never-Shown_7xQ9zL4.Pw", "Not-Even~Wrong-8yR0aM5"
RSA, EC, OTHER = mint("payments", ROOT, kind="rsa2048"), mint("orders", ROOT), mint("billing", ROOT)


def alignments(octets: bytes) -> Iterator[bytes]:
    """How octets look within base64, wherever they begin."""
    for skip in range(3):
        yield base64.b64encode(octets[skip:])[4:40]


def numbers(minted: Minted) -> list[int]:
    """The numbers that are the secret of a key."""
    assert isinstance(minted.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    private = minted.key.private_numbers()
    if isinstance(private, rsa.RSAPrivateNumbers):
        return [private.d, private.p, private.q]
    return [private.private_value]


def needles() -> set[bytes]:
    """Every way in which a password or a key may show."""
    found: set[bytes] = set()
    for password in (PASSWORD, WRONG):
        for encoding in ("utf-8", "utf-16-be", "utf-16-le"):
            octets = password.encode(encoding)
            found |= {octets, octets.hex().encode(), *alignments(octets)}
    for minted in (RSA, EC, OTHER):
        for number in numbers(minted):
            octets = number.to_bytes((number.bit_length() + 7) // 8, "big")[:40]
            found |= {octets, str(number).encode()[:40], *alignments(octets)}
            found |= {
                shown.encode()
                for shown in (octets.hex(), octets.hex().upper(), octets.hex(":"), octets.hex(":").upper())
            }
        for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
            pem = minted.key.private_bytes(Encoding.PEM, form, NoEncryption())
            lines = [line for line in pem.splitlines()[2:-2] if len(line) > 40]
            # The modulus of an RSA key stands in its certificate as well.
            found |= {line for line in lines if base64.b64decode(line) not in minted.der}
    return found


NEEDLES = re.compile(b"|".join(map(re.escape, sorted(needles()))))
RUN = re.compile(rb"[A-Za-z0-9+/_-]{60,}={0,2}")


def secrets_in(text: str | bytes) -> list[bytes]:
    """The secrets found, also within what base64 wraps."""
    octets = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    found = NEEDLES.findall(octets)
    for run in RUN.findall(octets):
        try:
            found += NEEDLES.findall(
                base64.b64decode(run + b"==", altchars=b"-_" if b"-" in run or b"_" in run else None)
            )
        except binascii.Error:
            continue
    return found


def locked(minted: Minted) -> bytes:
    return minted.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
    )


def p12(minted: Minted) -> bytes:
    assert isinstance(minted.key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    how = BestAvailableEncryption(PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(b"payments", minted.key, minted.certificate, None, how)


def uploads() -> Iterator[tuple[dict[str, Any], bool]]:
    """What is sent, and whether it is taken: every way in which a key and a password come in."""
    usual: dict[str, Any] = {"kind": "key", "store_name": "outbound", "password": PASSWORD}

    def file(content: bytes, name: str) -> SimpleUploadedFile:
        return SimpleUploadedFile(name, content)

    two = jks_writer.store(
        jks_writer.key("a", [EC], PASSWORD), jks_writer.key("b", [OTHER], PASSWORD), password=PASSWORD
    )
    yield usual | {"name": "p12", "file": file(p12(RSA), "payments.p12"), "password": WRONG}, False
    yield usual | {"name": "p12", "file": file(p12(RSA), "payments.p12")}, True
    yield (
        usual
        | {
            "name": "pem",
            "file": file(EC.pem, "o.pem"),
            "key_file": file(locked(EC), "o.key"),
            "password": "",
        },
        False,
    )
    yield usual | {"name": "pem", "file": file(EC.pem, "o.pem"), "key_file": file(locked(EC), "o.key")}, True
    yield (
        usual | {"name": "der", "file": file(RSA.der, "p.der"), "key_file": file(RSA.key_der, "p.key")},
        True,
    )
    yield usual | {"name": "jks", "file": file(two, "two.jks")}, False
    yield usual | {"name": "jks", "file": file(two, "two.jks"), "alias": "b"}, True
    yield usual | {"name": "pasted", "pasted": (EC.pem + EC.key_pem).decode()}, True
    yield (
        usual | {"name": "p12", "file": file(p12(mint("payments", ROOT, kind="rsa2048", end=500)), "n.p12")},
        True,
    )
    yield usual | {"name": "bad", "pasted": (EC.pem + EC.key_pem[:-40]).decode()}, False
    yield usual | {"name": "bad", "file": file(ROOT.pem + EC.key_pem, "m.pem")}, False
    yield usual | {"name": "bad", "file": file(b"\0" + RSA.key_der, "m.der")}, False
    yield (
        usual | {"kind": "trust", "store_name": "partners", "file": file(EC.pem + EC.key_pem, "o.pem")},
        False,
    )


def send_all(cast: Cast) -> list[str]:
    """Sends all of it and saves what is taken; every answer."""
    browser, answers = client_of(cast.editor), []
    for fields, taken in uploads():
        stranger = Client().post(NEW, dict(fields) | {"file": "", "key_file": ""})
        answer: Any = browser.post(NEW, fields)
        assert (answer.status_code == 302) == taken, fields["name"]
        answers += [stranger.content.decode(), answer.content.decode(), str(answer.headers)]
        if taken:
            answers += [browser.get(answer.url).content.decode()]
            saved = save(browser, answer.url, saving(browser, answer.url))
            assert saved.status_code == 302
            answers += [saved.content.decode(), str(saved.headers)]
    return answers


def tables() -> Iterator[tuple[str, str | bytes]]:
    """Every value of every column of every table, by its place."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
            names = [column[0] for column in cursor.description or ()]
            for row in cursor.fetchall():
                for name, value in zip(names, row, strict=True):
                    octets = isinstance(value, bytes | memoryview)
                    yield (
                        f"{table}.{name}",
                        bytes(value) if octets else json.dumps(value, default=str) + str(value),
                    )


def messages() -> Iterator[bytes]:
    """What waits in the broker after each scheduled task was queued once."""
    for entry in app.conf.beat_schedule.values():
        app.send_task(entry["task"])
    if not settings.REDIS_URL:
        yield from (path.read_bytes() for path in settings.BROKER.rglob("*") if path.is_file())
        return
    import redis

    database = redis.Redis.from_url(settings.REDIS_URL)
    for key in database.scan_iter():
        yield key + (database.dump(key) or b"")


def test_the_search_finds_what_it_looks_for() -> None:
    wrapped = base64.b64encode(b"x" + EC.key_pem)
    for text in (PASSWORD, EC.key_pem, RSA.key_der, wrapped, WRONG.encode("utf-16-be")):
        assert secrets_in(text)
    assert not secrets_in(EC.pem + RSA.der + p12(RSA))


def test_nothing_secret_is_found_anywhere(
    cast: Cast, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    answers = send_all(cast)
    assert Version.objects.filter(sealed_key__isnull=False).count() == 6
    watch.find_due(NOW.replace(year=2027, month=5))
    delivery.deliver(NOW.replace(year=2027, month=5))
    assert mail.outbox
    pages = list(crawl(client_of(cast.owner), "/", "/team/audit/csv/"))
    root = User.objects.create_superuser("root", "root@example.org", "correct horse battery")
    closed = ("/static/", "/accounts/", "/admin/logout/", "/certificates/", "/stores/", "/providers/")
    administration = list(crawl(client_of(root), "/admin/", closed=closed, queries=False))
    assert len(pages) > 50 and len(administration) > 10
    places: list[tuple[str, str | bytes]] = [("an answer", answer) for answer in answers]
    places += [(page.address, page.body) for page in pages + administration]
    places += [("a mail", str(message.message())) for message in mail.outbox]
    places += [("a session", json.dumps(session.get_decoded())) for session in Session.objects.all()]
    places += [("a message", message) for message in messages()]
    places += [*tables(), ("the log", caplog.text), ("the console", "".join(capfd.readouterr()))]
    places += [(str(path), path.read_bytes()) for path in Path(settings.VAR).rglob("*") if path.is_file()]
    assert [place for place, content in places if secrets_in(content)] == []
    assert any("sqlite3" in place for place, _ in places) or connection.vendor != "sqlite"
    for version in Version.objects.exclude(sealed_key=None):
        assert vault.open_sealed(bytes(version.sealed_key or b""), version.binding("key"))
