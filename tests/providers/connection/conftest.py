"""What the tests of connections share: the servers, and a resolver that knows names of ours."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.providers.connection.servers import Servers
from tests.providers.connection.situations import CHANGING, NAMES


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Every server of the table; those that were asked for are stopped at the end."""
    running = Servers(tmp_path_factory.mktemp("servers"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def asked() -> Iterator[list[str]]:
    """Names that were looked up, while the resolver answers `NAMES` and `CHANGING`; all else is the system's."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> list[Any]:
        known = dict(NAMES)
        if host in CHANGING:
            known[host] = ("10.0.0.1",) if host in looked_up else ("127.0.0.1",)
        looked_up.append(host)
        if host not in known:
            return real(host, *rest, **more)
        if not known[host]:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in known[host]]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield looked_up
