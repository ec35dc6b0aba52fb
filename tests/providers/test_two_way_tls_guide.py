"""docs/two-way-tls.md: its commands are run as they stand, in a folder and on a port of their own, and the portal does the rest."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from providers import testing
from providers.models import ConnectionReport, Provider
from stores.formats.parsed import StoreKind, Upload
from stores.saving import keep
from tests.cast import Cast, client_of
from tests.running import ROOT, free_port

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx: install the package nginx"),
]
GUIDE = (ROOT / "docs" / "two-way-tls.md").read_text("utf-8")
MAKE, START, TRY, BREAK, MEND, CLEAN = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)


class Reader:
    """Somebody who follows the guide."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def run(self, *commands: str) -> str:
        """What the commands print; they stop at the first that fails, but for a probe that found a fault."""
        script = "".join(commands).replace("8443", str(self.port))
        script = script.replace(".venv/bin/python manage.py", f"{sys.executable} {ROOT / 'manage.py'}")
        environment = os.environ | {"STOREKEEPER_OUTBOUND_ALLOW": "127.0.0.0/8,::1/128"}
        done = subprocess.run(
            ["sh", "-euc", script], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )  # fmt: skip
        assert done.returncode == 0 or '"ok": false' in done.stdout, done.stdout + done.stderr
        return done.stdout

    def probe(self, commands: str) -> dict[str, Any]:
        printed = self.run(commands)
        return json.loads(printed[printed.index("{") :])  # type: ignore[no-any-return]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    one = Reader(tmp_path)
    one.run(MAKE, START)
    yield one
    if (tmp_path / "var" / "two-way-tls").exists():
        one.run(CLEAN)


def test_the_commands_do_what_the_guide_says(reader: Reader) -> None:
    found = reader.probe(TRY)
    assert (found["ok"], found["client_certificate_sent"], found["http_status"]) == (True, True, 200)
    assert found["anchor"]
    assert reader.probe(BREAK)["code"] == "client_certificate_unknown_ca"
    assert reader.probe(MEND)["ok"]
    reader.run(CLEAN)
    assert not (reader.folder / "var" / "two-way-tls").exists()


def test_the_portal_shows_the_same(reader: Reader, cast: Cast, settings: Any) -> None:
    settings.STOREKEEPER_OUTBOUND_ALLOW = [ipaddress.ip_network(one) for one in ("127.0.0.0/8", "::1/128")]
    uploads: list[tuple[str, StoreKind, str]] = [
        ("client.pem", "key", "orders-client"),
        ("server-ca.crt", "trust", "server-ca"),
    ]
    for name, kind, certificate in uploads:
        content = (reader.folder / "var" / "two-way-tls" / name).read_bytes()
        keep(
            team=cast.team,
            upload=Upload(name, content, kind),
            store_name=f"{kind} store",
            certificate_name=certificate,
            actor=cast.actor,
            now=timezone.now(),
        )
    editor = client_of(cast.editor)
    typed = {
        "name": "orders", "type": "internet", "host": "localhost", "port": str(reader.port), "use_tls": "on",
        "key_certificate": "orders-client", "trust_store": "trust store", "check_host_name": "on", "path_prefix": "/",
        "authentication": "none", "do": "save",
    }  # fmt: skip
    answer: Any = editor.post(reverse("providers:new"), typed)
    assert answer.status_code == 302, answer.context["form"].errors
    for commands, code in ((None, "ok"), (BREAK, "client_certificate_unknown_ca"), (MEND, "ok")):
        if commands:
            reader.run(commands)
        answer = editor.post(reverse("providers:test", args=[Provider.objects.get().pk]))
        testing.run(now=timezone.now())
        report = ConnectionReport.objects.latest("asked_at")
        assert report.code == code, report.message
        page = editor.get(answer.url).content.decode()
        assert ("Passed" if code == "ok" else "Failed") in page
