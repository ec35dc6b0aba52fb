"""Uploading and saving by hand, step by step, for tests of what others do in between."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from stores import originals
from stores.models import Certificate, Draft, Version
from tests.material import Minted, mint

NEW = "/certificates/new/"
ROOT = mint("Example Root", ca=True)


def twin(browser: Client) -> Client:
    """Another window of the same browser."""
    other = Client()
    other.cookies.update(browser.cookies)
    return other


def propose(browser: Client, address: str = NEW, leaf: Minted | None = None, **fields: str) -> str:
    """Uploads a leaf and its key; the address of the review."""
    leaf = leaf or mint("orders", ROOT)
    file = SimpleUploadedFile("orders.pem", leaf.pem + leaf.key_pem)
    usual = {"kind": "key", "store_name": "outbound", "name": "orders-client"}
    answer: Any = browser.post(address, usual | {"file": file} | fields)
    assert answer.status_code == 302, answer.context["form"].errors
    return str(answer.url)


def saving(browser: Client, address: str) -> dict[str, str]:
    """What the review page sends when it is saved as it stands."""
    initial = browser.get(address).context["form"].initial
    fields = {name: initial[name] for name in ("destination", "name", "seen")}
    return fields | {"timing": "now", "do": "save"}


def save(browser: Client, address: str, fields: dict[str, str]) -> Any:
    return browser.post(address, fields)


def assert_whole() -> None:
    """Every version and every draft has its bytes and its chain, every certificate at most one active version and none without any."""
    for version in Version.objects.all():
        assert version.sealed_key and version.chain.exists()
        assert originals.get(version.original, version.binding(originals.ORIGINAL))
    for draft in Draft.objects.filter(version=None).exclude(original=""):
        assert originals.get(draft.original, draft.binding(originals.ORIGINAL))
    for certificate in Certificate.objects.all():
        assert certificate.versions.filter(state="active").count() == 1
