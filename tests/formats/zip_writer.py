"""Writes ZIP archives by hand (APPNOTE 6.3.10): every field can lie."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from tests.material import Minted

STORED, DEFLATED = 0, 8
DESCRIPTOR = "META-INF/descriptor.properties"
LINES = b"certFile=main.pem\nkeyFile=privateKey.pem\n"


@dataclass(frozen=True)
class Entry:
    """One entry; `data` lies in the file as it is, what is None is told truly."""

    name: str | bytes
    data: bytes = b""
    method: int = STORED
    flags: int = 0
    attributes: int = 0
    crc: int | None = None
    size: int | None = None
    packed: int | None = None
    offset: int | None = None
    local_name: bytes | None = None
    local_flags: int | None = None
    trailer: bytes = b""

    @property
    def raw_name(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name

    def numbers(self, flags: int) -> bytes:
        size = len(self.data)
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        sizes = size if self.packed is None else self.packed, size if self.size is None else self.size
        return struct.pack("<HHIIII", flags, self.method, 0, crc, *sizes)

    def local(self) -> bytes:
        name = self.raw_name if self.local_name is None else self.local_name
        numbers = self.numbers(self.flags if self.local_flags is None else self.local_flags)
        return b"PK\3\4\x14\0" + numbers + struct.pack("<HH", len(name), 0) + name + self.data + self.trailer

    def central(self, offset: int) -> bytes:
        where = offset if self.offset is None else self.offset
        rest = struct.pack("<HHHHHII", len(self.raw_name), 0, 0, 0, 0, self.attributes, where)
        return b"PK\1\2\x1e\3\x14\0" + self.numbers(self.flags) + rest + self.raw_name


def deflated(name: str, plain: bytes, size: int | None = None) -> Entry:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(plain) + packer.flush()
    return Entry(name, data, DEFLATED, crc=zlib.crc32(plain), size=len(plain) if size is None else size)


def end(count: int, size: int, offset: int, comment: bytes = b"") -> bytes:
    return struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, size, offset, len(comment)) + comment


def archive(*entries: Entry, comment: bytes = b"", gap: bytes = b"", **lies: int) -> bytes:
    """An archive of these entries; `lies` replaces count, size or offset of its directory."""
    body, directory = b"", b""
    for entry in entries:
        directory += entry.central(len(body))
        body += entry.local()
    body += gap
    facts = {"count": len(entries), "size": len(directory), "offset": len(body)} | lies
    return body + directory + end(facts["count"], facts["size"], facts["offset"], comment)


def jar(files: dict[str, bytes]) -> bytes:
    return archive(*(deflated(name, content) for name, content in files.items()))


def key_store(*chain: Minted, lines: bytes = LINES) -> dict[str, bytes]:
    """The files of a key store JAR: the key of the first certificate, and the chain."""
    return {
        "main.pem": b"".join(one.pem for one in chain),
        "privateKey.pem": chain[0].key_pem,
        DESCRIPTOR: lines,
    }
