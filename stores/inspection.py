"""What is in an upload and whether it may be kept: the one answer for web form, API and command. Knows no Django."""

from __future__ import annotations

import datetime as dt
import logging

from stores import sandbox
from stores.formats import limits, read
from stores.formats.errors import ReadingError
from stores.formats.parsed import Finding, Inspection, Upload
from stores.formats.text import file_name, shortened
from stores.rules import check
from stores.rules.commands import file_argument

log = logging.getLogger(__name__)


def inspect(upload: Upload, now: dt.datetime) -> Inspection:
    """Reads and checks an upload in the sandbox; whatever is in it, there is an answer and no exception.

    Costs some milliseconds besides the reading itself. Raises nothing for what a user uploads.
    """
    if len(upload.content) + len(upload.key_content or b"") > limits.UPLOAD_BYTES:
        return examine(upload, now)  # refused by its size alone, without sending it anywhere
    try:
        return sandbox.run(examine, upload, now)
    except sandbox.LimitExceededError:
        text = (
            f"Reading {file_name(upload.name)} takes more than {limits.CPU_SECONDS} seconds or {limits.MEMORY_BYTES >> 20} MiB "
            "of memory, the most that one upload may cost. Export it again with the usual settings, or split it."
        )
        return _refused(upload, ReadingError("too_costly", text))
    except sandbox.CrashedError as error:
        log.error("The reader failed: %s", error)
        text = f"{file_name(upload.name)} is damaged in a way that cannot be read. Export it again from where it was made."
        return _refused(upload, ReadingError("malformed", text))


def examine(upload: Upload, now: dt.datetime) -> Inspection:
    """As `inspect`, in this process: what the sandbox runs. Limits of time and memory are not enforced here."""
    try:
        return check(read(upload), upload, now)
    except ReadingError as error:
        return _refused(upload, error)


def _refused(upload: Upload, error: ReadingError) -> Inspection:
    sentence = shortened(error.sentence, limits.MESSAGE_CHARACTERS)
    name = upload.key_name if error.field == "key_file" and upload.key_name else upload.name
    command = error.command.replace("FILE", file_argument(name, "FILE"))
    finding = Finding(error.code, "error", sentence, field=error.field, command=command)
    return Inspection(upload.name, False, error.code, sentence, findings=(finding,), field=error.field)


def as_json(answer: Inspection, file: str) -> dict[str, object]:
    """The answer in the form of DESIGN section 5; `file` as it was named."""
    return {
        "file": file,
        "accepted": answer.accepted,
        "code": answer.code,
        "message": answer.message,
        "format": answer.format,
        "certificates": [
            {
                "sha256": certificate.sha256,
                "subject": certificate.subject,
                "issuer": certificate.issuer,
                "serial": certificate.serial,
                "not_before": f"{certificate.not_before:%Y-%m-%dT%H:%M:%SZ}",
                "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
                "key_type": certificate.key_type,
            }
            for certificate in answer.certificates
        ],
        "findings": [{"code": f.code, "severity": f.severity, "text": f.text} for f in answer.findings],
    }
