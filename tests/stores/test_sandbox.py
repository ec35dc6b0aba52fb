"""The sandbox: answers like the function it runs, and survives everything that function may do."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stores import inspection, sandbox, sandbox_server
from stores.formats import limits
from stores.formats.asn1 import OCTET_STRING, OID, SEQUENCE, encode, encode_integer
from stores.formats.parsed import Inspection, Upload
from stores.inspection import examine, inspect
from tests.material import NOW, mint

LEAF = mint("orders.example")
GOOD = Upload("orders.pem", LEAF.pem + LEAF.key_pem, "key")
PBES2, PBKDF2 = (encode(OID, bytes.fromhex(f"2a864886f70d0105{arc}")) for arc in ("0d", "0c"))
AES_256 = encode(OID, bytes.fromhex("60864801650304012a"))


def test_the_answer_is_that_of_the_function() -> None:
    assert inspect(GOOD, NOW) == examine(GOOD, NOW)
    assert inspect(GOOD, NOW).key is not None


def test_a_refusal_crosses_as_well() -> None:
    answer = inspect(Upload("orders.pem", b"words", "key"), NOW)
    assert (answer.accepted, answer.code, answer.key) == (False, "unsupported_format", None)
    assert [finding.code for finding in answer.findings] == ["unsupported_format"]


def test_many_threads_get_their_own_answers() -> None:
    uploads = [Upload(f"{number}.pem", GOOD.content, "key") for number in range(24)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda upload: inspect(upload, NOW), uploads))
    assert [answer.file for answer in answers] == [upload.name for upload in uploads]
    assert all(answer.accepted for answer in answers)


def test_a_server_that_was_killed_is_started_again() -> None:
    inspect(GOOD, NOW)
    before = sandbox.server_pid()
    assert before is not None
    os.kill(before, signal.SIGKILL)
    assert inspect(GOOD, NOW).accepted
    assert sandbox.server_pid() not in (None, before)


def test_nothing_is_left_behind_but_the_child_that_waits() -> None:
    inspect(GOOD, NOW)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        inspect(GOOD, NOW)
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
    _settled(1)


def _children(pid: int | None) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def slow() -> Upload:
    """An upload that takes seconds to open: the key is locked with many rounds."""
    rounds = encode_integer(3_000_000)
    derivation = encode(SEQUENCE, PBKDF2, encode(SEQUENCE, encode(OCTET_STRING, b"saltsalt"), rounds))
    scheme = encode(
        SEQUENCE,
        PBES2,
        encode(SEQUENCE, derivation, encode(SEQUENCE, AES_256, encode(OCTET_STRING, bytes(16)))),
    )
    return Upload("slow.der", encode(SEQUENCE, scheme, encode(OCTET_STRING, bytes(64))), "key", "x")


def test_a_child_that_is_killed_is_told_at_once_while_others_go_on() -> None:
    inspect(GOOD, NOW)
    (pid,) = _settled(1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(inspect, slow(), NOW)
        _settled(2)
        second = pool.submit(inspect, slow(), NOW)
        _settled(3)
        os.kill(int(pid), signal.SIGKILL)
        assert first.result().code == "too_costly"
        assert not second.done()
        assert second.result().code == "wrong_password"


def test_a_child_that_is_killed_while_it_waits_is_replaced() -> None:
    inspect(GOOD, NOW)
    (pid,) = _settled(1)
    os.kill(int(pid), signal.SIGKILL)
    assert inspect(GOOD, NOW).accepted
    assert inspect(GOOD, NOW).accepted


def _settled(count: int) -> list[str]:
    """The server's children, once they are that many and the same for a while: none that ends, none that is still to come."""
    deadline, seen = time.monotonic() + 5, 0
    found: list[str] = []
    while seen < 10:
        before, found = found, _children(sandbox.server_pid())
        seen = seen + 1 if found == before and len(found) == count else 0
        assert time.monotonic() < deadline
        threading.Event().wait(0.005)
    return found


def test_a_forked_process_uses_a_server_of_its_own() -> None:
    inspect(GOOD, NOW)
    mine = sandbox.server_pid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        accepted = inspect(GOOD, NOW).accepted
        os.write(writer, f"{accepted} {sandbox.server_pid()}".encode())
        os._exit(0)
    os.waitpid(child, 0)
    answer, theirs = os.read(reader, 100).decode().split()
    assert answer == "True"
    assert int(theirs) != mine
    assert inspect(GOOD, NOW).accepted


def test_the_server_ends_with_the_process_that_started_it() -> None:
    code = "from stores import sandbox; sandbox.warm(); print(sandbox.server_pid(), flush=True); import os; os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    _gone(int(done.stdout))


def _gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/status").exists() and "(zombie)" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < deadline, "it still runs"
        threading.Event().wait(0.02)


def test_the_server_knows_no_secret_and_no_django() -> None:
    inspect(GOOD, NOW)
    process = Path(f"/proc/{sandbox.server_pid()}")
    assert b"STOREKEEPER" not in (process / "environ").read_bytes()
    assert b"SECRET" not in (process / "environ").read_bytes()
    loaded = subprocess.run(
        [sys.executable, "-c", "import stores.sandbox_server, stores.inspection, sys; print('django' in sys.modules)"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert loaded.stdout.strip() == "False"


def outcome(function: object, monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, int]:
    """The answer and exit status of a child that runs `function` under the sandbox's limits."""
    monkeypatch.setattr(inspection, "examine", function)
    request = sandbox_server.packed_call(examine, (GOOD, NOW), {})
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        sandbox_server.limit(sandbox_server.address_space() + limits.MEMORY_BYTES)
        with os.fdopen(writer, "wb") as out:
            out.write(sandbox_server.called(request))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as found:
        answer = found.read()
    return answer, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def hog(upload: Upload, now: dt.datetime) -> Inspection:
    return Inspection(str(len(bytearray(300 << 20))), True, None, "")


def spin(upload: Upload, now: dt.datetime) -> Inspection:
    while True:
        pass


def fail(upload: Upload, now: dt.datetime) -> Inspection:
    raise RuntimeError(f"a text with {upload.content!r}")


def test_memory_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, _ = outcome(hog, monkeypatch)
    assert sandbox_server.unpacked_answer(answer)[0] == sandbox_server.EXCEEDED


def test_time_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CPU_SECONDS", 1)
    _, status = outcome(spin, monkeypatch)
    assert -status in sandbox_server.LIMIT_SIGNALS


def test_a_fault_is_told_without_its_text(monkeypatch: pytest.MonkeyPatch) -> None:
    answer, _ = outcome(fail, monkeypatch)
    kind, where = sandbox_server.unpacked_answer(answer)
    assert kind == sandbox_server.FAULT
    assert str(where).startswith("RuntimeError in test_sandbox.py, line ")
    assert b"PRIVATE KEY" not in answer


@pytest.mark.parametrize(
    ("error", "code"),
    [(sandbox.LimitExceededError("x"), "too_costly"), (sandbox.CrashedError("x"), "malformed")],
)
def test_the_user_gets_a_sentence_whatever_happens(
    error: Exception, code: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*args: object) -> Inspection:
        raise error

    monkeypatch.setattr(sandbox, "run", broken)
    answer = inspect(GOOD, NOW)
    assert (answer.accepted, answer.code) == (False, code)
    assert "orders.pem" in answer.message
    assert ("The reader failed" in caplog.text) is (code == "malformed")


def test_an_answer_cannot_make_other_objects() -> None:
    for value in (os.system, Path("/"), subprocess.Popen):
        kind, _ = sandbox_server.unpacked_answer(pickle.dumps(("done", value)))
        assert kind == sandbox_server.FAULT


def test_only_listed_functions_are_called() -> None:
    with pytest.raises(ValueError, match="not made for the sandbox"):
        sandbox.run(os.getpid)
