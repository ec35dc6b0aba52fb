"""A connection test by real processes: the page asks, the broker carries, the worker tries, the page says what it saw."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.material import Minted, mint
from tests.providers.backend import Backend
from tests.running import start, wait_for
from tests.test_processes import Visitor, environment, mailbox, receiver, signed_in

__all__ = ["environment", "mailbox", "receiver"]
NOW = dt.datetime.now(dt.UTC)


def days(number: float) -> dt.datetime:
    return NOW + dt.timedelta(days=number)


def authority(name: str) -> Minted:
    return mint(name, ca=True, begin=days(-30), end=days(3000), key_usage=True)


def upload(visitor: Visitor, kind: str, name: str, content: bytes) -> None:
    file = SimpleUploadedFile(f"{name}.pem", content)
    review, page = visitor.send(
        "/certificates/new/", kind=kind, store_name=f"{name} store", name=name, file=file
    )
    assert review.startswith("/certificates/review/"), page
    visitor.send(review, destination="new", name=name, timing="now", do="save")


def registered(visitor: Visitor, port: int) -> str:
    """The address of a provider that shows `ours` and trusts `theirs store`."""
    address, page = visitor.send(
        "/providers/new/", name="orders", type="internet", host="127.0.0.1", port=port, use_tls="on", check_host_name="on",
        key_certificate="ours store / ours", trust_store="theirs store", authentication="none", do="save",
    )  # fmt: skip
    assert re.fullmatch(r"/providers/\w{12}/", address), page
    return address


@pytest.mark.slow
def test_asked_for_on_the_page_and_run_by_the_worker(environment: dict[str, str], tmp_path: Path) -> None:
    client_ca, server_ca = authority("Client Root"), authority("Backend Root")
    ours = mint("ours", client_ca, begin=days(-1), end=days(300))
    leaf = mint("backend", server_ca, begin=days(-1), end=days(90), hosts=("127.0.0.1",))
    backend = Backend(tmp_path, leaf, client_ca)
    environment["STOREKEEPER_OUTBOUND_ALLOW"] = "127.0.0.0/8"
    with start(environment, tmp_path / "log") as portal:
        portal.wait_until_ready()
        visitor = signed_in(portal)
        upload(visitor, "key", "ours", ours.key_pem + ours.pem + client_ca.pem)
        upload(visitor, "trust", "theirs", server_ca.pem)
        provider = registered(visitor, backend.port)
        report, page = visitor.send(provider, to=f"{provider}test/")
        assert re.fullmatch(r"/providers/reports/\w{12}/", report), page
        wait_for(lambda: "The connection works" in visitor.open(report)[1], "the report", 60)
        page = visitor.open(report)[1]
        assert "sent and accepted" in page and "Backend Root" in page
        assert backend.connections == 1
    backend.close()
    assert not [line for line in portal.output.splitlines() if " ERROR " in line], portal.output
