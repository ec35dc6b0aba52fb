"""Opens every page that a person can reach by links, so that what holds for pages holds for new ones as well."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from django.test import Client

HREF = re.compile(r'(?:href|hx-get|formaction)="([^"]*)"')
CLOSED = ("/static/", "/accounts/", "/admin/")
"""Files, and pages of libraries that say nothing of certificates; /admin/ is opened where a test begins there."""
MOST = 2000


@dataclass(frozen=True)
class Opened:
    """A page or download."""

    address: str
    status: int
    content_type: str
    headers: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def is_page(self) -> bool:
        return self.content_type.startswith("text/html")


def open_page(client: Client, address: str) -> Opened:
    """One address; CSRF tokens and the like are left as they are."""
    answer: Any = client.get(address)
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = "\n".join(f"{name}: {value}" for name, value in answer.items())
    return Opened(address, answer.status_code, answer.get("Content-Type", ""), headers, body)


def crawl(
    client: Client, *starts: str, closed: tuple[str, ...] = CLOSED, queries: bool = True
) -> Iterator[Opened]:
    """Each page and download reachable from the starts, each address once; without `queries` no sorted or filtered ones."""
    waiting, known = list(starts), set(starts)
    while waiting:
        opened = open_page(client, waiting.pop())
        yield opened
        for address in _links(opened):
            if address not in known and not address.startswith(closed) and (queries or "?" not in address):
                assert len(known) < MOST, "links without end"
                known.add(address)
                waiting.append(address)


def _links(opened: Opened) -> list[str]:
    if not opened.is_page:
        return []
    found = [urljoin(opened.address, unescape(link)) for link in HREF.findall(opened.text)]
    return [urldefrag(link).url for link in found if not urlsplit(link).scheme]
