"""The only way out: which addresses are connected to, and how the first that answers is found."""

from __future__ import annotations

import ipaddress
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from portal import outbound
from portal.outbound import OutboundError, Policy
from tests.running import free_port

LOOPBACK = Policy((ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
EVERYTHING = Policy((ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0")))
PUBLIC = (
    "8.8.8.8",
    "2606:4700::1111",
    "2002:808:808::1",
    "64:ff9b::808:808",
    "::ffff:8.8.8.8",
    "2001:0:808:808::f7f7:f7f7",
)
NOT_PUBLIC = (
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "127.0.0.1", "100.64.0.1", "192.0.2.1", "198.18.0.1", "::1", "fd00::1", "fec0::1",
    "2001:db8::1", "::ffff:10.0.0.1", "::127.0.0.1", "2002:a00:1::1", "64:ff9b::a00:1", "64:ff9b:1::808:808",
    "2001:0:808:808::f5ff:fffe", "4000::1",
)  # fmt: skip
NEVER = (
    "0.0.0.0", "0.1.2.3", "::", "169.254.0.1", "fe80::1", "169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
    "224.0.0.1", "ff02::1", "240.0.0.1", "255.255.255.255", "::ffff:169.254.169.254", "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "2001:0:a9fe:a9fe::f7f7:f7f7", "fe80::1%eth0",
)  # fmt: skip


def soon(seconds: float = 20.0) -> float:
    return time.monotonic() + seconds


def refusal(policy: Policy, address: str) -> str:
    return policy.refusal(ipaddress.ip_address(address))


class TestPolicy:
    @pytest.mark.parametrize("address", PUBLIC)
    def test_public_addresses_are_allowed(self, address: str) -> None:
        assert refusal(Policy(), address) == ""

    @pytest.mark.parametrize("address", NOT_PUBLIC)
    def test_others_only_where_their_network_is_named(self, address: str) -> None:
        assert "STOREKEEPER_OUTBOUND_ALLOW" in refusal(Policy(), address)
        assert refusal(EVERYTHING, address) == ""

    @pytest.mark.parametrize("address", NEVER)
    def test_some_never_whatever_is_allowed(self, address: str) -> None:
        assert "never" in refusal(Policy(), address)
        assert "never" in refusal(EVERYTHING, address)

    def test_an_address_within_another_is_allowed_as_itself(self) -> None:
        policy = Policy((ipaddress.ip_network("10.0.0.0/8"),))
        assert refusal(policy, "::ffff:10.0.0.1") == ""
        assert "(that is 192.168.0.1)" in refusal(policy, "::ffff:192.168.0.1")

    def test_both_ends_of_teredo_count(self) -> None:
        assert "10.0.0.1" in refusal(Policy(), "2001:0:808:808::f5ff:fffe")
        assert "10.0.0.1" in refusal(Policy(), "2001:0:a00:1::f7f7:f7f7")

    def test_the_setting_says_it(self, settings: object) -> None:
        settings.STOREKEEPER_OUTBOUND_ALLOW = [ipaddress.ip_network("10.0.0.0/8")]  # type: ignore[attr-defined]
        assert Policy.from_settings() == Policy((ipaddress.ip_network("10.0.0.0/8"),))

    @pytest.mark.parametrize(("database", "networks"), [("", 2), ("postgres://postgres@127.0.0.1/none", 0)])
    def test_only_the_embedded_default_allows_this_machine(self, database: str, networks: int) -> None:
        others = {name: value for name, value in os.environ.items() if name != "STOREKEEPER_OUTBOUND_ALLOW"}
        script = "from portal import settings; print(len(settings.STOREKEEPER_OUTBOUND_ALLOW))"
        environment = others | {"DATABASE_URL": database}
        answer = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert answer.stdout.strip() == str(networks)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """What the resolver answers; a name that is not in it does not exist."""
    known: dict[str, tuple[str, ...]] = {}

    def answer(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return known


class TestResolve:
    def test_only_what_passes_is_kept_and_the_rest_is_told(self, names: dict[str, tuple[str, ...]]) -> None:
        names["mixed.test"] = ("10.0.0.1", "8.8.8.8", "8.8.8.8")
        found = outbound.resolve("mixed.test", 443, Policy(), soon())
        assert [str(address) for address in found.addresses] == ["8.8.8.8"]
        assert len(found.refused) == 1 and "10.0.0.1" in found.refused[0]

    def test_nothing_passes(self, names: dict[str, tuple[str, ...]]) -> None:
        names["inside.test"] = ("10.0.0.1", "::1")
        with pytest.raises(OutboundError, match=r"10\.0\.0\.1 .*::1 ") as error:
            outbound.resolve("inside.test", 443, Policy(), soon())
        assert error.value.code == "blocked_by_policy"

    @pytest.mark.parametrize("host", ["nowhere.test", "a" * 64 + ".test", "nul\0.test", ".."])
    def test_a_name_without_address(self, host: str, names: dict[str, tuple[str, ...]]) -> None:
        with pytest.raises(OutboundError) as error:
            outbound.resolve(host, 443, Policy(), soon())
        assert error.value.code == "dns_failure"

    @pytest.mark.parametrize("host", ["a" * 64 + ".test", "nul\0.test"])
    def test_what_the_system_does_not_take_as_a_name(self, host: str) -> None:
        with pytest.raises(OutboundError) as error:
            outbound.resolve(host, 443, Policy(), soon())
        assert error.value.code == "dns_failure"
        assert error.value.sentence.isprintable()

    def test_a_resolver_that_does_not_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        end = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: end.wait() and [])
        with pytest.raises(OutboundError, match="in time") as error:
            outbound.resolve("slow.test", 443, Policy(), soon(0.05))
        end.set()
        assert error.value.code == "dns_failure"

    def test_the_families_take_turns(self, names: dict[str, tuple[str, ...]]) -> None:
        names["both.test"] = ("2606:4700::1", "2606:4700::2", "2606:4700::3", "8.8.8.8")
        found = outbound.resolve("both.test", 443, Policy(), soon())
        assert [address.version for address in found.addresses] == [6, 4, 6, 6]

    def test_a_number_for_an_address_is_judged_as_the_address(self) -> None:
        with pytest.raises(OutboundError) as error:
            outbound.resolve("0x7f000001", 443, Policy(), soon())
        assert error.value.code == "blocked_by_policy"


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        yield server.getsockname()[1]


@pytest.fixture
def black_hole(listening: int) -> Iterator[str]:
    """Another address, with the same port, whose backlog is full."""
    with socket.create_server(("127.0.0.3", listening), backlog=0):
        crowd = [socket.socket() for _ in range(8)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(("127.0.0.3", listening))
        yield "127.0.0.3"
        for one in crowd:
            one.close()


class TestConnect:
    @staticmethod
    def to(
        names: dict[str, tuple[str, ...]], port: int, *addresses: str, seconds: float = 20
    ) -> outbound.Connected:
        names["here.test"] = addresses
        return outbound.connect(outbound.resolve("here.test", port, LOOPBACK, soon()), soon(seconds))

    def test_a_socket_that_does_not_block(self, names: dict[str, tuple[str, ...]], listening: int) -> None:
        connected = self.to(names, listening, "127.0.0.1")
        with connected.socket:
            assert str(connected.address) == "127.0.0.1"
            assert connected.socket.getpeername() == ("127.0.0.1", listening)
            with pytest.raises(BlockingIOError):
                connected.socket.recv(1)

    @pytest.mark.parametrize("first", ["127.0.0.2", "::1"])
    def test_a_closed_first_address_costs_nothing(
        self, names: dict[str, tuple[str, ...]], listening: int, first: str
    ) -> None:
        connected = self.to(names, listening, first, "127.0.0.1")
        connected.socket.close()
        assert str(connected.address) == "127.0.0.1"

    def test_a_silent_first_address_costs_little(
        self, names: dict[str, tuple[str, ...]], listening: int, black_hole: str
    ) -> None:
        connected = self.to(names, listening, black_hole, "127.0.0.1")
        connected.socket.close()
        assert str(connected.address) == "127.0.0.1"

    def test_nothing_listens(self, names: dict[str, tuple[str, ...]]) -> None:
        with pytest.raises(OutboundError, match=r"127\.0\.0\.1") as error:
            self.to(names, free_port(), "127.0.0.1")
        assert error.value.code == "connection_refused"

    def test_nobody_answers(self, names: dict[str, tuple[str, ...]], listening: int, black_hole: str) -> None:
        with pytest.raises(OutboundError, match="in time") as error:
            self.to(names, listening, black_hole, seconds=0.5)
        assert error.value.code == "connect_timeout"

    def test_who_loses_the_race_is_let_go(
        self,
        names: dict[str, tuple[str, ...]],
        listening: int,
        black_hole: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        opened: list[socket.socket] = []

        class Kept(socket.socket):
            def __init__(self, *given: int) -> None:
                super().__init__(*given)
                opened.append(self)

        monkeypatch.setattr(socket, "socket", Kept)
        winner = self.to(names, listening, black_hole, "127.0.0.1").socket
        assert [one is winner for one in opened if one.fileno() != -1] == [True]
        assert len(opened) == 2
        winner.close()

    def test_an_end_at_once_is_told_as_that(
        self, names: dict[str, tuple[str, ...]], listening: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the end comes before we look, the system gives it in place of the connection."""
        monkeypatch.setattr(outbound, "_pending_error", lambda _: 104)
        with pytest.raises(OutboundError) as error:
            self.to(names, listening, "127.0.0.1")
        assert error.value.code == "connection_reset"


def test_the_environment_names_no_proxy_for_us(
    names: dict[str, tuple[str, ...]], listening: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    with TestConnect.to(names, listening, "127.0.0.1").socket as found:
        assert select.select([], [found], [], 5)[1] == [found]
