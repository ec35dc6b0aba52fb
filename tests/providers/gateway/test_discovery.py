"""What the discovery of secrets answers, to whom, and what it costs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal import vault
from portal.errors import Conflict
from portal.models import AuditEvent
from providers.gateway import discovery, registry, tokens
from providers.gateway.envoy import TYPE_URL
from providers.gateway.standing import UNSAID, running, standings
from providers.models import Gateway, GatewaySecret, Host, Provider
from stores.models import Version
from tests.cast import Cast, kept
from tests.material import mint
from tests.providers.backends import authority
from tests.providers.gateway.edge import Edge

pytestmark = pytest.mark.django_db
ADDRESS = "/v3/discovery:secrets"


@pytest.fixture
def edge(cast: Cast) -> Iterator[Edge]:
    made = Edge(cast)
    yield made
    made.close()


def post(edge: Edge, body: Any = None, *, token: str | None = None, **extra: Any) -> Any:
    """The answer to a request of the gateway, from this machine unless `extra` says otherwise."""
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    extra.setdefault("HTTP_AUTHORIZATION", f"Bearer {edge.text if token is None else token}")
    return Client().post(ADDRESS, content, content_type="application/json", **extra)


def ask(edge: Edge, *names: str, runs: str = "", **more: Any) -> Any:
    return post(edge, {"resource_names": names, "version_info": runs, "type_url": TYPE_URL, **more})


def certificate(edge: Edge) -> str:
    return f"certificate/{edge.shown.pk}"


def standing(edge: Edge, name: str, *, later: dt.timedelta = dt.timedelta()) -> Any:
    found = standings(edge.gateway, timezone.now() + later)
    return next(one for one in found if one.name == name)


class TestAnswers:
    def test_a_certificate_comes_with_its_chain_and_key(self, edge: Edge) -> None:
        answer = ask(edge, certificate(edge)).json()
        (secret,) = answer["resources"]
        assert (answer["type_url"], secret["@type"], secret["name"]) == (
            TYPE_URL,
            TYPE_URL,
            certificate(edge),
        )
        shown = secret["tls_certificate"]
        assert shown["certificate_chain"]["inline_string"].count("BEGIN CERTIFICATE") == 2
        assert shown["private_key"]["inline_string"].startswith("-----BEGIN PRIVATE KEY-----")

    def test_a_host_recognises_callers_by_its_trust_store_alone(self, edge: Edge) -> None:
        context = ask(edge, f"trust/{edge.host.pk}").json()["resources"][0]["validation_context"]
        assert context == {
            "trusted_ca": {"inline_string": edge.caller_ca.pem.decode()},
            "trust_chain_verification": "VERIFY_TRUST_CHAIN",
        }

    def test_a_providers_server_is_held_to_its_name_and_pins(self, edge: Edge) -> None:
        Provider.objects.filter(pk=edge.provider.pk).update(spki_pins=["A" * 43 + "="])
        context = ask(edge, f"trust/{edge.provider.pk}").json()["resources"][0]["validation_context"]
        assert context["match_typed_subject_alt_names"] == [
            {"san_type": "DNS", "matcher": {"exact": "backend.test"}}
        ]
        assert context["verify_certificate_spki"] == ["A" * 43 + "="]

    def test_an_address_in_place_of_a_name_is_matched_as_one(self, edge: Edge) -> None:
        Provider.objects.filter(pk=edge.provider.pk).update(server_name="")
        context = ask(edge, f"trust/{edge.provider.pk}").json()["resources"][0]["validation_context"]
        assert context["match_typed_subject_alt_names"] == [
            {"san_type": "IP_ADDRESS", "matcher": {"exact": "127.0.0.1"}}
        ]

    def test_old_and_new_ca_are_both_trusted_while_they_overlap(self, edge: Edge) -> None:
        before = ask(edge, f"trust/{edge.host.pk}").json()["version_info"]
        newer = authority("Newer Caller CA")
        edge.keep(newer, name="callers", store="callers", kind="trust")
        answer = ask(edge, f"trust/{edge.host.pk}").json()
        text = answer["resources"][0]["validation_context"]["trusted_ca"]["inline_string"]
        assert answer["version_info"] != before
        assert newer.pem.decode() in text
        assert edge.caller_ca.pem.decode() in text

    def test_without_names_all_that_is_needed_is_sent(self, edge: Edge) -> None:
        names = {one["name"] for one in post(edge).json()["resources"]}
        assert names == {
            certificate(edge),
            f"certificate/{edge.provider.key_certificate_id}",
            f"trust/{edge.host.pk}",
            f"trust/{edge.provider.pk}",
        }

    def test_names_of_json_printers_are_understood(self, edge: Edge) -> None:
        answer = post(edge, {"resourceNames": [certificate(edge)], "typeUrl": TYPE_URL})
        assert (
            post(
                edge, {"resourceNames": [certificate(edge)], "versionInfo": answer.json()["version_info"]}
            ).status_code
            == 304
        )

    def test_what_is_staged_is_not_served(self, edge: Edge) -> None:
        before = ask(edge, certificate(edge)).json()["version_info"]
        leaf = mint("staged", edge.server_ca, end=timezone.now() + dt.timedelta(days=90))
        kept(edge.cast, leaf, name="server", store="inbound", now=timezone.now(), at_once=False)
        assert ask(edge, certificate(edge), runs=before).status_code == 304

    def test_what_has_ended_stays_served(self, edge: Edge) -> None:
        Version.objects.filter(certificate=edge.shown).update(stage="expired", fails_at=timezone.now())
        assert ask(edge, certificate(edge)).status_code == 200

    def test_an_empty_trust_store_is_never_served_as_trust_in_all(self, edge: Edge) -> None:
        Version.objects.filter(certificate__store=edge.host.trust_store).update(state="superseded")
        assert ask(edge, f"trust/{edge.host.pk}").status_code == 404
        assert standing(edge, f"trust/{edge.host.pk}").word == "Nothing to serve"


class TestUnchanged:
    def test_it_opens_no_key_and_writes_nothing(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        names = (certificate(edge), f"trust/{edge.host.pk}", f"trust/{edge.provider.pk}")
        for name in names:
            runs = ask(edge, name).json()["version_info"]
            assert ask(edge, name, runs=runs).status_code == 304  # says that it runs
            monkeypatch.setattr(vault, "open_sealed", lambda *_: pytest.fail("a key was opened"))
            with CaptureQueriesContext(connection) as counted:
                answer = ask(edge, name, runs=runs)
            monkeypatch.undo()
            asked = [query["sql"] for query in counted.captured_queries]
            assert answer.status_code == 304
            assert answer.content == b""
            assert len(asked) <= 5
            assert all(sql.startswith("SELECT") for sql in asked)

    def test_several_at_once_have_a_version_of_their_own(self, edge: Edge) -> None:
        runs = post(edge).json()["version_info"]
        assert post(edge, {"version_info": runs}).status_code == 304
        assert {one.word for one in standings(edge.gateway, timezone.now())} == {"Live"}
        edge.replace("second")
        assert post(edge, {"version_info": runs}).status_code == 200


class TestWhatRuns:
    def test_a_version_is_live_once_the_gateway_names_it(self, edge: Edge) -> None:
        name = certificate(edge)
        assert standing(edge, name).word == "Not fetched yet"
        runs = ask(edge, name).json()["version_info"]
        assert standing(edge, name).word == "On its way"
        ask(edge, name, runs=runs)
        assert standing(edge, name).word == "Live"
        assert standing(edge, name).runs == edge.shown.active
        assert [(one.title, one.number) for one in running(edge.shown)] == [("edge", 1)]

    def test_who_no_longer_shows_it_is_not_said_to_run_it(self, edge: Edge) -> None:
        ask(edge, certificate(edge))
        assert len(running(edge.shown)) == 1
        registry.edit(gateway=edge.gateway, hosts=[], providers=[edge.provider], actor=edge.cast.actor)
        assert running(edge.shown) == []

    def test_what_it_runs_is_known_again_though_it_was_forgotten_here(self, edge: Edge) -> None:
        name = certificate(edge)
        runs = ask(edge, name).json()["version_info"]
        GatewaySecret.objects.all().delete()
        assert ask(edge, name, runs=runs).status_code == 304
        assert standing(edge, name).word == "Live"

    def test_a_gateway_that_still_runs_the_old_one_lags(self, edge: Edge) -> None:
        name = certificate(edge)
        ask(edge, name, runs=ask(edge, name).json()["version_info"])
        edge.replace("second")
        found = standing(edge, name, later=dt.timedelta(minutes=3))
        assert (found.word, found.active.number, found.runs.number) == ("Lags", 2, 1)

    def test_a_refusal_is_kept_in_the_gateways_words_and_not_sent_again(self, edge: Edge) -> None:
        name = certificate(edge)
        runs = ask(edge, name).json()["version_info"]
        ask(edge, name, runs=runs)
        edge.replace("second")
        nonce = ask(edge, name, runs=runs).json()["nonce"]
        said = {"response_nonce": nonce, "error_detail": {"code": 13, "message": "no\0 good \ud800"}}
        assert ask(edge, name, runs=runs, **said).status_code == 304
        found = standing(edge, name)
        assert (found.word, found.why, found.runs.number) == (
            "Refused",
            "no\N{REPLACEMENT CHARACTER} good ?",
            1,
        )
        edge.replace("third")
        assert ask(edge, name, runs=runs, **said).status_code == 200
        assert standing(edge, name).word == "On its way"

    def test_who_asks_again_and_again_has_refused_it(self, edge: Edge) -> None:
        name = certificate(edge)
        runs = ask(edge, name).json()["version_info"]
        ask(edge, name, runs=runs)
        edge.replace("second")
        for _ in range(4):
            ask(edge, name, runs=runs)
        assert (standing(edge, name).word, standing(edge, name).why) == ("Refused", UNSAID)

    def test_what_is_sent_again_differs_in_its_octets_alone(self, edge: Edge) -> None:
        name = certificate(edge)
        answers = [ask(edge, name).json() for _ in range(3)]
        first, second, third = (one["resources"][0]["tls_certificate"] for one in answers)
        assert first == third != second
        assert (
            second["certificate_chain"]["inline_string"].strip()
            == first["certificate_chain"]["inline_string"].strip()
        )
        assert len({one["version_info"] for one in answers}) == 1

    def test_each_new_version_is_audited_once(self, edge: Edge) -> None:
        name = certificate(edge)
        for _ in range(3):
            ask(edge, name)
        version = edge.replace("second")
        for _ in range(3):
            ask(edge, name)
        events = AuditEvent.objects.filter(action="key.delivered", object_id=edge.shown.pk).order_by(
            "at", "id"
        )
        assert [event.facts["version"] for event in events] == [1, 2]
        assert events[0].actor_name == "gateway edge"
        assert events[1].facts["sha256"] == version.chain.all()[0].sha256

    def test_that_it_was_heard_of_is_kept(self, edge: Edge) -> None:
        ask(edge, certificate(edge))
        gateway = Gateway.objects.get(pk=edge.gateway.pk)
        assert gateway.first_heard_at == gateway.last_heard_at is not None
        assert gateway.tokens.get().last_used_at == gateway.last_heard_at


class TestRefusals:
    def test_what_is_anothers_looks_like_what_does_not_exist(self, edge: Edge) -> None:
        other = Cast(**{**vars(edge.cast), "team": edge.cast.other_team})
        theirs = kept(other, name="theirs", store="theirs", now=timezone.now())
        beside = kept(edge.cast, name="beside", store="beside", now=timezone.now())
        team, trust = edge.cast.team, {"trust_store": edge.host.trust_store}
        shown = {"key_certificate": beside.certificate}
        host = Host.objects.create(team=team, name="b", host_name="b.example.org", **shown, **trust)
        provider = Provider.objects.create(team=team, name="b", host="b.example.org")
        names = [f"certificate/{one.certificate_id}" for one in (theirs, beside)]
        names += [f"trust/{host.pk}", f"trust/{provider.pk}"]
        names += ["certificate/nosuchthing1", "trust/x", "", "\0", "\ud800", "certificate/" + "a" * 10_000]
        answers = {(answer.status_code, answer.content) for answer in (ask(edge, name) for name in names)}
        assert len(answers) == 1
        assert {status for status, _ in answers} == {404}
        (one,) = ask(edge, certificate(edge), *names).json()["resources"]
        assert one["name"] == certificate(edge)

    def test_what_it_no_longer_serves_it_is_no_longer_sent(self, edge: Edge) -> None:
        assert ask(edge, certificate(edge)).status_code == 200
        registry.edit(gateway=edge.gateway, hosts=[], providers=[edge.provider], actor=edge.cast.actor)
        assert ask(edge, certificate(edge)).status_code == 404

    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer skg_wrong", "Basic {}", "Bearer skp_{}", "Bearer \udcff"]
    )
    def test_without_a_working_token_there_is_nothing(self, edge: Edge, header: str) -> None:
        answer = post(edge, HTTP_AUTHORIZATION=header.format(edge.text))
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")

    def test_two_tokens_work_at_once_and_a_revoked_one_no_longer(self, edge: Edge) -> None:
        _, second = edge.make_token()
        assert [post(edge, token=one).status_code for one in (edge.text, second)] == [200, 200]
        with pytest.raises(Conflict, match="Two tokens work already"):
            edge.make_token()
        tokens.revoke(token=edge.token, actor=edge.cast.actor, now=timezone.now())
        assert [post(edge, token=one).status_code for one in (edge.text, second)] == [401, 200]

    @pytest.mark.parametrize(
        ("how", "status"),
        [
            ({"REMOTE_ADDR": "192.0.2.7"}, 403),
            ({"REMOTE_ADDR": ""}, 403),
            ({"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 403),
            ({"REMOTE_ADDR": "::1"}, 200),
            ({"REMOTE_ADDR": "192.0.2.7", "secure": True}, 200),
        ],
    )
    def test_keys_go_over_tls_or_stay_on_this_machine(
        self, edge: Edge, how: dict[str, Any], status: int
    ) -> None:
        answer = post(edge, **how)
        assert answer.status_code == status
        assert status == 200 or "over TLS" in answer.json()["message"]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"[" * 100_000,
            b"1" * 10_000,
            b'{"resource_names": "all"}',
            b'{"resource_names": [1]}',
            b'{"version_info": 1}',
            b'{"error_detail": "no"}',
            b'{"error_detail": {"message": {}}}',
            b'{"type_url": "type.googleapis.com/envoy.config.cluster.v3.Cluster"}',
        ],
    )
    def test_what_cannot_be_read_is_refused_in_words(self, edge: Edge, body: bytes) -> None:
        answer = post(edge, body)
        assert (answer.status_code, answer.json()["code"]) == (400, "unreadable")

    def test_a_million_names_are_refused_before_they_are_read(self, edge: Edge) -> None:
        body = json.dumps({"resource_names": [f"trust/{number}" for number in range(1_000_000)]}).encode()
        with CaptureQueriesContext(connection) as counted:
            answer = post(edge, body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_long")
        assert len(counted.captured_queries) <= 3
        many = ask(edge, *(f"trust/{number}" for number in range(discovery.MOST_NAMES + 1)))
        assert (many.status_code, many.json()["code"]) == (400, "too_many_names")

    def test_a_key_that_does_not_open_is_said_and_nothing_is_noted(self, edge: Edge) -> None:
        Version.objects.filter(certificate=edge.shown).update(sealed_key=b"broken")
        answer = ask(edge, certificate(edge))
        assert (answer.status_code, answer.json()["code"]) == (503, "key_does_not_open")
        assert not GatewaySecret.objects.exists()

    def test_a_page_of_it_there_is_not(self, edge: Edge) -> None:
        assert Client().get(ADDRESS).status_code == 405
