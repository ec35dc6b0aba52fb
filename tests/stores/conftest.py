"""What tests of stores share beside what all tests do."""

from __future__ import annotations

from tests.s3 import s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]
