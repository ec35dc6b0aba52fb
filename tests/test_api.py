"""The REST API: tokens, roles and teams on every route; the same answers as the pages and the command give."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from portal import api as frame
from portal import tokens, urls
from portal.models import AuditEvent, Membership, Role, Team
from portal.permissions import RANK, Action
from providers import testing
from providers.models import Provider, Rehearsal
from stores import saving
from stores.inspection import inspect
from stores.models import Certificate, Draft, Version
from tests.cast import Cast, client_of, kept
from tests.formats import jks_writer
from tests.formats.tools import PASSWORD
from tests.material import Minted, mint

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("now")]
assert urls.urlpatterns, "the addresses add the routes"
ROOT = "/api/v1"


def operations() -> list[tuple[str, str, Action]]:
    """Method, path and right of every route. A route without our own guard is an error."""
    found = []
    for router in frame.api._get_bound_routers():
        for path, view in router.path_operations.items():
            for operation in view.operations:
                guards = list(operation.auth_callbacks)
                assert len(guards) == 1, f"{path} is not guarded"
                guard = guards[0]
                assert isinstance(guard, frame.may), f"{path} is not guarded"
                found += [(method, f"{ROOT}{path}", guard.action) for method in operation.methods]
    return found


OPERATIONS = operations()


class Program:
    """A program that calls the API with a token."""

    def __init__(self, token: str | None) -> None:
        self.client = Client()
        self.headers = {"Authorization": f"Bearer {token}"} if token is not None else {}

    def __call__(self, method: str, path: str, data: Any = None) -> Any:
        return getattr(self.client, method.lower())(path, data, headers=self.headers)

    def get(self, path: str, **query: str) -> Any:
        return self("GET", ROOT + path, query)

    def post(self, path: str, **data: Any) -> Any:
        return self("POST", ROOT + path, data)


@pytest.fixture
def program(cast: Cast) -> Callable[..., Program]:
    def make(role: Role = Role.EDITOR, team: Team | None = None) -> Program:
        return Program(
            tokens.make(team=team or cast.team, name=f"{role} program", role=role, actor=cast.actor)[1]
        )

    return make


@pytest.fixture
def editor(program: Callable[..., Program]) -> Program:
    return program(Role.EDITOR)


@pytest.fixture
def viewer(program: Callable[..., Program]) -> Program:
    return program(Role.VIEWER)


@pytest.fixture
def root() -> Minted:
    return mint("Example Root", ca=True)


def upload(*chain: Minted, name: str = "orders.pem", key: bool = True) -> SimpleUploadedFile:
    content = b"".join(one.pem for one in chain) + (chain[0].key_pem if key else b"")
    return SimpleUploadedFile(name, content)


def new(*chain: Minted, **more: Any) -> dict[str, Any]:
    return {"store": "key", "store_name": "outbound", "name": "orders-client", "file": upload(*chain)} | more


def filled(path: str, certificate: Certificate) -> str:
    return path.replace("{id}", certificate.pk).replace("{form}", "pem")


@pytest.mark.parametrize(("method", "path", "action"), OPERATIONS)
class TestRefusals:
    def test_without_a_token_nothing(self, method: str, path: str, action: Action, cast: Cast) -> None:
        address = filled(path, kept(cast).certificate)
        for browser in (Program(None), Program("skp_wrong"), Program("")):
            answer = browser(method, address)
            assert answer.status_code == 401
            assert set(answer.json()) == {"code", "message"}
            assert answer["WWW-Authenticate"] == "Bearer"

    def test_a_session_is_no_token(self, method: str, path: str, action: Action, cast: Cast) -> None:
        address = filled(path, kept(cast).certificate)
        assert getattr(client_of(cast.owner), method.lower())(address).status_code == 401

    def test_a_lower_role_may_not(
        self, method: str, path: str, action: Action, cast: Cast, program: Callable[..., Program]
    ) -> None:
        address = filled(path, kept(cast).certificate)
        for role in (Role.VIEWER, Role.EDITOR):
            if RANK[role] < RANK[action.least]:
                answer = program(role)(method, address)
                assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")

    def test_what_belongs_to_others_is_not_there(
        self, method: str, path: str, action: Action, cast: Cast, program: Callable[..., Program]
    ) -> None:
        Membership.objects.create(team=cast.other_team, user=cast.owner, role=Role.OWNER)
        stranger = program(Role.EDITOR, cast.other_team)
        address = filled(path, kept(cast).certificate)
        answer = stranger(method, address)
        if "{id}" in path:
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
            assert stranger(method, path.replace("{id}", "x%00y").replace("{form}", "pem")).status_code == 404
        else:
            assert "orders-client" not in answer.content.decode()


def test_all_routes_are_known() -> None:
    assert {(method, path) for method, path, _ in OPERATIONS} == {
        ("GET", "/api/v1/certificates"), ("POST", "/api/v1/certificates"), ("GET", "/api/v1/certificates/{id}"),
        ("GET", "/api/v1/certificates/{id}/download/{form}"), ("POST", "/api/v1/inspect"), ("GET", "/api/v1/providers"),
    }  # fmt: skip


def test_a_revoked_token_opens_nothing(cast: Cast, viewer: Program) -> None:
    assert viewer.get("/certificates").status_code == 200
    tokens.revoke(token=cast.team.api_tokens.get(), actor=cast.actor, now=cast.team.created_at)
    assert viewer.get("/certificates").json()["code"] == "bad_token"


def test_certificates_page_by_page(cast: Cast, viewer: Program, root: Minted) -> None:
    for number in range(53):
        kept(cast, mint("shared", root, key_name="shared"), name=f"name {number:02}")
    seen, cursor = [], ""
    for _ in range(2):
        answer = viewer.get("/certificates", sort="name", cursor=cursor).json()
        seen += [one["name"] for one in answer["certificates"]]
        cursor = answer["next"]
    assert seen == [f"name {number:02}" for number in range(53)]
    assert cursor == ""


def test_filters_are_those_of_the_page(cast: Cast, viewer: Program, root: Minted) -> None:
    leaf = mint("orders", root)
    kept(cast, leaf)
    kept(cast, mint("short", root, end=3), name="short")
    for query in ({"q": "orders"}, {"q": leaf.sha256}, {"state": "valid"}):
        assert [one["name"] for one in viewer.get("/certificates", **query).json()["certificates"]] == [
            "orders-client"
        ]
    refused = viewer.get("/certificates", state="nonsense")
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid")
    assert "state" in refused.json()["message"]


def test_one_certificate_with_its_versions(cast: Cast, viewer: Program, root: Minted) -> None:
    leaf = mint("orders", root)
    kept(cast, leaf, root)
    version = kept(cast, mint("orders", root, end=500), root)
    Provider.objects.create(team=cast.team, name="orders", host="h", key_certificate=version.certificate)
    found = viewer.get(f"/certificates/{version.certificate_id}").json()
    assert (found["name"], found["state"], found["owner"]) == ("orders-client", "valid", "owner@example.org")
    assert found["store"] == {"id": version.certificate.store_id, "name": "outbound", "kind": "key"}
    assert [use["title"] for use in found["used_by"]] == ["orders"]
    assert [(one["number"], one["state"]) for one in found["versions"]] == [(2, "active"), (1, "superseded")]
    assert found["versions"][1]["certificates"][0]["sha256"] == leaf.sha256
    for secret in (version.original, leaf.key_pem.decode().splitlines()[1]):
        assert secret not in json.dumps(found)


@pytest.mark.parametrize("form", ["pem", "der", "p7b"])
def test_downloads_are_those_of_the_page(cast: Cast, viewer: Program, root: Minted, form: str) -> None:
    certificate = kept(cast, mint("orders", root), root).certificate
    page = client_of(cast.viewer).get(reverse("stores:certificate_download", args=[certificate.pk, form]))
    answer = viewer.get(f"/certificates/{certificate.pk}/download/{form}")
    assert answer.content == page.content
    assert answer["Content-Disposition"] == page["Content-Disposition"]
    assert viewer.get(f"/certificates/{certificate.pk}/download/key").status_code == 422


def test_a_certificate_without_an_active_version_has_no_download(cast: Cast, viewer: Program) -> None:
    certificate = kept(cast, at_once=False).certificate
    assert viewer.get(f"/certificates/{certificate.pk}/download/pem").status_code == 404
    assert viewer.get(f"/certificates/{certificate.pk}").json()["state"] == "staged"


@pytest.mark.parametrize(
    ("content", "store"),
    [
        ("pair", "key"),
        ("certificate", "key"),
        ("certificate", "trust"),
        ("pair", "trust"),
        ("rubbish", "key"),
        ("", "trust"),
        ("large", "key"),
    ],
)
def test_inspection_answers_exactly_as_the_command(
    viewer: Program, tmp_path: Path, capsys: Any, content: str, store: str
) -> None:
    leaf = mint("orders", mint("Example Root", ca=True))
    octets = {
        "pair": leaf.pem + leaf.key_pem,
        "certificate": leaf.pem,
        "rubbish": b"\x00\x01rubbish",
        "": b"",
        "large": b"x" * 1_100_000,
    }[content]
    path = tmp_path / "orders.pem"
    path.write_bytes(octets)
    with pytest.raises(SystemExit):
        call_command("inspect", str(path), store=store)
    said = json.loads(capsys.readouterr().out)
    answer = viewer.post("/inspect", store=store, file=SimpleUploadedFile("orders.pem", octets))
    assert answer.status_code == 200
    assert answer.json() | {"file": ""} == said | {"file": ""}
    assert answer.json()["file"] == "orders.pem"
    assert not Draft.objects.exists()


def test_inspection_with_key_file_and_password(viewer: Program) -> None:
    leaf, other = mint("orders"), mint("billing")
    two_keys = jks_writer.store(jks_writer.key("first", [leaf]), jks_writer.key("second", [other]))
    pair = viewer.post(
        "/inspect",
        store="key",
        file=upload(leaf, key=False),
        key_file=SimpleUploadedFile("k.key", leaf.key_pem),
    )
    assert pair.json()["accepted"]
    file = {"store": "key", "password": PASSWORD}
    several = viewer.post("/inspect", file=SimpleUploadedFile("two.jks", two_keys), **file)
    assert several.json()["code"] == "several_keys"
    chosen = viewer.post("/inspect", file=SimpleUploadedFile("two.jks", two_keys), alias="second", **file)
    assert chosen.json()["accepted"]
    wrong = viewer.post(
        "/inspect", file=SimpleUploadedFile("two.jks", two_keys), store="key", password="Secret-4711"
    )
    assert wrong.json()["code"] == "wrong_password"
    assert "Secret-4711" not in wrong.content.decode()


def test_an_upload_becomes_a_certificate(cast: Cast, editor: Program, root: Minted) -> None:
    answer = editor.post("/certificates", **new(mint("orders", root), description="for orders"))
    assert answer.status_code == 201
    found = answer.json()
    version = Version.objects.get()
    assert (found["id"], found["name"], found["description"]) == (
        version.certificate_id,
        "orders-client",
        "for orders",
    )
    assert (version.state, version.created_by) == ("active", cast.owner)
    event = AuditEvent.objects.get(action="version.activated")
    assert (event.actor, event.actor_name) == (cast.owner, "owner@example.org by token editor program")


def test_a_name_that_is_there_is_replaced_only_when_asked(editor: Program, root: Minted) -> None:
    editor.post("/certificates", **new(mint("orders", root)))
    refused = editor.post("/certificates", **new(mint("orders", root, end=500), name="Orders-Client"))
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")
    assert Version.objects.count() == 1
    done = editor.post("/certificates", **new(mint("orders", root, end=500), replace="true"))
    assert done.status_code == 201
    assert [one["state"] for one in done.json()["versions"]] == ["active", "superseded"]
    assert Certificate.objects.count() == 1


def test_a_name_that_is_taken_while_the_file_is_read_is_not_replaced(
    editor: Program, root: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = inspect

    def meanwhile(*args: Any) -> Any:
        monkeypatch.setattr(saving, "inspect", plain)
        assert editor.post("/certificates", **new(mint("other", root))).status_code == 201
        return plain(*args)

    monkeypatch.setattr(saving, "inspect", meanwhile)
    refused = editor.post("/certificates", **new(mint("orders", root)))
    assert (refused.status_code, refused.json()["code"]) == (409, "name_taken")
    assert "replace=true" in refused.json()["message"]
    assert Version.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_version_may_be_tried_first(
    cast: Cast, editor: Program, root: Minted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(testing, "queue", lambda: None)
    first = editor.post("/certificates", **new(mint("orders", root))).json()
    assert (first["rehearsal"], first["not_rehearsed"]) == ("", "")
    again = new(mint("orders", root, end=500)) | {"replace": "true", "rehearse": "true"}
    alone = editor.post("/certificates", **again)
    assert (alone.status_code, alone.json()["rehearsal"]) == (201, "")
    assert "No provider uses this certificate yet" in alone.json()["not_rehearsed"]
    Provider.objects.create(
        team=cast.team, name="orders", host="orders.example.org", key_certificate_id=first["id"]
    )
    again = new(mint("orders", root, end=600)) | {"replace": "true", "rehearse": "true"}
    tried = editor.post("/certificates", **again).json()
    assert [one["state"] for one in tried["versions"]] == ["staged", "staged", "active"]
    rehearsal = Rehearsal.objects.get()
    assert tried["rehearsal"].endswith(reverse("providers:rehearsal", args=[rehearsal.pk]))
    assert tried["rehearsal"].startswith("http")
    assert (rehearsal.version.number, rehearsal.asked_by) == (3, cast.owner)


def test_an_upload_may_wait(editor: Program, root: Minted) -> None:
    first = editor.post("/certificates", **new(mint("one", root), name="one", at_once="false"))
    assert first.json()["versions"][0]["state"] == "staged"
    second = editor.post(
        "/certificates", **new(mint("two", root), name="two", activate_at="2026-06-03T10:00:00Z")
    )
    assert second.json()["versions"][0]["activate_at"] == "2026-06-03T10:00:00Z"
    for instant, status in (("2026-06-01T11:00:00Z", 400), ("2026-06-03T10:00:00", 422), ("soon", 422)):
        assert (
            editor.post(
                "/certificates", **new(mint("three", root), name="three", activate_at=instant)
            ).status_code
            == status
        )
    assert not Certificate.objects.filter(name="three").exists()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"file": SimpleUploadedFile("x.pem", b"hello")}, "unsupported_format", "x.pem"),
        ({"store": "nonsense"}, "invalid", "store"),
        ({"name": ""}, "invalid", "name"),
        ({"name": "a\u202eb"}, "invalid", "invisible"),
        ({"name": "n" * 101}, "invalid", "100"),
        ({"store_name": "a\x00b"}, "invalid", "invisible"),
        ({"description": "d" * 2001}, "invalid", "description"),
        ({"description": "a\x00b"}, "invalid", "description"),
        ({"file": ""}, "invalid", "file"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_sentence(
    editor: Program, root: Minted, change: dict[str, Any], code: str, says: str
) -> None:
    answer = editor.post("/certificates", **new(mint("orders", root), **change))
    assert answer.status_code in (400, 422)
    assert answer.json()["code"] == code
    assert says in answer.json()["message"]
    assert not Certificate.objects.exists()


def test_a_body_that_is_no_form_is_refused(editor: Program) -> None:
    headers = {**editor.headers, "Content-Type": "multipart/form-data; boundary=x"}
    answer = editor.client.generic(
        "POST",
        f"{ROOT}/certificates",
        b"rubbish",
        headers=headers,
        content_type="multipart/form-data; boundary=x",
    )
    assert answer.status_code in (400, 422)
    assert set(json.loads(answer.content)) == {"code", "message"}


def test_providers_tell_addresses_to_editors_alone(cast: Cast, editor: Program, viewer: Program) -> None:
    Provider.objects.create(
        team=cast.team,
        name="orders",
        host="secret.example.org",
        authentication="basic",
        user_name="robot",
        sealed_password=b"x",
        sealed_with="t",
    )
    (seen,) = editor.get("/providers").json()["providers"]
    assert (seen["address"], seen["user_name"]) == ("secret.example.org:443", "robot")
    (hidden,) = viewer.get("/providers").json()["providers"]
    assert (hidden["name"], hidden["address"], hidden["user_name"]) == ("orders", None, None)
    assert viewer.get("/providers", q="secret.example").json()["providers"] == []
    assert "password" not in json.dumps(seen)


def test_an_address_that_is_not_there_is_answered_as_json(viewer: Program) -> None:
    answer = viewer.get("/nothing")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_the_page_that_describes_it(cast: Cast) -> None:
    assert Client().get(f"{ROOT}/").status_code == 302
    assert Client().get(f"{ROOT}/openapi.json").status_code == 302
    browser = client_of(cast.viewer)
    page = browser.get(f"{ROOT}/").content.decode()
    for _, path, _ in OPERATIONS:
        assert path in page
    assert "//cdn" not in page
    schema = json.loads(browser.get(f"{ROOT}/openapi.json").content)
    assert cast_to_paths(schema) == {path for _, path, _ in OPERATIONS}


def cast_to_paths(schema: dict[str, Any]) -> set[str]:
    return set(cast(dict[str, Any], schema["paths"]))
