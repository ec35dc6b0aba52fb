"""Public CA bundles, as they are on this machine, become trust stores in one go; what is unusable in them is left out by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import certifi
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from stores.models import Version
from tests.cast import Cast, client_of

BUNDLES = {
    "certifi": (Path(certifi.where()), ""),
    "Debian": (Path("/etc/ssl/certs/ca-certificates.crt"), ""),
    "Java": (Path("/etc/ssl/certs/java/cacerts"), "changeit"),
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", BUNDLES)
def test_a_public_bundle(cast: Cast, name: str) -> None:
    path, password = BUNDLES[name]
    if not path.exists():
        pytest.skip(f"{path} is not on this machine: install ca-certificates and ca-certificates-java")
    browser: Any = client_of(cast.editor)
    file = SimpleUploadedFile(path.name, path.read_bytes())
    fields = {"kind": "trust", "store_name": "public", "name": name, "password": password, "file": file}
    chosen = browser.post("/certificates/new/", fields)
    assert chosen.status_code == 302, chosen.context["form"].errors
    unusable = browser.get(chosen.url).context["inspection"].unusable
    save = {"destination": "new", "name": name, "timing": "now", "do": "save", "leave_out": "on"}
    assert browser.post(chosen.url, save).status_code == 302
    version = Version.objects.get(state="active")
    assert version.chain.count() > 100
    assert not {one.certificate for one in unusable} & {one.sha256 for one in version.chain.all()}
    assert len([one for one in version.findings if one["code"] == "left_out"]) == len(unusable)
