"""Reading uploads: octets in, facts out (DESIGN sections 4 and 7). Knows no Django; docs/formats.md says how to add one.

Run it in `stores.sandbox` only: it is bounded, but what it calls may not be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from stores.formats import der, detect, jar, jks, limits, pem, pkcs7, pkcs12
from stores.formats.errors import ReadingError
from stores.formats.limits import Budget
from stores.formats.parsed import Finding, Format, Parsed, Upload
from stores.formats.text import file_name

__all__ = ["read"]

Reader = Callable[[Upload, bytes, str, Budget], Parsed]
_READERS: Mapping[Format, Reader] = {
    "pem": pem.read, "der": der.read, "pkcs12": pkcs12.read, "pkcs7": pkcs7.read, "jar": jar.read, "jks": jks.read,
}  # fmt: skip
_SECOND: tuple[Format, ...] = ("pem", "der", "pkcs7")
"""What may come as a second file: what has no key of its own elsewhere."""


def read(upload: Upload) -> Parsed:
    """Everything inside an upload, both files. Raises ReadingError; `field` says which form field is at fault."""
    size = len(upload.content) + len(upload.key_content or b"")
    if size > limits.UPLOAD_BYTES:
        raise _too_large(upload)
    budget = Budget()
    source = file_name(upload.name)
    kind, content = detect.detect(upload.content, source)
    parsed = _READERS[kind](upload, content, source, budget)
    findings = [*parsed.findings, *_misleading(upload.name, parsed.format)]
    if upload.key_content is not None:
        parsed = _joined(parsed, _second(upload, upload.key_content, budget))
    if upload.password and not budget.password_used:
        text = "A password was given, but nothing in the upload is encrypted; it was not used."
        findings.append(Finding("password_not_needed", "info", text, field="password"))
    return Parsed(parsed.format, parsed.certificates, parsed.keys, tuple(findings), parsed.weaknesses)


def _too_large(upload: Upload) -> ReadingError:
    what = (
        file_name(upload.name) if upload.key_content is None else f"{file_name(upload.name)} and its key file"
    )
    text = f"{what} is too large: of one upload at most {limits.UPLOAD_BYTES:,} octets (1 MiB) are read. "
    return ReadingError(
        "too_large", f"{text}Upload the certificates and the key only, without other content."
    )


def _misleading(name: str, found: Format) -> tuple[Finding, ...]:
    if not detect.misleading(name, found):
        return ()
    shown, extension = file_name(name), name.rpartition(".")[2]
    text = f"{shown} is {detect.FORMAT_NAMES[found]}, although its name ends in .{extension}. It was read all the same."
    return (Finding("extension_mismatch", "info", text),)


def _second(upload: Upload, content: bytes, budget: Budget) -> Parsed:
    """The second file, which should hold the private key; certificates in it count as well, so files may be swapped."""
    source = file_name(upload.key_name or "the key file")
    try:
        kind, content = detect.detect(content, source)
        if kind not in _SECOND:
            text = f"{source} is {detect.FORMAT_NAMES[kind]}, which holds certificates and keys together: upload it alone."
            raise ReadingError("unsupported_format", text, "key_file")
        return _READERS[kind](upload, content, source, budget)
    except ReadingError as error:
        error.field = "key_file" if error.field == "file" else error.field
        raise


def _joined(first: Parsed, second: Parsed) -> Parsed:
    """Both files as one; its format is that of the file with the certificates."""
    certificates = first.certificates + second.certificates
    if len(certificates) > limits.CERTIFICATES:
        raise pkcs7.too_many(len(certificates), "the upload")
    kind = second.format if second.certificates and not first.certificates else first.format
    return Parsed(kind, certificates, first.keys + second.keys, (), first.weaknesses + second.weaknesses)
