"""ZIP archives (PKWARE APPNOTE 6.3.10), read strictly: what two readers could understand in two ways is refused.

Everything is decided on the headers before a single octet is unpacked: how many entries, how large, how named, and
that the entries lie one after another from the first octet to the directory, each in one place and nothing between.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Callable
from typing import NamedTuple

from stores.formats import limits
from stores.formats.errors import ReadingError
from stores.formats.text import visible

STORED, DEFLATED = 0, 8
_ENCRYPTED = 0x2041
"""Flags of encryption: of the content, strong, and of the directory."""
_STREAMED = 0x8
"""Flag: sizes follow the content, those in the local header may be zero."""
_END = struct.Struct("<4sHHHHIIH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_TRAILERS = ("<4sIII", "<4sIQQ", "<III", "<IQQ")
"""Data descriptors: with and without a signature, sizes in 32 or 64 bits."""
_COMMENT = 0xFFFF
_METHODS = {
    1: "shrink",
    6: "implode",
    9: "Deflate64",
    12: "bzip2",
    14: "LZMA",
    93: "Zstandard",
    95: "XZ",
    98: "PPMd",
}
MAKE_AGAIN = "jar -cf FILE main.pem privateKey.pem && jar -uf FILE META-INF/descriptor.properties"
"""Makes a key store JAR from its three files."""


class _Entry(NamedTuple):
    """What the central directory says of one entry."""

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    attributes: int
    offset: int


def unpack(data: bytes, source: str) -> dict[str, bytes]:
    """Name and content of every entry, in the order of the directory; names of folders end in a slash.

    Raises ReadingError: malformed, too_large, too_costly, jar_unsafe, unsupported_format.
    """
    entries, start = _directory(data, source)
    _check_cost(entries, source)
    for check in (_check_name, _check_kind):
        for entry in entries:
            check(entry, source)
    _check_twice(entries, source)
    places = _places(data, entries, start, source)
    return {entry.name: _content(data, entry, places[entry.name], source) for entry in entries}


def _damaged(source: str, how: str) -> ReadingError:
    return ReadingError(
        "malformed",
        f"{source} is a damaged archive: {how}. Make it again with the jar tool.",
        command=MAKE_AGAIN,
    )


def _unsafe(source: str, entry: _Entry, how: str) -> ReadingError:
    text = f"The entry “{visible(entry.name)}” in {source} {how}. Make the archive again from plain files."
    return ReadingError("jar_unsafe", text, command=MAKE_AGAIN)


def _directory(data: bytes, source: str) -> tuple[list[_Entry], int]:
    """The entries of the central directory, and where it begins."""
    end = _end(data, source)
    _, disk, first_disk, here, count, size, start, _ = _END.unpack_from(data, end)
    if (
        0xFFFF in (here, count)
        or 0xFFFFFFFF in (size, start)
        or data[max(end - 20, 0) : end].startswith(b"PK\6\7")
    ):
        raise _damaged(source, "it has ZIP64 fields, for archives of 4 GiB and more")
    if count > limits.JAR_ENTRIES:
        text = f"{source} has {count:,} entries; at most {limits.JAR_ENTRIES} are read. Leave out what is not needed."
        raise ReadingError("too_large", text)
    if disk or first_disk or here != count or start + size != end:
        raise _damaged(source, "its directory is not where its end says")
    entries, at = [], start
    for _ in range(count):
        entry, at = _entry(data, at, end, source)
        entries.append(entry)
    if at != end:
        raise _damaged(source, "its directory holds more than it says")
    return entries, start


def _end(data: bytes, source: str) -> int:
    """Where the end-of-directory record stands. A comment that looks like another one is refused."""
    tail = max(len(data) - _END.size - _COMMENT, 0)
    ends = [tail + found.start() for found in re.finditer(b"PK\x05\x06", data[tail:])]
    ends = [
        at
        for at in ends
        if len(data) - at >= _END.size and _END.unpack_from(data, at)[7] == len(data) - at - _END.size
    ]
    if not ends:
        raise _damaged(source, "its end is missing")
    if len(ends) > 1:
        raise _damaged(source, "it has two ends")
    return ends[0]


def _entry(data: bytes, at: int, end: int, source: str) -> tuple[_Entry, int]:
    """The directory's entry at `at`, and where the next one begins."""
    if at + _CENTRAL.size > end or data[at : at + 4] != b"PK\1\2":
        raise _damaged(source, "its directory is cut off")
    (_, _, _, flags, method, _, _, crc, packed, size, name_size, extra, comment, _, _, attributes, offset) = (
        _CENTRAL.unpack_from(data, at)
    )
    at += _CENTRAL.size
    after = at + name_size + extra + comment
    if after > end:
        raise _damaged(source, "its directory is cut off")
    if 0xFFFFFFFF in (packed, size, offset):
        raise _damaged(source, "it has ZIP64 fields, for entries of 4 GiB and more")
    raw = data[at : at + name_size]
    return _Entry(_name(raw, source), raw, flags, method, crc, packed, size, attributes, offset), after


def _name(raw: bytes, source: str) -> str:
    """Java reads every name as UTF-8, whatever its flag says."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        text = f"the name “{visible(raw.decode('latin-1'))}” is not in UTF-8"
        raise _damaged(source, text) from None


def _check_cost(entries: list[_Entry], source: str) -> None:
    total = sum(entry.size for entry in entries)
    if total > limits.JAR_BYTES:
        text = (
            f"{source} would unpack to {total:,} octets; at most {limits.JAR_BYTES >> 20} MiB are unpacked."
        )
        raise ReadingError("too_costly", text)
    for entry in entries:
        if entry.size > limits.JAR_RATIO * entry.packed:
            text = (
                f"The entry “{visible(entry.name)}” in {source} would unpack to more than {limits.JAR_RATIO} times its size, "
                "which key and certificate files never do. Leave it out."
            )
            raise ReadingError("too_costly", text)


def _check_name(entry: _Entry, source: str) -> None:
    """A name must lead to one place below the archive's root, on every system."""
    if any(unicodedata.category(character) == "Cc" for character in entry.name):
        raise _unsafe(source, entry, "has a control character in its name")
    if "\\" in entry.name:
        raise _unsafe(source, entry, "has a backslash in its name")
    if entry.name.startswith("/") or entry.name[1:2] == ":":
        raise _unsafe(source, entry, "has an absolute name")
    if {"", ".", ".."} & set(entry.name.removesuffix("/").split("/")):
        raise _unsafe(source, entry, "has a name that leads elsewhere (“..”, “.” or nothing between slashes)")


def _check_kind(entry: _Entry, source: str) -> None:
    if entry.flags & _ENCRYPTED:
        raise _unsafe(source, entry, "is encrypted; only the key inside may be, as PEM")
    if stat.S_IFMT(entry.attributes >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(source, entry, "is a link or a device, not a file")
    if entry.method not in (STORED, DEFLATED):
        how = _METHODS.get(entry.method, f"method {entry.method}")
        text = (
            f"The entry “{visible(entry.name)}” in {source} is packed by {how}; JARs are packed by Deflate."
        )
        raise ReadingError(
            "unsupported_format", f"{text} Make it again with the jar tool.", command=MAKE_AGAIN
        )


def _check_twice(entries: list[_Entry], source: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        key = unicodedata.normalize("NFC", entry.name.removesuffix("/")).casefold()
        if key in seen:
            raise _unsafe(
                source, entry, "is there twice (letter case ignored), so that readers may take either"
            )
        seen.add(key)


def _places(data: bytes, entries: list[_Entry], end: int, source: str) -> dict[str, int]:
    """Where the packed content of each entry begins; the entries fill all octets before the directory."""
    places, at = {}, 0
    for entry in sorted(entries, key=lambda entry: entry.offset):
        if entry.offset != at:
            raise _damaged(source, f"“{visible(entry.name)}” does not begin where the entry before it ends")
        places[entry.name] = _local(data, entry, source)
        at = places[entry.name] + entry.packed
        at += _trailer(data, at, entry, source)
        if at > end:
            raise _damaged(source, f"“{visible(entry.name)}” is cut off")
    if at != end:
        raise _damaged(source, "octets before its directory belong to no entry")
    return places


def _local(data: bytes, entry: _Entry, source: str) -> int:
    """Checks the local header against the directory; where the content begins."""
    if entry.offset + _LOCAL.size > len(data) or data[entry.offset : entry.offset + 4] != b"PK\3\4":
        raise _damaged(source, f"“{visible(entry.name)}” is not where the directory says")
    _, _, flags, method, _, _, *sizes, name_size, extra = _LOCAL.unpack_from(data, entry.offset)
    at = entry.offset + _LOCAL.size
    if data[at : at + name_size] != entry.raw_name:
        raise _unsafe(source, entry, "has two names, one in the directory and one before its content")
    wanted = (entry.crc, entry.packed, entry.size)
    later = entry.flags & _STREAMED
    fits = all(size == right or (later and size == 0) for size, right in zip(sizes, wanted, strict=True))
    if (flags, method) != (entry.flags, entry.method) or not fits:
        raise _damaged(
            source, f"the directory says something else of “{visible(entry.name)}” than its own header"
        )
    return at + int(name_size) + int(extra)


def _trailer(data: bytes, at: int, entry: _Entry, source: str) -> int:
    """Size of the data descriptor behind a streamed entry, 0 where there is none."""
    if not entry.flags & _STREAMED:
        return 0
    for form in _TRAILERS:
        sizes = (entry.crc, entry.packed, entry.size)
        wanted = struct.pack(form, b"PK\7\x08", *sizes) if "s" in form else struct.pack(form, *sizes)
        if data[at : at + len(wanted)] == wanted:
            return len(wanted)
    raise _damaged(source, f"the sizes behind “{visible(entry.name)}” are not those of the directory")


def _content(data: bytes, entry: _Entry, at: int, source: str) -> bytes:
    """The content of one entry; its size and checksum must be those of the directory."""
    packed = data[at : at + entry.packed]
    unpacker: Callable[[bytes, int], bytes | None] = _inflated if entry.method == DEFLATED else _plain
    content = unpacker(packed, entry.size)
    if content is None or zlib.crc32(content) != entry.crc:
        raise _damaged(source, f"the content of “{visible(entry.name)}” does not fit its size and checksum")
    return content


def _plain(packed: bytes, size: int) -> bytes | None:
    return packed if len(packed) == size else None


def _inflated(packed: bytes, size: int) -> bytes | None:
    """Never more than `size` octets and one: enough to see that there are more. None when it is damaged."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(packed, size + 1)
    except zlib.error:
        return None
    return content if unpacker.eof and not unpacker.unused_data and len(content) == size else None
