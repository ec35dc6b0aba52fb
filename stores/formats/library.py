"""The edge to cryptography: what it raises becomes a ReadingError, what it warns of is not for users."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm

from stores.formats.errors import ReadingError


@contextmanager
def library(source: str, field: str = "file") -> Iterator[None]:
    """Around calls with octets from an upload: raises ReadingError unsupported_format or malformed for `source`.

    The library's own text is not passed on: it may quote what it read.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UnsupportedAlgorithm:
        text = f"{source} uses an algorithm or parameters that are not supported. Use RSA, or EC on P-256, P-384 or P-521."
        raise ReadingError("unsupported_format", text, field) from None
    except (ValueError, TypeError, OverflowError, InternalError, x509.InvalidVersion):
        text = f"{source} is damaged: its values do not make sense together. Export it again from where it was made."
        raise ReadingError("malformed", text, field) from None
