"""The main job by real processes: beat asks, the broker carries, the worker flags and tells, once."""

from __future__ import annotations

import datetime as dt
import http.cookiejar
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from prometheus_client.parser import text_string_to_metric_families

from tests.mail_server import Mailbox, MailServer
from tests.material import mint
from tests.receiver import Receiver, receiving
from tests.running import RunningPortal, start, wait_for

PASSWORD = "correct horse battery staple"
TASKS = ("find_expiring", "deliver_notices")


class Visitor:
    """A browser without JavaScript: follows redirects, keeps cookies, fills the form that stands on a page."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))

    def open(self, address: str) -> tuple[str, str]:
        """Last address and page."""
        return self._answer(urllib.request.Request(self.origin + address))

    def send(self, address: str, *, to: str = "", **fields: object) -> tuple[str, str]:
        """Opens the page at the address and sends the form that stands there, to the same address or to the one given."""
        _, page = self.open(address)
        [token, *_] = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        body = encode_multipart(BOUNDARY, fields | {"csrfmiddlewaretoken": token})
        headers = {"Content-Type": MULTIPART_CONTENT, "Referer": self.origin + address}
        return self._answer(urllib.request.Request(self.origin + (to or address), body, headers))

    def _answer(self, request: urllib.request.Request) -> tuple[str, str]:
        with self.opener.open(request, timeout=20) as answer:
            return urllib.parse.urlsplit(answer.url).path, answer.read().decode()

    def metrics(self) -> dict[tuple[str, ...], float]:
        """What monitoring on the same machine sees."""
        families = text_string_to_metric_families(self.open("/metrics")[1])
        return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """What a real mail server takes."""
    box = Mailbox()
    server = MailServer(box)
    server.start()
    box.port = server.port
    yield box
    server.stop()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Whoever waits for the portal's sign of life."""
    with receiving() as waits:
        yield waits


@pytest.fixture
def environment(
    portal_environment: dict[str, str], mailbox: Mailbox, receiver: Receiver, tmp_path: Path
) -> dict[str, str]:
    """The portal on the parts under test, with a watch that looks every second, a mail server, and who waits for its sign of life."""
    (tmp_path / "ping").write_text(receiver.url)
    return portal_environment | {
        "STOREKEEPER_EXPIRY_INTERVAL": "1",
        "STOREKEEPER_SMTP_HOST": "127.0.0.1",
        "STOREKEEPER_SMTP_PORT": str(mailbox.port),
        "STOREKEEPER_SMTP_SECURITY": "none",
        "STOREKEEPER_OUTBOUND_ALLOW": "127.0.0.0/8",
        "STOREKEEPER_PING_URL_FILE": str(tmp_path / "ping"),
    }


def signed_in(portal: RunningPortal) -> Visitor:
    """Signs the first administrator in by the address that the portal printed."""
    [address] = portal.addresses
    parts = urllib.parse.urlsplit(address)
    visitor = Visitor(f"{parts.scheme}://{parts.netloc}")
    path, page = visitor.send(parts.path, email="ada@example.org", first_name="Ada", password=PASSWORD)
    assert path == "/", page
    return visitor


def upload_what_is_due(visitor: Visitor) -> str:
    """Uploads a certificate that ends in five days, by the pages; the address of its certificate."""
    now = dt.datetime.now(dt.UTC)
    leaf = mint("orders", begin=now - dt.timedelta(days=300), end=now + dt.timedelta(days=5))
    file = SimpleUploadedFile("orders.pem", leaf.key_pem + leaf.pem)
    review, page = visitor.send(
        "/certificates/new/", kind="key", store_name="outbound", name="orders-client", file=file
    )
    assert review.startswith("/certificates/review/"), page
    saved, page = visitor.send(review, destination="new", name="orders-client", timing="now", do="save")
    assert re.fullmatch(r"/certificates/\w{12}/", saved), page
    return saved


def ran_twice_more(visitor: Visitor) -> bool:
    """Waits until each task has begun and ended after this call."""
    begun, seen = time.time(), {task: set[float]() for task in TASKS}

    def look() -> bool:
        found = visitor.metrics()
        for task in TASKS:
            finished = found.get(("storekeeper_task_finished_timestamp_seconds", task), 0.0)
            if finished > begun:
                seen[task].add(finished)
        return all(len(instants) >= 2 for instants in seen.values())

    return wait_for(look, "two more runs of the watch and of the delivery")


@pytest.mark.slow
def test_a_certificate_that_is_due_is_flagged_and_told_once(
    environment: dict[str, str], mailbox: Mailbox, receiver: Receiver, tmp_path: Path
) -> None:
    with start(environment, tmp_path / "first.log") as portal:
        portal.wait_until_ready()
        visitor = signed_in(portal)
        certificate = upload_what_is_due(visitor)
        wait_for(lambda: mailbox.messages, "the mail")
        _, page = visitor.open("/replace/")
        assert "orders-client" in page
        assert f'href="{certificate}replace/"' in page
        assert "orders-client fails in" in visitor.open("/notices/")[1]
        assert "Traceback" not in portal.output
    assert mailbox.recipients == ["ada@example.org"]
    assert mailbox.messages[0]["Subject"] == "orders-client fails in 4 days"

    with start(environment, tmp_path / "second.log") as portal:
        portal.wait_until_ready()
        assert ran_twice_more(visitor)
        found = visitor.metrics()
        assert found["storekeeper_open_cases", "urgent"] == 1
        assert found["storekeeper_task_rows", "find_expiring", "flags"] == 0
        assert found["storekeeper_notices", "waiting"] == found["storekeeper_notices", "sending"] == 0
        assert "Traceback" not in portal.output
        assert found["storekeeper_signal_failed",] == 0
        assert "s3cret" not in portal.output
    assert len(mailbox.messages) == 1
    assert len(receiver.requests) >= 3
    assert {request.path for request in receiver.requests} == {"/in?key=s3cret-part"}
