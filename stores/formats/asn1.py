"""Bounded reading of ASN.1 (X.690) on bytes: nothing here recurses, copies without need or trusts a length.

`parse` reads strict DER; `to_der` turns BER (indefinite lengths, constructed strings, long forms of length) into it first.
`scan` walks every element once and refuses what libraries choke on: deep nesting, huge tags, over-long object
identifiers, floods of tiny elements. Errors are `Asn1Error` without a file's name; `named` gives them one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from stores.formats import limits
from stores.formats.errors import ReadingError

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, IA5_STRING, BMP_STRING = 0x0C, 0x16, 0x1E
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18
SEQUENCE, SET = 0x30, 0x31
CONSTRUCTED = 0x20

ELEMENTS = 300_000
"""Elements in one structure; the largest honest ones (1,000 certificates in PKCS#7) have about 100,000."""
OID_OCTETS = 64
_STRINGS = frozenset({0x03, 0x04, 0x0C, 0x12, 0x13, 0x14, 0x16, 0x1A, 0x1C, 0x1E})
"""Universal string types, which BER may write in pieces."""


class Asn1Error(ValueError):
    """Octets that are no DER, or not the structure that was expected; the text says where and in which way."""

    def __init__(self, text: str, code: str = "malformed") -> None:
        super().__init__(text)
        self.code = code


@contextmanager
def named(source: str, field: str = "file") -> Iterator[None]:
    """Turns an `Asn1Error` into a `ReadingError` that names `source`, as "certificate 2 in orders.pem"."""
    try:
        yield
    except Asn1Error as error:
        advice = (
            "Export or copy it again, whole and in binary mode." if error.code == "malformed" else "Split it."
        )
        raise ReadingError(error.code, f"{source} cannot be read: {error}. {advice}", field) from None


class Node(NamedTuple):
    """One element: `tag` is its whole identifier octet, as 0x30 for SEQUENCE or 0xA0 for [0] constructed."""

    data: bytes
    start: int
    body: int
    end: int
    tag: int

    @property
    def constructed(self) -> bool:
        return bool(self.tag & CONSTRUCTED)

    @property
    def tag_class(self) -> int:
        """0 universal, 1 application, 2 context-specific, 3 private."""
        return self.tag >> 6

    @property
    def number(self) -> int:
        return self.tag & 0x1F

    @property
    def content(self) -> bytes:
        return self.data[self.body : self.end]

    @property
    def raw(self) -> bytes:
        """The whole element, header included."""
        return self.data[self.start : self.end]

    def children(self) -> list[Node]:
        """The elements inside, in order; those of a primitive element are read as if it were constructed."""
        found, at = [], self.body
        while at < self.end:
            tag, body, end = _header(self.data, at, self.end)
            found.append(Node(self.data, at, body, end, tag))
            if len(found) > ELEMENTS:
                raise Asn1Error(f"it has more than {ELEMENTS:,} elements", "too_large")
            at = end
        return found

    def only(self, what: str) -> Node:
        """The one element inside, which `what` names."""
        inside = self.children()
        if len(inside) != 1:
            raise Asn1Error(f"at octet {self.start} {what} is expected, but there are {len(inside)} elements")
        return inside[0]

    def expect(self, tag: int, what: str) -> Node:
        """Itself when it has this tag, else an `Asn1Error` that names `what`."""
        if self.tag != tag:
            raise Asn1Error(
                f"at octet {self.start} {what} is expected (tag {tag:02x}), not tag {self.tag:02x}"
            )
        return self

    def fields(self, what: str, tag: int = SEQUENCE) -> Fields:
        """Its elements, to be taken in order."""
        return Fields(self.expect(tag, what), what)

    def oid(self, what: str = "an object identifier") -> str:
        return oid(self.expect(OID, what).content)

    def integer(self, what: str = "a number") -> int:
        return integer(self.expect(INTEGER, what).content)

    def octets(self) -> bytes:
        """Octets of a string, also of an implicitly tagged one in pieces (to_der cannot know those)."""
        if not self.constructed:
            return self.content
        return b"".join(
            piece.expect(OCTET_STRING, "a piece of an octet string").content for piece in self.children()
        )


class Fields:
    """The elements of a SEQUENCE, taken in order."""

    def __init__(self, node: Node, what: str) -> None:
        self.node, self.what = node, what
        self._nodes = node.children()
        self._at = 0

    def peek(self) -> int | None:
        """Tag of the next element, None after the last."""
        return self._nodes[self._at].tag if self._at < len(self._nodes) else None

    def any(self, what: str) -> Node:
        """The next element, of whatever type."""
        if self._at >= len(self._nodes):
            raise Asn1Error(f"{self.what} at octet {self.node.start} ends before {what}")
        self._at += 1
        return self._nodes[self._at - 1]

    def take(self, tag: int, what: str) -> Node:
        """The next element, which must have this tag."""
        return self.any(what).expect(tag, what)

    def maybe(self, tag: int) -> Node | None:
        """The next element when it has this tag."""
        return self.any("an element") if self.peek() == tag else None

    def rest(self) -> list[Node]:
        """All that have not been taken."""
        found = self._nodes[self._at :]
        self._at = len(self._nodes)
        return found

    def done(self) -> None:
        """Refuses elements that have not been taken."""
        if self._at < len(self._nodes):
            raise Asn1Error(f"{self.what} has an element too many at octet {self._nodes[self._at].start}")


def parse(data: bytes, *, ber: bool = False) -> Node:
    """The one element that `data` consists of. Raises Asn1Error, also when something follows it."""
    node = first(to_der(data) if ber else data)
    if node.end != len(node.data):
        raise Asn1Error(f"after its end at octet {node.end} follow {len(node.data) - node.end} more octets")
    return node


def first(data: bytes) -> Node:
    """The first element of `data`; others may follow."""
    tag, body, end = _header(data, 0, len(data))
    return Node(data, 0, body, end, tag)


def scan(data: bytes) -> None:
    """Walks all elements of a DER structure once. Raises Asn1Error for what no library should see."""
    ends, at, count, stop = [len(data)], 0, 0, len(data)
    while at < stop:
        tag, body, end = _header(data, at, ends[-1])
        count += 1
        if tag == OID:
            oid_check(data[body:end])
        if tag & CONSTRUCTED:
            ends.append(end)
            if len(ends) > limits.NESTING + 1:
                raise Asn1Error(f"it is nested deeper than {limits.NESTING} levels")
            at = body
        else:
            at = end
        while len(ends) > 1 and at == ends[-1]:
            ends.pop()
        if count > ELEMENTS:
            raise Asn1Error(f"it has more than {ELEMENTS:,} elements", "too_large")


def _header(data: bytes, at: int, stop: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at `at` in DER; it must end by `stop`."""
    if at + 2 > stop:
        raise Asn1Error(f"it ends in the middle of an element at octet {at}")
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise Asn1Error(f"the tag at octet {at} is longer than any that is in use")
    if length >= 0x80:
        length, body = _long_length(data, at, stop)
        if length < 0x80 or data[at + 2] == 0:
            raise Asn1Error(
                f"the length at octet {at + 1} is not written in its shortest form, as DER demands"
            )
    if body + length > stop:
        raise Asn1Error(
            f"the element at octet {at} claims {length:,} octets, but only {stop - body:,} follow"
        )
    return tag, body, body + length


def _long_length(data: bytes, at: int, stop: int) -> tuple[int, int]:
    """A length in the long form (X.690, 8.1.3.5) and where the content begins."""
    count = data[at + 1] & 0x7F
    if count == 0:
        raise Asn1Error(f"the element at octet {at} has an indefinite length, which DER does not know")
    if count > 8 or at + 2 + count > stop:
        raise Asn1Error(f"the length at octet {at + 1} is damaged")
    return int.from_bytes(data[at + 2 : at + 2 + count], "big"), at + 2 + count


class _Open:
    """A constructed element whose end has not come yet; `end` is None for an indefinite length."""

    __slots__ = ("end", "parts", "tag")

    def __init__(self, tag: int, end: int | None) -> None:
        self.tag, self.end = tag, end
        self.parts: list[tuple[int, bytes]] = []

    def close(self) -> tuple[int, bytes]:
        """Tag and content in DER; a string in pieces becomes one."""
        kind = self.tag & ~CONSTRUCTED
        if kind not in _STRINGS:
            return self.tag, b"".join(encode(tag, content) for tag, content in self.parts)
        if any(tag != kind for tag, _ in self.parts):
            raise Asn1Error("a string in pieces has a piece of another type")
        if kind == BIT_STRING:
            return kind, _bits([content for _, content in self.parts])
        return kind, b"".join(content for _, content in self.parts)


def _bits(pieces: list[bytes]) -> bytes:
    """Only the last piece of a bit string may have unused bits (X.690, 8.6.4)."""
    if not pieces or any(not piece for piece in pieces) or any(piece[0] for piece in pieces[:-1]):
        raise Asn1Error("a bit string in pieces is damaged")
    return pieces[-1][:1] + b"".join(piece[1:] for piece in pieces)


def to_der(data: bytes) -> bytes:
    """The first element of `data` in DER lengths, with what follows it left as it is (`parse` refuses that).

    Sets are not sorted and values not normalised: signatures and digests over the content stay valid where the
    content was DER before. Raises Asn1Error for anything damaged, nested too deep or too numerous.
    """
    top = _Open(SEQUENCE, None)
    stack, at, count = [top], 0, 0
    while at < len(data) or len(stack) > 1:
        tag, length, at = _ber_header(data, at, stack)
        count += 1
        if count > ELEMENTS:
            raise Asn1Error(f"it has more than {ELEMENTS:,} elements", "too_large")
        if tag == 0 and length == 0 and stack[-1].end is None and len(stack) > 1:
            _close(stack)
        elif tag & CONSTRUCTED:
            stack.append(_Open(tag, None if length is None else at + length))
            if len(stack) > limits.NESTING + 1:
                raise Asn1Error(f"it is nested deeper than {limits.NESTING} levels")
        else:
            stack[-1].parts.append((tag, data[at : at + (length or 0)]))
            at += length or 0
        while len(stack) > 1 and stack[-1].end == at:
            _close(stack)
        if len(stack) == 1:
            break
    if not top.parts:
        raise Asn1Error("it is empty")
    return encode(*top.parts[0]) + data[at:]


def _close(stack: list[_Open]) -> None:
    closed = stack.pop()
    stack[-1].parts.append(closed.close())


def _ber_header(data: bytes, at: int, stack: list[_Open]) -> tuple[int, int | None, int]:
    """Tag, length (None: indefinite) and start of the content in BER."""
    stop = next((frame.end for frame in reversed(stack) if frame.end is not None), len(data))
    if at + 2 > stop:
        raise Asn1Error(f"it ends in the middle of an element at octet {at}")
    tag, length, body = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise Asn1Error(f"the tag at octet {at} is longer than any that is in use")
    if length == 0x80:
        if not tag & CONSTRUCTED:
            raise Asn1Error(
                f"the element at octet {at} has an indefinite length, which only constructed ones may have"
            )
        return tag, None, body
    if length > 0x80:
        length, body = _long_length(data, at, stop)
    if body + length > stop:
        raise Asn1Error(
            f"the element at octet {at} claims {length:,} octets, but only {stop - body:,} follow"
        )
    return tag, length, body


def encode(tag: int, *contents: bytes) -> bytes:
    """One element in DER with these contents, one after the other."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def encode_integer(value: int) -> bytes:
    """An INTEGER in DER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def integer(content: bytes) -> int:
    """The value of an INTEGER's content octets."""
    if not content:
        raise Asn1Error("a number has no octets")
    return int.from_bytes(content, "big", signed=True)


def oid_check(content: bytes) -> None:
    """Refuses object identifiers that are empty, cut, padded or longer than any in use."""
    if len(content) > OID_OCTETS:
        raise Asn1Error(f"an object identifier has {len(content):,} octets, more than {OID_OCTETS}")
    if not content or content[-1] & 0x80:
        raise Asn1Error("an object identifier is cut off")
    if content[0] == 0x80 or any(b == 0x80 and not a & 0x80 for a, b in itertools.pairwise(content)):
        raise Asn1Error("an object identifier has leading zeros")


def oid(content: bytes) -> str:
    """Dotted form of an object identifier's content octets; at most 64 octets."""
    known = _OIDS.get(content)
    if known is not None:
        return known
    oid_check(content)
    arcs, value = [], 0
    for octet in content:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    root = min(arcs[0] // 40, 2)
    dotted = ".".join(map(str, (root, arcs[0] - 40 * root, *arcs[1:])))
    if len(_OIDS) < 1_000:
        _OIDS[content] = dotted
    return dotted


_OIDS: dict[bytes, str] = {}
"""Identifiers seen so far: a bundle of 140 certificates names the same few thousands of times."""
