"""Files whose texts attack whoever shows them, and file names that attack whoever stores them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import logging
import re
import sys
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.html import escape

from portal.templatetags.portal_tags import visible
from stores import watch
from stores.models import Draft, Version
from stores.notices import delivery
from tests.cast import Cast, client_of
from tests.crawl import Opened, crawl
from tests.material import mint
from tests.shared import HOSTILE, need

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
NEW = "/certificates/new/"
ROOT = mint("Example Root", ca=True)
KEPT = re.compile(r"[2-9a-z]/[2-9a-z]{12}-[2-9a-z]{12}")
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
PLAIN = {"\n", "\t", "\r"}


@pytest.fixture(scope="module")
def nasty() -> Any:
    """The module that knows nasty texts and names."""
    need(HOSTILE)
    sys.path.insert(0, str(HOSTILE))
    try:
        from hostile_cases import nasty as found  # type: ignore[import-not-found, unused-ignore]
    finally:
        sys.path.remove(str(HOSTILE))
    return found


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


# File names


def body(name: bytes, extended: bool) -> bytes:
    """A form as a browser sends it, with a file name as no browser sends it."""
    percent = b"".join(b"%%%02X" % octet for octet in name)
    file = b"filename*=UTF-8''" + percent if extended else b'filename="' + name + b'"'
    heads = {b'name="kind"': b"trust", b'name="store_name"': b"partners", b'name="file"; ' + file: ROOT.pem}
    parts = (
        b"--b\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + text + b"\r\n"
        for head, text in heads.items()
    )
    return b"".join(parts) + b"--b--\r\n"


def written() -> set[Path]:
    """Everything in the folder of all that the portal writes, its database aside."""
    return {path for path in settings.VAR.rglob("*") if "sqlite3" not in path.name}


@pytest.mark.parametrize("extended", [False, True], ids=["plain", "extended"])
def test_file_names_are_answered_and_lead_nowhere(browser: Client, nasty: Any, extended: bool) -> None:
    before, here = written(), set(Path.cwd().iterdir())
    kept = []
    for name in nasty.NAMES:
        sent = body(name.encode("utf-8", "surrogatepass"), extended)
        answer: Any = browser.generic("POST", NEW, sent, "multipart/form-data; boundary=b")
        assert answer.status_code in (302, 400, 422), name
        assert "X-Injected" not in answer.headers
        kept += [answer.url] if answer.status_code == 302 else []
    assert len(kept) > 30, "most names are only odd"
    assert set(Path.cwd().iterdir()) == here
    files = settings.VAR / "files"
    new = [path for path in written() - before if path.is_file()]
    assert [path for path in new if not KEPT.fullmatch(path.relative_to(files).as_posix())] == []
    for address in kept:
        page = browser.get(address).content.decode()
        draft = Draft.objects.get(pk=address.split("/")[3])
        assert escape(visible(draft.inspection["file_name"])) in page
        assert_nothing_invisible(page, address)
        assert "<script>alert(1)" not in page and "<img src=x" not in page


def assert_nothing_invisible(page: str, where: str) -> None:
    """No character on the page changes the direction, breaks a line or cannot be seen, emoji's joiners included."""
    found = {character for character in set(page) - PLAIN if unicodedata.category(character) in INVISIBLE}
    assert found == set(), where


# Texts inside of certificates


@pytest.fixture
def everything(cast: Cast, browser: Client, nasty: Any, caplog: pytest.LogCaptureFixture) -> list[Opened]:
    """All pages, downloads and mails after every nasty file was uploaded, and after the watch has told of each that was kept."""
    caplog.set_level(logging.DEBUG)
    pages = [upload(browser, case) for case in nasty.CASES]
    last = max(version.fails_at for version in Version.objects.all() if version.fails_at)
    assert watch.find_due(last - dt.timedelta(days=1)).failed == 0
    delivery.deliver(last)
    lists = [f"/{name}/csv/" for name in ("certificates", "stores", "team/audit")]
    return pages + list(crawl(client_of(cast.owner), "/", "/notices/", "/replace/", *lists))


def upload(browser: Client, case: Any) -> Opened:
    """Sends the file, looks at the answer, and saves what may be saved under the name that is inside."""
    file = SimpleUploadedFile(Path(case.file).name, case.build())
    answer: Any = browser.post(
        NEW, {"kind": case.store, "store_name": case.store, "password": case.password or "", "file": file}
    )
    if answer.status_code == 422:
        assert answer.context["form"].refused.code in case.codes, case.file
        return Opened(case.file, 422, "text/html", "", answer.content)
    assert answer.status_code == 302 and None in case.codes, case.file
    review: Any = browser.get(answer.url)
    initial = review.context["form"].initial
    name = initial["name"] if initial["destination"] == "new" else f"{Path(case.file).stem}"
    saved = browser.post(answer.url, {"destination": "new", "name": name, "timing": "now", "do": "save"})
    if saved.status_code == 409:
        saved = browser.post(
            answer.url, {"destination": "new", "name": Path(case.file).stem, "timing": "now", "do": "save"}
        )
    assert saved.status_code == 302, case.file
    return Opened(answer.url, 200, "text/html", "", review.content)


@pytest.mark.slow
def test_texts_in_certificates_harm_nobody(
    everything: list[Opened], nasty: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert Version.objects.count() > 30
    assert [page.address for page in everything if page.status >= 400 and page.status != 422] == []
    letters = [message.message() for message in mail.outbox]
    parts = [
        (part.get_content_type(), bytes(part.get_payload(decode=True)).decode())
        for letter in letters
        for part in letter.walk()
        if not part.is_multipart()
    ]
    pages = [page.text for page in everything if page.is_page] + [
        text for kind, text in parts if kind == "text/html"
    ]
    plain = [text for kind, text in parts if kind == "text/plain"]
    heads = [page.headers for page in everything]
    mail_heads = [str(letter).partition("\n\n")[0] for letter in letters]
    log = [record.getMessage() for record in caplog.records]
    assert plain and len(pages) > 100
    for case in nasty.CASES:
        # A subject names certificates as they are called; what makes another line of it is no name.
        lines = heads + log + (mail_heads if "\n" in case.never else [])
        assert_never(case, nasty, pages, lines, plain + mail_heads)
    for text in (*pages, *plain, *heads, *mail_heads, *log):
        assert_nothing_invisible(text, text[:200])
    assert not [line for line in log if "\n" in line]
    assert_no_cell_is_a_formula([page for page in everything if page.content_type.startswith("text/csv")])


def assert_never(case: Any, nasty: Any, pages: list[str], lines: list[str], plain: list[str]) -> None:
    """What a text must not become is not found where it harms."""
    where = nasty.WHERE.get(case.file, "html")
    watched = {"csv": [], "html": pages}.get(where, pages + lines)
    original = next(
        (text.text for text in nasty.TEXTS if case.file == f"nasty/cn_{text.label}.cer"), case.never
    )
    # In a plain text the text itself may stand, and nothing that was made of it.
    watched = watched if case.never in original else watched + plain
    assert [text[:200] for text in watched if case.never in text] == [], case.file


def assert_no_cell_is_a_formula(lists: list[Opened]) -> None:
    assert len(lists) >= 3
    for found in lists:
        assert_nothing_invisible(found.text.removeprefix("\ufeff"), found.address)
        for row in csv.reader(io.StringIO(found.text)):
            assert [cell for cell in row if cell.lstrip().startswith(("=", "+", "-", "@", "\t"))] == []
