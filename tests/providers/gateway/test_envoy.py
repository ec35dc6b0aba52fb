"""The sentence made true on a real Envoy: what is kept here is what runs there."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.utils import timezone

from portal.models import AuditEvent
from providers.gateway import registry, tokens
from providers.gateway.bootstrap import bootstrap
from providers.gateway.standing import standings
from providers.models import Host, Overlap, Provider
from tests.cast import Cast
from tests.material import mint
from tests.providers.backends import authority, client, days
from tests.providers.connection.programs import envoy_program, missing
from tests.providers.gateway.edge import Edge, serial_of, since
from tests.running import wait_for

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(bool(missing("envoy")), reason=missing("envoy") or "-"),
]
LONGEST_SECONDS = 6.0
"""From the replacement to the first handshake with the new one, on a busy machine."""
SPKI = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
REFUSED = "REST update for /v3/discovery:secrets failed"


@pytest.fixture
def edge(cast: Cast, live_server: Any, settings: Any) -> Iterator[Edge]:
    settings.STOREKEEPER_URL = live_server.url
    made = Edge(cast)
    yield made
    made.close()


def states(edge: Edge) -> dict[str, str]:
    return {one.title: one.word for one in standings(edge.gateway, timezone.now())}


def test_what_is_kept_runs_and_a_replacement_follows(edge: Edge, tmp_path: Path) -> None:
    caller, stranger = client("caller", edge.caller_ca), client("stranger", authority("Another CA"))
    with edge.envoy(tmp_path) as log:
        assert edge.shown.active is not None
        assert edge.serial() == serial_of(edge.shown.active)
        wait_for(lambda: set(states(edge).values()) == {"Live"}, "all live")
        assert edge.call(caller) == 200
        assert edge.call(stranger) is edge.call(None) is None
        version, begun = edge.replace("second"), timezone.now()
        wait_for(lambda: edge.serial() == serial_of(version), "the new one", 10)
        assert since(begun) < LONGEST_SECONDS
        wait_for(lambda: set(states(edge).values()) == {"Live"}, "all live")
        assert edge.call(caller) == 200

        tokens.revoke(token=edge.token, actor=edge.cast.actor, now=timezone.now())
        edge.replace("third")
        wait_for(lambda: REFUSED in log.read_text("utf-8", "replace"), "a refusal", 20)
        assert edge.serial() == serial_of(version)
        assert edge.call(caller) == 200
    delivered = AuditEvent.objects.filter(action="key.delivered", object_id=edge.shown.pk)
    assert [event.facts["version"] for event in delivered.order_by("at")] == [1, 2]


def test_a_key_that_envoy_does_not_take_is_shown_as_refused_and_the_old_one_runs_on(
    edge: Edge, tmp_path: Path
) -> None:
    with edge.envoy(tmp_path):
        wait_for(lambda: set(states(edge).values()) == {"Live"}, "all live")
        before = edge.serial()
        edge.replace("other", kind="ed448")
        wait_for(lambda: states(edge)["server"] == "Refused", "the refusal", 30)
        assert edge.serial() == before
        version = edge.replace("strong")
        wait_for(lambda: edge.serial() == serial_of(version), "the new one", 10)
        wait_for(lambda: states(edge)["server"] == "Live", "live again")


def test_a_caller_whose_ca_is_no_longer_trusted_is_refused(edge: Edge, tmp_path: Path) -> None:
    newer = authority("Newer Caller CA")
    old, new = client("caller", edge.caller_ca), client("caller", newer)
    with edge.envoy(tmp_path):
        assert (edge.call(old), edge.call(new)) == (200, None)
        edge.keep(newer, name="callers", store="callers", kind="trust")
        wait_for(lambda: edge.call(new) == 200, "the new CA", 10)
        assert edge.call(old) == 200  # both, until the overlap is closed
        Overlap.objects.update(closed_at=timezone.now())
        wait_for(lambda: edge.call(old) is None, "the old CA refused", 10)
        assert edge.call(new) == 200


def test_callers_are_recognised_by_an_intermediate_alone(edge: Edge, tmp_path: Path) -> None:
    issuing = mint("Issuing CA", edge.caller_ca, ca=True, begin=days(-3), end=days(900))
    beside = mint("Other Issuing CA", edge.caller_ca, ca=True, begin=days(-3), end=days(900))
    store = edge.keep(issuing, name="issuing", store="issuing", kind="trust").certificate.store
    Host.objects.filter(pk=edge.host.pk).update(trust_store=store)
    with edge.envoy(tmp_path):
        assert edge.call(client("caller", issuing)) == 200
        assert edge.call(client("caller", beside)) is None


def test_a_backend_of_another_name_or_key_is_not_called(edge: Edge, tmp_path: Path) -> None:
    caller, provider = client("caller", edge.caller_ca), Provider.objects.filter(pk=edge.provider.pk)
    with edge.envoy(tmp_path):
        assert edge.call(caller) == 200
        provider.update(server_name="other.test")
        wait_for(lambda: edge.call(caller) == 503, "the wrong name", 10)
        provider.update(server_name="backend.test")
        wait_for(lambda: edge.call(caller) == 200, "the right name", 10)
        provider.update(spki_pins=["A" * 43 + "="])
        wait_for(lambda: edge.call(caller) == 503, "the wrong pin", 10)
        spki = edge.backend.shown.certificate.public_key().public_bytes(*SPKI)
        provider.update(spki_pins=[base64.b64encode(hashlib.sha256(spki).digest()).decode()])
        wait_for(lambda: edge.call(caller) == 200, "the right pin", 10)


@pytest.mark.parametrize("url", ["https://portal.example.org", "http://127.0.0.1:8000"])
def test_envoy_takes_the_bootstrap_of_several_hosts_on_one_port(
    edge: Edge, settings: Any, tmp_path: Path, url: str
) -> None:
    settings.STOREKEEPER_URL = url
    second = Host.objects.create(
        team=edge.cast.team,
        name="second",
        host_name="second.example.org",
        port=edge.host.port,
        key_certificate=edge.shown,
        client_certificate="off",
    )
    plain = Provider.objects.create(
        team=edge.cast.team, name="plain", host="10.0.0.1", type="on_premise", use_tls=False
    )
    actor, hosts = edge.cast.actor, [edge.host, second]
    registry.edit(gateway=edge.gateway, actor=actor, hosts=hosts, providers=[edge.provider, plain])
    file = tmp_path / "envoy.json"
    file.write_text(bootstrap(edge.gateway, edge.text), "utf-8")
    command = [envoy_program(), "--mode", "validate", "-c", str(file), "--log-level", "error"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr[-2000:]
