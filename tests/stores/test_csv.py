"""Lists as CSV: complete, streamed, and harmless in a spreadsheet."""

from __future__ import annotations

import csv
import datetime as dt
import io
from typing import Any

import pytest
from django.http import StreamingHttpResponse

from portal.csv import attachment, cell, lines
from stores.models import Certificate, Store
from tests.cast import Cast, client_of, kept
from tests.material import NOW, mint


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u00a0=1", "\uff1d1", "\uff0d1"]
)
def test_a_formula_is_defused(text: str) -> None:
    assert not cell(text).lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0d", "\t"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("orders-client", "orders-client"),
        ("a=b", "a=b"),
        (None, ""),
        (12, "12"),
        (dt.datetime(2026, 6, 1, 12, 0, 5, 99, tzinfo=dt.UTC), "2026-06-01T12:00:05Z"),
        ("rtl\u202etxt\x07", "rtl\\u202etxt\\u0007"),
        ("Zürich 東京", "Zürich 東京"),
    ],
)
def test_what_a_cell_says(value: object, text: str) -> None:
    assert cell(value) == text


def test_quotes_and_line_breaks_stay_in_their_cell() -> None:
    text = "".join(lines(["a", "b"], [['say "hi"', "x,y"], ["two\nlines", ""]]))
    assert text.startswith("\ufeffa,b\r\n")
    assert list(csv.reader(io.StringIO(text)))[1:] == [['say "hi"', "x,y"], ["two\\u000alines", ""]]


def test_rows_are_not_read_before_they_are_sent() -> None:
    def endless() -> Any:
        while True:
            yield ["x"]

    stream = lines(["a"], endless())
    assert [next(stream) for _ in range(3)] == ["\ufeffa\r\n", "x\r\n", "x\r\n"]


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("orders-client.pem", 'attachment; filename="orders-client.pem"'),
        ('a"; filename="b.exe.pem', 'attachment; filename="a-filename-b.exe.pem"'),
        ("../../etc/passwd", 'attachment; filename="etc-passwd"'),
        ("a\r\nSet-Cookie: x", 'attachment; filename="a-Set-Cookie-x"'),
        ("Zürich.pem", "attachment; filename*=utf-8''Z%C3%BCrich.pem"),
        ("...", 'attachment; filename="download"'),
    ],
)
def test_the_name_of_a_download_is_harmless(name: str, header: str) -> None:
    assert attachment(name) == header


def read(answer: Any) -> list[dict[str, str]]:
    assert isinstance(answer, StreamingHttpResponse)
    content = b"".join(answer).decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(content)))


@pytest.mark.django_db
@pytest.mark.usefixtures("now")
class TestOfCertificates:
    def test_it_tells_what_the_list_tells_and_the_facts_of_the_leaf(self, cast: Cast) -> None:
        root = mint("Example Root", ca=True)
        authority = mint("Example CA", root, ca=True, end=100)
        leaf = mint("orders", authority)
        kept(cast, leaf, authority, name="=orders")
        answer = client_of(cast.viewer).get("/certificates/csv/")
        assert answer["Content-Type"] == "text/csv; charset=utf-8"
        assert answer["Content-Disposition"] == 'attachment; filename="certificates-Payments-2026-06-01.csv"'
        assert read(answer) == [
            {
                "store": "outbound", "kind": "key", "certificate": "'=orders", "description": "", "state": "valid",
                "fails_at": (NOW + dt.timedelta(days=100)).isoformat().replace("+00:00", "Z"), "because": "Example CA",
                "owner": "owner@example.org", "used_by": "", "subject": "CN=orders", "serial": f"{leaf.certificate.serial_number:x}",
                "sha256": leaf.sha256, "key": "EC P-256",
                "address": f"http://testserver/certificates/{Certificate.objects.get().pk}/",
            }
        ]  # fmt: skip

    def test_it_holds_the_whole_filter_and_nothing_else(
        self, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(
            "portal.paging.chunks.__kwdefaults__", {"descending": False, "nullable": False, "size": 7}
        )
        for team, count in ((cast.team, 40), (cast.other_team, 3)):
            store = Store.objects.create(team=team, kind="key", name="outbound")
            Certificate.objects.bulk_create(
                Certificate(
                    team=team, store=store, name=f"client {number:03}", search_text=f"client {number:03}"
                )
                for number in range(count)
            )
        client = client_of(cast.viewer)
        names = [row["certificate"] for row in read(client.get("/certificates/csv/?sort=name"))]
        assert names == [f"client {number:03}" for number in range(40)]
        assert len(read(client.get("/certificates/csv/?q=client+00"))) == 10
        assert read(client.get("/certificates/csv/?owner=nonsense")) == []


@pytest.mark.django_db
@pytest.mark.usefixtures("now")
def test_stores_are_told_with_what_they_hold(cast: Cast) -> None:
    kept(cast, mint("orders", end=50))
    Store.objects.create(team=cast.team, kind="trust", name="partners", description="CAs of partners")
    rows = read(client_of(cast.viewer).get("/stores/csv/"))
    assert [(row["store"], row["kind"], row["certificates"], row["fails_at"]) for row in rows] == [
        ("outbound", "key", "1", "2026-07-21T12:00:00Z"),
        ("partners", "trust", "0", ""),
    ]
