"""What tests of stores share beside what all tests do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from tests.mail_server import Mailbox, MailServer
from tests.s3 import s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]


@pytest.fixture
def mailbox(settings: Settings) -> Iterator[Mailbox]:
    """What a real mail server takes."""
    box = Mailbox()
    server = MailServer(box)
    server.start()
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
    box.port = server.port
    settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
    settings.EMAIL_TIMEOUT = 5
    yield box
    server.stop()
