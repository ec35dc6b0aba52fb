"""What people send by mistake: told in one sentence beside its field, the same in a shell, and in the log without names or secrets."""

from __future__ import annotations

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.utils.html import escape

from stores.models import Certificate, Draft, Store, Version
from stores.rules import codes
from tests.cast import Cast, client_of, kept
from tests.material import mint
from tests.rules.test_docs import FULL, LEAF
from tests.stores.provoked import PROVOKED, Provoked, pem, plain

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
NEW = "/certificates/new/"
ERRORS = [code for code in codes.ALL if codes.severity_of(code) == "error"]
REMARKS = [code for code in codes.ALL if codes.severity_of(code) != "error"]
OWN = "Unprocessable Entity: /certificates/new/"
LINE = re.compile(
    rf"{OWN}|team [2-9a-z]{{12}}: (an upload is refused|upload [2-9a-z]{{12}} is under review): [a-z_, ]+"
)


@pytest.fixture
def browser(cast: Cast) -> Client:
    return client_of(cast.editor)


def form_of(sent: Provoked) -> dict[str, Any]:
    fields = {
        "kind": sent.store, "store_name": "outbound", "name": "kept-name", "description": "for the order system",
        "password": sent.password, "alias": sent.alias, "file": SimpleUploadedFile(sent.name, sent.content()),
    }  # fmt: skip
    return fields | ({"key_file": SimpleUploadedFile("orders-2027.key", sent.key())} if sent.key else {})


def inspected(sent: Provoked, folder: Path, *more: str) -> dict[str, Any]:
    """The answer of `manage.py inspect` to the same upload."""
    file, out = folder / sent.name, io.StringIO()
    file.write_bytes(sent.content())
    options = ["--store", sent.store, *more]
    if sent.password:
        (folder / "password").write_text(sent.password)
        options += ["--password-file", str(folder / "password")]
    if sent.key:
        (folder / "orders-2027.key").write_bytes(sent.key())
        options += ["--key-file", str(folder / "orders-2027.key")]
    with pytest.raises(SystemExit):
        call_command("inspect", str(file), *options, stdout=out)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def tag(page: str, identity: str) -> str:
    """The start tag of the element with this id."""
    found = re.search(rf'<[a-z]+[^>]*\sid="{identity}"[^>]*>', page)
    assert found, f"no element {identity}"
    return found[0]


def said(page: str, identity: str) -> str:
    """The text of a paragraph with this id."""
    found = re.search(rf'<p class="field-error" id="{identity}">(.*?)</p>', page, re.DOTALL)
    assert found, f"no error {identity}"
    return found[1].strip()


def test_every_code_is_provoked() -> None:
    assert tuple(PROVOKED) == codes.ALL


@pytest.mark.parametrize("code", ERRORS)
def test_an_error_stands_beside_its_field_in_the_shell_and_in_the_log(
    browser: Client, code: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = PROVOKED[code]
    answer = browser.post(NEW, form_of(sent))
    page, shell = answer.content.decode(), inspected(sent, tmp_path)
    assert (answer.status_code, shell["accepted"], shell["code"]) == (422, False, code)
    control, error = f"id_{sent.field}", f"id_{sent.field}_error"
    assert said(page, error) == escape(shell["message"])
    assert 'aria-invalid="true"' in tag(page, control)
    assert error in re.findall(r'aria-describedby="([^"]*)"', tag(page, control))[0].split()
    assert list(answer.context["form"].errors) == [sent.field]
    assert 'value="for the order system"' in page and 'value="kept-name"' in page
    assert not Draft.objects.exists()
    assert_log_tells_codes_only(caplog, code)


@pytest.mark.parametrize("code", REMARKS)
def test_a_remark_stands_on_the_review_page_in_the_shell_and_in_the_log(
    browser: Client, code: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = PROVOKED[code]
    chosen: Any = browser.post(NEW, form_of(sent))
    shell = inspected(sent, tmp_path, *(["--leave-out"] if code == "left_out" else []))
    assert (chosen.status_code, shell["accepted"], shell["code"]) == (302, True, None)
    [text] = [finding["text"] for finding in shell["findings"] if finding["code"] == code]
    assert escape(text) in browser.get(chosen.url).content.decode()
    assert_log_tells_codes_only(caplog, code)


def assert_log_tells_codes_only(caplog: pytest.LogCaptureFixture, code: str) -> None:
    lines = [record.getMessage() for record in caplog.records]
    assert any(code in line for line in lines)
    assert [line for line in lines if not LINE.fullmatch(line)] == []


# What is typed


FAULTY = ["n" * 101, "a\x00b", "a\x1b[31mb", "a\nb", "a\u202eb", "a\u200bb", "a\ue000b", "a\ufeffb", "   "]


@pytest.mark.parametrize("text", FAULTY)
def test_no_name_is_too_long_or_invisible(browser: Client, text: str) -> None:
    for field in ("store_name", "name"):
        answer = browser.post(NEW, form_of(Provoked(lambda: pem(*FULL))) | {field: text})
        if text.isspace() and field == "name":
            assert answer.status_code == 302, "left empty, it is the name inside"
            continue
        assert answer.status_code == 422
        assert list(answer.context["form"].errors) == [field]
        assert f"id_{field}_error" in tag(answer.content.decode(), f"id_{field}")
    assert not Store.objects.exists()


def test_half_a_character_becomes_one_that_can_be_stored(browser: Client) -> None:
    parts = {
        b"kind": b"trust",
        b"store_name": b"half \xed\xa0\xbd",
        b"description": b"\xff",
        b"pasted": plain(*FULL),
    }
    body = b"".join(
        b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % part for part in parts.items()
    )
    answer = browser.generic("POST", NEW, body + b"--b--\r\n", "multipart/form-data; boundary=b")
    assert answer.status_code == 302
    assert browser.get(answer.headers["Location"]).status_code == 200


@pytest.mark.parametrize(
    ("field", "length"),
    [("store_description", 2001), ("description", 2001), ("password", 1001), ("alias", 1001)],
)
def test_a_text_that_is_too_long_is_told(browser: Client, field: str, length: int) -> None:
    answer = browser.post(NEW, form_of(Provoked(lambda: pem(*FULL))) | {field: "x" * length})
    assert answer.status_code == 422
    assert list(answer.context["form"].errors) == [field]


def test_a_store_of_the_other_kind_cannot_be_taken_by_its_name(browser: Client, cast: Cast) -> None:
    kept(cast, LEAF, store="Outbound")
    answer = browser.post(NEW, {"kind": "trust", "store_name": "outbound", "pasted": plain(*FULL).decode()})
    assert "is a key store" in str(answer.context["form"].errors["store_name"])


@pytest.mark.parametrize("address", [NEW, "/certificates/", "/stores/", "/certificates/new/\0/"])
def test_an_address_with_a_nul_leads_nowhere(browser: Client, address: str) -> None:
    assert browser.get(address, {"store": "\0", "q": "\0", "kind": "\0"}).status_code == 404


# Which file goes where


def test_files_in_each_others_field_simply_work(browser: Client) -> None:
    for content, key in ((LEAF.key_pem, plain(*FULL)), (LEAF.key_der, LEAF.der)):
        fields = form_of(Provoked(lambda: b"")) | {
            "file": SimpleUploadedFile("orders.pem", content),
            "key_file": SimpleUploadedFile("orders.key", key),
        }
        chosen: Any = browser.post(NEW, fields)
        assert chosen.status_code == 302
        assert "Orders Client" in browser.get(chosen.url).content.decode()


def test_the_only_file_in_the_field_of_the_second_simply_works(browser: Client) -> None:
    fields = form_of(Provoked(lambda: b""))
    fields |= {"file": "", "key_file": SimpleUploadedFile("orders.pem", pem(*FULL))}
    assert browser.post(NEW, fields).status_code == 302
    fields |= {"key_file": SimpleUploadedFile("orders.pem", b"nothing of use")}
    answer = browser.post(NEW, fields)
    assert list(answer.context["form"].errors) == ["key_file"], "the error stands where the file was chosen"


def test_a_bundle_beside_a_certificate_is_told_in_one_sentence(browser: Client) -> None:
    sent = Provoked(lambda: plain(*FULL), key=PROVOKED["restricted_password"].content)
    answer = browser.post(NEW, form_of(sent))
    assert "upload it alone" in str(answer.context["form"].errors["key_file"])


def test_what_was_pasted_is_told_beside_it_and_never_sent_back(browser: Client) -> None:
    fields = form_of(Provoked(lambda: b"")) | {"file": "", "pasted": LEAF.key_pem.decode()}
    answer = browser.post(NEW, fields)
    page = answer.content.decode()
    assert list(answer.context["form"].errors) == ["pasted"]
    assert "id_pasted_error" in tag(page, "id_pasted")
    assert "PRIVATE KEY" not in page and LEAF.key_pem.decode().splitlines()[1] not in page


# How much


@pytest.mark.parametrize("size", [2 << 20, 20 << 20])
def test_a_large_file_is_refused_by_its_size(browser: Client, size: int) -> None:
    answer = browser.post(NEW, form_of(Provoked(lambda: b"x" * size)))
    assert answer.status_code == 422
    assert "1 MiB" in str(answer.context["form"].errors["file"])
    assert answer.context["form"].files["file"].size == (1 << 20) + 1, "no more than is needed to know"


def test_a_pasted_text_of_4_mib_is_refused_by_its_size(browser: Client) -> None:
    answer = browser.post(NEW, form_of(Provoked(lambda: b"")) | {"file": "", "pasted": "x" * (4 << 20)})
    assert answer.status_code == 422
    assert "1 MiB" in str(answer.context["form"].errors["pasted"])
    assert 'value="kept-name"' in answer.content.decode()


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({f"field{number}": "x" for number in range(10_000)}, 400, "More fields or files"),
        (
            {f"f{number}": SimpleUploadedFile("x.pem", b"x") for number in range(3)},
            400,
            "More fields or files",
        ),
        ({"pasted": "x" * (9 << 20)}, 413, "at most 1 MiB"),
    ],
)
def test_a_body_beyond_all_measure_gets_a_sentence(
    browser: Client, fields: dict[str, Any], status: int, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = browser.post(NEW, fields)
    assert (answer.status_code, answer.templates[0].name) == (status, "portal/error.html")
    assert sentence in answer.content.decode()


def part(head: str, content: bytes) -> bytes:
    """One part of a multipart body whose boundary is b."""
    return b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"


MULTIPART = "multipart/form-data; boundary=b"
FILE = 'name="file"; filename="x.pem"'


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"x"),
        (MULTIPART, part(FILE, b"half")[:-1]),
        (MULTIPART + "b" * 300, b"x"),
        (MULTIPART, part(f"{FILE}\r\nContent-Transfer-Encoding: base64", b"%%%") + b"--b--"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"kind=key"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"kind=key"),
        ("application/json", b"{"),
        ("text/plain", b"\xff\xfe\x00"),
    ],
)
def test_a_body_that_is_no_form_gets_a_sentence(browser: Client, content_type: str, body: bytes) -> None:
    answer = browser.generic("POST", NEW, body, content_type)
    assert answer.status_code in (400, 422)
    assert not Draft.objects.exists()


def test_a_file_that_was_cut_off_is_not_taken_for_a_whole_one(browser: Client) -> None:
    body = part('name="kind"', b"trust") + part('name="store_name"', b"s") + part(FILE, plain(*FULL))
    whole, cut = (browser.generic("POST", NEW, body + end, MULTIPART) for end in (b"--b--\r\n", b""))
    assert (whole.status_code, cut.status_code) == (302, 422)
    assert Draft.objects.count() == 1


# Where it goes


def review_of(browser: Client, content: bytes, **more: Any) -> str:
    sent = Provoked(lambda: content)
    chosen: Any = browser.post(NEW, form_of(sent) | more)
    assert chosen.status_code == 302, chosen.context["form"].errors
    return str(chosen.url)


def test_a_new_certificate_never_takes_a_name_by_surprise(browser: Client, cast: Cast) -> None:
    old = kept(cast, LEAF, name="kept-name")
    address = review_of(browser, pem(mint("another client")), store_name="outbound")
    seen = browser.get(address).context["form"].initial["seen"]
    assert seen == old.pk, "the review offers to replace it"
    fields = {"destination": "new", "name": "Kept-Name", "timing": "now", "seen": seen, "do": "save"}
    answer = browser.post(address, fields)
    assert answer.status_code == 409
    assert "Replace it, or type another name" in str(answer.context["form"].errors["name"])
    assert 'value="Kept-Name"' in answer.content.decode()
    assert Version.objects.count() == 1
    assert browser.post(address, fields | {"name": "another"}).status_code == 302
    assert sorted(Certificate.objects.values_list("name", flat=True)) == ["another", "kept-name"]


@pytest.mark.parametrize("name", FAULTY)
def test_the_review_refuses_names_as_well(browser: Client, name: str) -> None:
    address = review_of(browser, pem(*FULL))
    answer = browser.post(address, {"destination": "new", "name": name, "timing": "now", "do": "save"})
    assert answer.status_code == 422
    assert "id_name_error" in tag(answer.content.decode(), "id_name")


SAVE = {"destination": "new", "name": "n", "timing": "now"}


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"destination": "new"},
        SAVE | {"destination": "\0"},
        SAVE | {"destination": "x" * 9999},
        SAVE | {"timing": "never"},
        SAVE | {"timing": "at"},
        SAVE | {"timing": "at", "activate_at": "soon"},
        SAVE | {"timing": "at", "activate_at": "0001-01-01T00:00"},
        SAVE | {"seen": "x" * 13},
        SAVE | {"seen": "\0"},
    ],
)
def test_a_review_that_makes_no_sense_is_shown_again(browser: Client, fields: dict[str, str]) -> None:
    address = review_of(browser, pem(*FULL))
    assert browser.post(address, fields).status_code == 422
    assert browser.post(address, fields | {"do": "compare"}).status_code == 302
    assert not Version.objects.exists()
