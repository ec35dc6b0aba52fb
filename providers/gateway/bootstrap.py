"""The configuration with which an Envoy starts: all that a person writes, and what they take as an example for their own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from providers.gateway.scope import has_trust, name_of_certificate, name_of_trust
from providers.models import Gateway, Host, Provider

PLACEHOLDER = "PUT-THE-TOKEN-HERE"
REFRESH = "2s"
"""How often Envoy asks for each secret; with its own jitter, a new version runs after four seconds at most."""
OLDEST_CONNECTION = "300s"
"""When connections opened with an old certificate are gone."""
SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt"
FILTERS = "envoy.extensions.filters"
TLS = "envoy.extensions.transport_sockets.tls.v3"


def bootstrap(gateway: Gateway, token: str = PLACEHOLDER) -> str:
    """As text in JSON, which Envoy takes as it is."""
    hosts, providers = (
        list(gateway.hosts.order_by("folded_name")),
        list(gateway.providers.order_by("folded_name")),
    )
    by_port: defaultdict[int, list[Host]] = defaultdict(list)
    for host in hosts:
        if host.key_certificate_id:
            by_port[host.port].append(host)
    first = providers[0] if providers else None
    resources = {
        "listeners": [_listener(port, beside, first) for port, beside in by_port.items()],
        "clusters": [_portal(token), *(_cluster(provider) for provider in providers)],
    }
    node = {"id": gateway.pk, "cluster": "gateways"}
    return json.dumps({"node": node, "static_resources": resources}, indent=2)


def _typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def _portal_name() -> str:
    """Envoy asks for the name of the cluster as host, so it is the portal's."""
    return urlsplit(settings.STOREKEEPER_URL).hostname or "localhost"


def _portal(token: str) -> dict[str, Any]:
    """Where the secrets are, with the token on each request, and without the word of a proxy that it was passed on."""
    url, name = urlsplit(settings.STOREKEEPER_URL), _portal_name()
    header = {"key": "authorization", "value": f"Bearer {token}"}
    action = "OVERWRITE_IF_EXISTS_OR_ADD"
    change = {
        "request_mutations": [
            {"append": {"header": header, "append_action": action}},
            {"remove": "x-forwarded-for"},
        ]
    }
    filters = [
        {
            "name": "token",
            "typed_config": _typed(f"{FILTERS}.http.header_mutation.v3.HeaderMutation", mutations=change),
        },
        {"name": "codec", "typed_config": _typed(f"{FILTERS}.http.upstream_codec.v3.UpstreamCodec")},
    ]
    options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    protocol = _typed(options, explicit_http_config={"http_protocol_options": {}}, http_filters=filters)
    cluster = _address(name, name, url.port or (443 if url.scheme == "https" else 80))
    cluster["typed_extension_protocol_options"] = {options: protocol}
    if url.scheme == "https":
        match = [{"san_type": "DNS", "matcher": {"exact": name}}]
        trust = {"trusted_ca": {"filename": SYSTEM_ROOTS}, "match_typed_subject_alt_names": match}
        cluster["transport_socket"] = _tls_upwards({"validation_context": trust}, name)
    return cluster


def _name(provider: Provider) -> str:
    """Never that of the portal's cluster."""
    return f"provider/{provider.name}"


def _cluster(provider: Provider) -> dict[str, Any]:
    cluster = _address(_name(provider), provider.host, provider.port)
    if provider.has_tls:
        cluster["transport_socket"] = _tls_upwards(_secrets(provider), provider.server_name or provider.host)
        limit = {"common_http_protocol_options": {"max_connection_duration": OLDEST_CONNECTION}}
        options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
        protocol = _typed(options, explicit_http_config={"http_protocol_options": {}}, **limit)
        cluster["typed_extension_protocol_options"] = {options: protocol}
    return cluster


def _address(name: str, host: str, port: int) -> dict[str, Any]:
    address = {"socket_address": {"address": host, "port_value": port}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "name": name,
        "type": "STRICT_DNS",
        "dns_lookup_family": "V4_PREFERRED",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
    }


def _tls_upwards(common: dict[str, Any], name: str) -> dict[str, Any]:
    """A session that is resumed would be checked by nobody, so none is."""
    context = _typed(f"{TLS}.UpstreamTlsContext", common_tls_context=common, sni=name, max_session_keys=0)
    return {"name": "tls", "typed_config": context}


def _secrets(user: Host | Provider) -> dict[str, Any]:
    """What is fetched from the portal for it."""
    common: dict[str, Any] = {}
    if user.key_certificate_id:
        common["tls_certificate_sds_secret_configs"] = [_sds(name_of_certificate(user.key_certificate_id))]
    if has_trust(user):
        common["validation_context_sds_secret_config"] = _sds(name_of_trust(user))
    return common


def _sds(name: str) -> dict[str, Any]:
    source = {
        "api_type": "REST",
        "transport_api_version": "V3",
        "cluster_names": [_portal_name()],
        "refresh_delay": REFRESH,
        "request_timeout": "5s",
    }
    return {"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": source}}


def _listener(port: int, hosts: Sequence[Host], provider: Provider | None) -> dict[str, Any]:
    """All hosts of a port; the name that a caller asks for decides between several."""
    listener: dict[str, Any] = {
        "name": f"port {port}",
        "address": {"socket_address": {"address": "0.0.0.0", "port_value": port}},  # noqa: S104
        "filter_chains": [_chain(host, provider, alone=len(hosts) == 1) for host in hosts],
    }
    if len(hosts) > 1:
        inspector = _typed(f"{FILTERS}.listener.tls_inspector.v3.TlsInspector")
        listener["listener_filters"] = [{"name": "tls_inspector", "typed_config": inspector}]
    return listener


def _chain(host: Host, provider: Provider | None, *, alone: bool) -> dict[str, Any]:
    context = _typed(
        f"{TLS}.DownstreamTlsContext",
        common_tls_context=_secrets(host),
        require_client_certificate=host.client_certificate == Host.ClientCertificate.REQUIRED,
        disable_stateless_session_resumption=True,
        disable_stateful_session_resumption=True,
    )
    match = {} if alone else {"filter_chain_match": {"server_names": [host.host_name]}}
    return {
        "name": host.name,
        **match,
        "transport_socket": {"name": "tls", "typed_config": context},
        "filters": [{"name": "http", "typed_config": _manager(host, provider)}],
    }


def _manager(host: Host, provider: Provider | None) -> dict[str, Any]:
    """The backend learns who the caller is from a header that no caller can write."""
    if provider:
        action: dict[str, Any] = {
            "route": {"cluster": _name(provider), "host_rewrite_literal": provider.host}
        }
    else:
        action = {"direct_response": {"status": 200, "body": {"inline_string": f"{host.name} works\n"}}}
    everything = {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **action}]}
    return _typed(
        f"{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=host.name,
        common_http_protocol_options={"max_connection_duration": OLDEST_CONNECTION},
        forward_client_cert_details="SANITIZE_SET",
        set_current_client_cert_details={"subject": True, "dns": True, "uri": True},
        route_config={"name": host.name, "virtual_hosts": [everything]},
        http_filters=[{"name": "router", "typed_config": _typed(f"{FILTERS}.http.router.v3.Router")}],
    )
