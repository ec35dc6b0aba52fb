"""ZIP archives: what tools write is read, what two readers could understand in two ways is refused."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib

import pytest

from stores.formats.archive import unpack
from stores.formats.errors import ReadingError
from tests.formats import zip_writer as w
from tests.formats.tools import refused, run

FILES = {"main.pem": b"chain " * 300, "privateKey.pem": b"key", "META-INF/größe.txt": b""}
MEBIBYTE = 1 << 20


class OneWay(io.RawIOBase):
    """A file that cannot be gone back in, so that sizes follow the content."""

    def __init__(self) -> None:
        self.written = b""

    def writable(self) -> bool:
        return True

    def write(self, octets: object) -> int:
        self.written += bytes(octets)  # type: ignore[call-overload]
        return len(bytes(octets))  # type: ignore[call-overload]


def by_python(how: int) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", how) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    return out.getvalue()


def streamed() -> bytes:
    out = OneWay()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in FILES.items():
            file.writestr(name, content)
    return out.written


@pytest.mark.parametrize(
    "content", [by_python(zipfile.ZIP_STORED), by_python(zipfile.ZIP_DEFLATED), streamed()]
)
def test_names_and_contents_come_in_the_order_of_the_directory(content: bytes) -> None:
    assert list(unpack(content, "a.jar").items()) == list(FILES.items())


@pytest.mark.parametrize("options", ["-cf", "-c0f", "-cMf"])
def test_what_jar_writes_is_read(options: str) -> None:
    content = run("jar", options, "o.jar", *FILES, files=FILES, out="o.jar")
    found = unpack(content, "o.jar")
    assert {name: found[name] for name in FILES} == FILES


@pytest.mark.parametrize("options", [("-q", "o.zip"), ("-q", "-", "-")])
def test_what_zip_writes_is_read(options: tuple[str, ...]) -> None:
    """Sizes in front, and (zip into a pipe) behind each content."""
    script = f"zip {options[0]} {options[1]} main.pem privateKey.pem | cat > p; test -s p || cp o.zip p"
    found = unpack(run("sh", "-c", script, files=FILES, out="p"), "o.zip")
    assert found == {name: FILES[name] for name in ("main.pem", "privateKey.pem")}


UNSAFE = [
    "../evil.pem", "a/../../evil.pem", "..", "./main.pem", ".", "a//b", "/etc/passwd", "//host/share", "C:/evil", "c:evil",
    "\\\\host\\share", "..\\evil", "a\0b", "a\x1b[31m", "a\x7f", "a\x85b", "",
]  # fmt: skip


@pytest.mark.parametrize("name", UNSAFE)
def test_names_that_lead_elsewhere_are_unsafe(name: str) -> None:
    with refused("jar_unsafe", "a.jar", "jar -cf"):
        unpack(w.archive(w.Entry("main.pem", b"x"), w.Entry(name, b"x")), "a.jar")


@pytest.mark.parametrize("second", ["main.pem", "MAIN.pem", "main.pem/", "Größe", "Gro\u0308ße"])
def test_names_must_differ_by_more_than_letter_case(second: str) -> None:
    first = "größe" if second.startswith("G") else "main.pem"
    with refused("jar_unsafe", "twice"):
        unpack(w.archive(w.Entry(first, b"x"), w.Entry(second, b"x")), "a.jar")


KINDS = {
    "link": w.Entry("l", b"/etc/passwd", attributes=0xA1FF << 16),
    "device": w.Entry("d", attributes=0x61B6 << 16),
    "encrypted": w.Entry("e", b"x", flags=1),
    "strongly encrypted": w.Entry("e", b"x", flags=0x40),
    "masked": w.Entry("e", b"x", flags=0x2000),
    "two names": w.Entry("main.pem", b"x", local_name=b"../evil"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_are_no_plain_files_are_unsafe(kind: str) -> None:
    with refused("jar_unsafe"):
        unpack(w.archive(KINDS[kind]), "a.jar")


@pytest.mark.parametrize(("method", "name"), [(12, "bzip2"), (14, "LZMA"), (99, "method 99")])
def test_other_compressions_are_named(method: int, name: str) -> None:
    with refused("unsupported_format", name):
        unpack(w.archive(w.Entry("a", b"x", method)), "a.jar")


def dense(size: int) -> bytes:
    """Octets that pack to about a twentieth."""
    return b"".join(b"%032x" % (number**7) + b"." * 480 for number in range(size // 512))


COSTLY = {
    "101 entries": (w.archive(*(w.Entry(str(number)) for number in range(101))), "too_large"),
    "more than 4 MiB": (
        w.archive(*(w.deflated(str(n), dense(MEBIBYTE)) for n in range(4)), w.Entry("one", b"x")), "too_costly",
    ),
    "a ratio of more than 100": (w.archive(w.deflated("a", bytes(MEBIBYTE))), "too_costly"),
    "a size of 4 GiB": (w.archive(w.Entry("a", b"x", size=0xFFFFFFFE)), "too_costly"),
}  # fmt: skip


@pytest.mark.parametrize("what", COSTLY)
def test_limits_are_said_before_anything_is_unpacked(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(zlib, "decompressobj")
    content, code = COSTLY[what]
    with refused(code, "a.jar"):
        unpack(content, "a.jar")


def test_limits_are_inclusive() -> None:
    assert len(unpack(w.archive(*(w.Entry(str(number)) for number in range(100))), "a.jar")) == 100
    whole = w.archive(*(w.deflated(str(n), dense(MEBIBYTE)) for n in range(4)))
    assert sum(map(len, unpack(whole, "a.jar").values())) == 4 * MEBIBYTE


def test_a_bomb_that_says_it_is_small_is_not_unpacked() -> None:
    content = w.archive(w.deflated("a", bytes(200 * MEBIBYTE), size=1000))
    tracemalloc.start()
    with refused("malformed", "“a”"):
        unpack(content, "a.jar")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MEBIBYTE


ENTRY = w.Entry("a", b"content")
DAMAGED = {
    "octets in front": b"x" + w.archive(ENTRY),
    "octets between the last entry and the directory": w.archive(ENTRY, gap=b"x"),
    "octets behind the end": w.archive(ENTRY) + b"x",
    "two entries in one place": w.archive(ENTRY, w.Entry("b", offset=0)),
    "an entry behind the end": w.archive(w.Entry("a", offset=0x7FFFFFFF)),
    "an entry that claims what lies behind it": w.archive(w.Entry("a", b"x", packed=60, size=60)),
    "an entry too few": w.archive(ENTRY, ENTRY, count=1),
    "an entry too many": w.archive(ENTRY, count=2),
    "a directory elsewhere": w.archive(ENTRY, offset=0xFFFFFFF0),
    "a directory of another size": w.archive(ENTRY, size=0xFFFFFFF0),
    "an archive as its comment": w.archive(ENTRY, comment=w.archive(w.Entry("b", b"other"))),
    "ZIP64 count": w.archive(ENTRY, count=0xFFFF),
    "ZIP64 size": w.archive(w.Entry("a", b"x", size=0xFFFFFFFF)),
    "a wrong checksum": w.archive(w.Entry("a", b"x", crc=1)),
    "a size too large": w.archive(w.Entry("a", b"x", size=2)),
    "no deflate": w.archive(w.Entry("a", b"\xff" * 99, w.DEFLATED)),
    "octets behind the deflate": w.archive(
        w.Entry("a", w.deflated("a", b"x").data + b"y", w.DEFLATED, size=1)
    ),
    "other flags in the two headers": w.archive(w.Entry("a", b"x", local_flags=2)),
    "no sizes behind a streamed entry": w.archive(w.Entry("a", b"x", flags=8)),
    "other sizes behind a streamed entry": w.archive(
        w.Entry("a", b"x", flags=8, trailer=b"PK\7\x08" + bytes(12))
    ),
    "a name that is no UTF-8": w.archive(w.Entry(b"\xff", b"x")),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_archives_that_can_be_read_in_two_ways_are_damaged(what: str) -> None:
    with refused("malformed", "a.jar"):
        unpack(DAMAGED[what], "a.jar")


def test_a_comment_is_no_harm() -> None:
    assert unpack(w.archive(ENTRY, comment=b"made by hand"), "a.jar") == {"a": b"content"}


def test_an_archive_that_ends_early_is_damaged_wherever_it_ends() -> None:
    content = by_python(zipfile.ZIP_DEFLATED)
    for size in range(len(content)):
        with refused("malformed"):
            unpack(content[:size], "a.jar")


def test_no_octet_of_a_content_can_be_changed_unnoticed() -> None:
    content = by_python(zipfile.ZIP_STORED)
    start = content.index(b"chain")
    for at in range(start, start + 300):
        with pytest.raises(ReadingError):
            unpack(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], "a.jar")
