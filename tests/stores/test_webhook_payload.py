"""What a webhook is told, in every format: by the schema that is served, within the limits of the chats, and harmless."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from portal.ids import digest
from providers.models import Provider
from stores import notices
from stores.models import IssuerNote, Notice
from stores.notices.delivery import CHANNELS, deliver
from stores.notices.payload import LONGEST_CHAT
from tests.cast import Cast
from tests.material import NOW
from tests.receiver import Receiver, receiving
from tests.running import ROOT
from tests.stores.hooks import hooked
from tests.stores.test_notices import due
from tests.stores.watched import Link

pytestmark = pytest.mark.usefixtures("now")
SCHEMA = json.loads(Path(ROOT, "stores/static/stores/webhook.schema.json").read_text("utf-8"))
HOSTILE = "<!channel> @all [here](https://evil.example) <https://evil.example|x>\u202e"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def told(receiver: Receiver) -> Any:
    """What the one message said."""
    deliver(NOW)
    (request,) = receiver.requests
    return json.loads(request.body)


def tell(
    cast: Cast, number: int = 0, title: str = "Orders API shows a new certificate", text: str = "t"
) -> None:
    notices.tell(team=cast.team, people=[cast.owner], key=f"k/{number}", title=title, text=text, url="/providers/x/", now=NOW)  # fmt: skip


def note(cast: Cast, text: str) -> None:
    IssuerNote.objects.create(
        team=cast.team, issuer="CN=Somebody", issuer_sha256=digest("CN=Somebody"), text=text, updated_at=NOW
    )  # fmt: skip


class TestStandard:
    def test_it_says_all_of_a_certificate(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        note(cast, "Ask pki@example.org.")
        version = due(cast.team, Link("orders", end=90), Link("Issuing CA 2", end=5, life=3000))
        said = told(receiver)
        jsonschema.validate(said, SCHEMA, format_checker=jsonschema.FormatChecker())
        certificate, provider = version.certificate, Provider.objects.get()
        assert said["type"] == "portal.notices"
        assert said["data"]["team"] == {"id": cast.team.pk, "name": "Payments"}
        assert said["data"]["items"] == [
            {
                "kind": "certificate",
                "headline": "orders-client fails in 5 days",
                "stage": "urgent",
                "certificate": {
                    "id": certificate.pk,
                    "name": "orders-client",
                    "url": f"http://localhost:8000{certificate.get_absolute_url()}",
                },
                "store": {"id": certificate.store_id, "name": "key store", "kind": "key"},
                "fails_at": "2026-06-06T12:00:00+00:00",
                "because": {
                    "text": "because Issuing CA 2, a link of its chain, ends",
                    "certificate": "Issuing CA 2",
                },
                "also": [],
                "used_by": [
                    {
                        "kind": "provider",
                        "name": "orders-client API",
                        "url": f"http://localhost:8000{provider.get_absolute_url()}",
                    }
                ],
                "used_by_count": 1,
                "issuer": "CN=Somebody",
                "renewal": "Ask pki@example.org.",
                "action": "replace",
                "action_url": f"http://localhost:8000/certificates/{certificate.pk}/replace/",
            }
        ]

    def test_of_everything_else_and_of_bundles_too_by_its_schema(
        self, cast: Cast, receiver: Receiver
    ) -> None:
        hooked(cast, receiver)
        tell(cast)
        roots = [Link("Root A", end=5, life=3000), Link("Root B", end=6, life=3000)]
        due(cast.team, *roots, kind="trust", name="partner-cas", used=False)
        due(cast.team, name=HOSTILE[:60], used=False)
        said = told(receiver)
        jsonschema.validate(said, SCHEMA)
        bundle = next(item for item in said["data"]["items"] if item.get("also"))
        assert bundle["also"][0]["certificate"] == "Root B"
        assert (bundle["action"], bundle["issuer"]) == ("delete", "")
        assert bundle["action_url"] == bundle["certificate"]["url"]
        message = next(item for item in said["data"]["items"] if item["kind"] == "message")
        assert message["url"] == "http://localhost:8000/providers/x/"

    def test_the_schema_is_one_and_refuses_what_is_none(self) -> None:
        jsonschema.Draft202012Validator.check_schema(SCHEMA)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"type": "portal.notices", "timestamp": "x", "data": {"items": []}}, SCHEMA)

    def test_no_host_name_of_a_provider_and_few_of_many_users(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        version = due(cast.team)
        Provider.objects.bulk_create(
            Provider(
                team=cast.team, name=f"p{number:03}", host="inside.example.net", key_certificate=version.certificate
            )
            for number in range(100)
        )  # fmt: skip
        said = told(receiver)
        jsonschema.validate(said, SCHEMA)
        assert said["data"]["items"][0]["used_by_count"] == 101
        for hidden in (b"h.example.org", b"inside.example.net"):
            assert hidden not in receiver.requests[0].body


class TestDocumented:
    """What docs/webhooks.md shows is what happens."""

    def block(self, language: str) -> str:
        found = re.search(
            rf"```{language}\n(.*?)```", Path(ROOT, "docs/webhooks.md").read_text("utf-8"), re.DOTALL
        )
        assert found
        return found[1]

    def test_the_example_has_the_fields_that_are_sent(self, cast: Cast, receiver: Receiver) -> None:
        hooked(cast, receiver)
        due(cast.team)
        tell(cast)
        example, said = json.loads(self.block("json")), told(receiver)
        jsonschema.validate(example, SCHEMA)
        for shown, sent in zip(example["data"]["items"], said["data"]["items"], strict=True):
            assert list(shown) == list(sent)
        assert [list(example), list(example["data"])] == [list(said), list(said["data"])]

    def test_the_few_lines_check_the_signature(self, cast: Cast, receiver: Receiver) -> None:
        _, secret = hooked(cast, receiver)
        due(cast.team)
        said = told(receiver)
        scope: dict[str, Any] = {}
        exec(self.block("python"), scope)  # our own page
        request = receiver.requests[0]
        assert scope["verified"](secret, request.headers, request.body) == said
        with pytest.raises(ValueError, match="not signed"):
            scope["verified"](secret, request.headers, request.body + b" ")
        with pytest.raises(ValueError, match="too old"):
            scope["verified"](secret, request.headers | {"webhook-timestamp": "1"}, request.body)

    def test_the_pauses_are_those(self) -> None:
        minutes = [pause.total_seconds() / 60 for pause in CHANNELS["webhook"].pauses]
        assert minutes == [1, 5, 15, 60, 180, 360, 720]
        assert "after 1, 5 and 15 minutes, 1, 3, 6 and 12 hours" in Path(ROOT, "docs/webhooks.md").read_text(
            "utf-8"
        )


@pytest.mark.parametrize("shape", ["text", "card"])
class TestChats:
    def words(self, said: Any) -> str:
        if "text" in said:
            assert list(said) == ["text"]
            return str(said["text"])
        (attachment,) = said["attachments"]
        assert said["type"] == "message"
        assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert all(block["type"] == "TextBlock" and block["wrap"] for block in card["body"])
        return "\n".join(block["text"] for block in card["body"])

    def test_they_say_what_when_why_and_where_to(self, cast: Cast, receiver: Receiver, shape: str) -> None:
        hooked(cast, receiver, shape=shape)
        note(cast, "Ask the PKI desk.")
        version = due(cast.team)
        words = self.words(told(receiver))
        for part in (
            "orders-client fails in 5 days",
            "6 Jun 2026, 12:00 UTC, when the certificate itself ends. In key store, team Payments.",
            "Used by orders-client API.",
            "How to renew here: Ask the PKI desk.",
            f"\nhttp://localhost:8000/certificates/{version.certificate.pk}/replace/",
        ):
            assert part in words

    def test_what_nothing_uses_is_to_be_deleted(self, cast: Cast, receiver: Receiver, shape: str) -> None:
        hooked(cast, receiver, shape=shape)
        due(cast.team, used=False)
        words = self.words(told(receiver))
        assert "Nothing uses it" in words and "/replace/" not in words

    def test_names_from_outside_call_nobody_and_draw_no_link(
        self, cast: Cast, receiver: Receiver, shape: str
    ) -> None:
        hooked(cast, receiver, shape=shape)
        note(cast, f"{HOSTILE} me@example.org")
        due(cast.team, Link(HOSTILE, end=5), Link(HOSTILE + "CA", end=4))
        tell(cast, title=HOSTILE, text=HOSTILE)
        words = self.words(told(receiver))
        for sign in ("<", ">", " @", "](", "\u202e"):
            assert sign not in words
        assert "me@example.org" in words

    def test_much_is_cut_to_what_a_chat_takes(self, cast: Cast, receiver: Receiver, shape: str) -> None:
        hooked(cast, receiver, shape=shape)
        for number in range(60):
            tell(cast, number, title=f"{number} " + "w" * 200, text="x" * 5000)
        words = self.words(told(receiver))
        shown = words.count("www ") + words.count("www\n") + words.count("www*\n")
        assert len(words) <= LONGEST_CHAT + 100
        assert len(receiver.requests[0].body) < 20_000
        assert 1 <= shown <= 10
        assert f"{60 - shown} more: http://localhost:8000/replace/" in words

    def test_one_is_always_told(self, cast: Cast, receiver: Receiver, shape: str) -> None:
        hooked(cast, receiver, shape=shape)
        note(cast, "r" * 2000)
        due(
            cast.team,
            *(Link(f"{number}" + "n" * 200, end=5 - number / 9, life=3000) for number in range(8)),
            kind="trust",
        )
        words = self.words(told(receiver))
        assert len(words) < 4000 and "more" not in words.rsplit("\n", 1)[-1]
        assert Notice.objects.filter(channel="webhook", state="sent").exists()
