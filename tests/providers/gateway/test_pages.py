"""The pages of gateways: registering, tokens shown once, what runs there, and what each role sees."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.errors import Conflict, PortalError
from portal.models import AuditEvent
from providers.gateway import registry, tokens
from providers.gateway.bootstrap import PLACEHOLDER
from providers.models import Gateway, GatewayToken, Host
from tests.cast import Cast, client_of
from tests.providers.backends import authority
from tests.providers.gateway.edge import Edge
from tests.providers.gateway.test_discovery import ask, certificate

pytestmark = pytest.mark.django_db


@pytest.fixture
def edge(cast: Cast) -> Iterator[Edge]:
    made = Edge(cast)
    yield made
    made.close()


@pytest.fixture
def host(cast: Cast) -> Host:
    return Host.objects.create(team=cast.team, name="api", host_name="api.example.org")


def said(answer: Any) -> str:
    return html.unescape(answer.content.decode())


def actions() -> list[str]:
    rows = AuditEvent.objects.filter(action__startswith="gateway").order_by("at", "id")
    return list(rows.values_list("action", flat=True))


class TestRegistering:
    def test_an_editor_registers_edits_and_an_owner_deletes(self, cast: Cast, host: Host) -> None:
        browser = client_of(cast.editor)
        browser.post("/gateways/new/", {"name": "edge", "hosts": [host.pk]})
        gateway = Gateway.objects.get()
        assert list(gateway.hosts.all()) == [host]
        browser.post(f"/gateways/{gateway.pk}/edit/", {"name": "edge 2", "hosts": [host.pk]})
        browser.post(f"/gateways/{gateway.pk}/edit/", {"name": "edge 2", "hosts": [host.pk]})
        assert "edge 2" in said(browser.get("/gateways/"))
        client_of(cast.owner).post(f"/gateways/{gateway.pk}/delete/")
        assert not Gateway.objects.exists()
        assert actions() == ["gateway.created", "gateway.edited", "gateway.deleted"]

    def test_a_name_is_taken_once(self, cast: Cast, host: Host) -> None:
        browser = client_of(cast.editor)
        browser.post("/gateways/new/", {"name": "edge", "hosts": [host.pk]})
        answer = browser.post("/gateways/new/", {"name": "EDGE", "hosts": [host.pk]})
        assert (answer.status_code, Gateway.objects.count()) == (409, 1)
        assert "Your team has a gateway “EDGE” already" in said(answer)

    def test_one_that_serves_nothing_is_refused(self, cast: Cast) -> None:
        answer = client_of(cast.editor).post("/gateways/new/", {"name": "edge"})
        assert answer.status_code == 422
        assert "Choose at least one host or provider" in said(answer)

    def test_another_teams_host_cannot_be_chosen(self, cast: Cast) -> None:
        theirs = Host.objects.create(team=cast.other_team, name="theirs", host_name="theirs.example.org")
        answer = client_of(cast.editor).post("/gateways/new/", {"name": "edge", "hosts": [theirs.pk]})
        assert (answer.status_code, Gateway.objects.count()) == (422, 0)
        gateway = Gateway(team=cast.team, name="edge")
        with pytest.raises(PortalError, match="only what is your team's"):
            registry.register(gateway=gateway, hosts=[theirs], providers=[], actor=cast.actor)

    def test_what_was_deleted_meanwhile_is_said(self, cast: Cast, edge: Edge) -> None:
        gateway = Gateway.objects.get()
        registry.delete(gateway=Gateway.objects.get(), actor=cast.actor)
        with pytest.raises(Conflict, match="deleted meanwhile"):
            registry.edit(gateway=gateway, hosts=[edge.host], providers=[], actor=cast.actor)
        with pytest.raises(Conflict, match="deleted meanwhile"):
            tokens.make(gateway=gateway, actor=cast.actor, now=timezone.now())


class TestTokens:
    def test_one_is_shown_once_and_stands_in_the_bootstrap(self, cast: Cast, edge: Edge) -> None:
        browser = client_of(cast.owner)
        answer = browser.post(f"/gateways/{edge.gateway.pk}/tokens/new/")
        token = answer.context["made"]
        assert token.startswith(tokens.PREFIX)
        assert said(answer).count(token) >= 2
        assert token in answer.context["bootstrap"]
        assert token not in said(browser.get(edge.gateway.get_absolute_url()))
        assert not GatewayToken.objects.filter(token_sha256__contains=token).exists()
        assert not any(token in str(event.facts) for event in AuditEvent.objects.all())

    def test_a_third_is_refused_until_one_is_revoked(self, cast: Cast, edge: Edge) -> None:
        browser, make = client_of(cast.owner), f"/gateways/{edge.gateway.pk}/tokens/new/"
        assert [browser.post(make).status_code for _ in range(2)] == [200, 409]
        for _ in range(2):
            browser.post(f"/gateways/tokens/{edge.token.pk}/revoke/")
        assert browser.post(make).status_code == 200
        assert actions().count("gateway_token.revoked") == 1


class TestPage:
    def test_who_may_not_see_addresses_sees_no_bootstrap(self, cast: Cast, edge: Edge) -> None:
        page = said(client_of(cast.viewer).get(edge.gateway.get_absolute_url()))
        assert edge.host.host_name not in page
        assert PLACEHOLDER not in page
        assert "Make a token" not in page
        assert PLACEHOLDER in said(client_of(cast.editor).get(edge.gateway.get_absolute_url()))

    def test_what_the_gateway_said_is_shown_as_text(self, cast: Cast, edge: Edge) -> None:
        nonce = ask(edge, certificate(edge)).json()["nonce"]
        why = {"response_nonce": nonce, "error_detail": {"message": "<b>no\u202e</b>"}}
        ask(edge, certificate(edge), **why)
        content = client_of(cast.owner).get(edge.gateway.get_absolute_url()).content.decode()
        assert "Refused" in content
        assert "&lt;b&gt;no" in content
        assert "<b>no" not in content

    def test_the_certificates_page_says_which_version_runs_where(self, cast: Cast, edge: Edge) -> None:
        browser = client_of(cast.owner)
        address = reverse("stores:certificate_used_by", args=[edge.shown.pk])
        assert "Runs on" not in said(browser.get(address))
        ask(edge, certificate(edge), runs=ask(edge, certificate(edge)).json()["version_info"])
        edge.replace("second")
        page = said(browser.get(address))
        assert "version 1, since" in page
        assert "active is 2" in page

    def test_it_asks_as_little_for_many_as_for_one(
        self, cast: Cast, edge: Edge, django_assert_max_num_queries: Any
    ) -> None:
        for number in range(20):
            store = edge.keep(authority(f"CA {number}"), name="ca", store=f"callers {number}", kind="trust")
            host = Host.objects.create(
                team=cast.team,
                name=f"host {number}",
                host_name=f"h{number}.example.org",
                key_certificate=edge.shown,
                trust_store=store.certificate.store,
            )
            edge.gateway.hosts.add(host)
        browser = client_of(cast.owner)
        with django_assert_max_num_queries(24):
            browser.get(edge.gateway.get_absolute_url())
        with django_assert_max_num_queries(13):
            browser.get("/gateways/")

    def test_the_bootstrap_leads_to_the_portal_by_its_own_name(
        self, cast: Cast, edge: Edge, settings: Any
    ) -> None:
        settings.STOREKEEPER_URL = "https://portal.example.org"
        page = client_of(cast.editor).get(edge.gateway.get_absolute_url())
        portal = json.loads(page.context["bootstrap"])["static_resources"]["clusters"][0]
        tls = portal["transport_socket"]["typed_config"]
        trust = tls["common_tls_context"]["validation_context"]
        assert (portal["name"], tls["sni"]) == ("portal.example.org", "portal.example.org")
        assert trust["match_typed_subject_alt_names"][0]["matcher"] == {"exact": "portal.example.org"}
