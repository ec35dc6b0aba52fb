"""Key store JARs: the descriptor, the files that it names, keys and passwords."""

from __future__ import annotations

import random

import pytest
from cryptography.hazmat.primitives import serialization

from stores.formats import jar
from stores.formats.errors import ReadingError
from stores.formats.parsed import Parsed
from tests.formats import zip_writer as w
from tests.formats.tools import PASSWORD, read, refused, run
from tests.formats.zip_writer import DESCRIPTOR, LINES, key_store
from tests.material import mint

ROOT = mint("JAR Root", ca=True)
LEAF = mint("JAR Leaf", ROOT)
OTHER = mint("JAR Other", ROOT)
FILES = key_store(LEAF, ROOT)
READ = ([LEAF.sha256, ROOT.sha256], [LEAF.key_der])


def facts(parsed: Parsed) -> tuple[list[str], list[bytes]]:
    assert parsed.format == "jar"
    return [certificate.sha256 for certificate in parsed.certificates], [key.pkcs8 for key in parsed.keys]


def offered(files: dict[str, bytes], password: str | None = None) -> Parsed:
    return read(w.jar(files), "o.jar", password=password)


def test_the_documented_commands_make_a_jar_that_is_read() -> None:
    script = f"jar -cf o.jar main.pem privateKey.pem && jar -uf o.jar {DESCRIPTOR}"
    assert facts(read(run("sh", "-c", script, files=FILES, out="o.jar"), "o.jar", password=None)) == READ


def test_a_trust_store_takes_no_jar() -> None:
    with refused("format_not_for_store", "o.jar"):
        read(w.jar(FILES), "o.jar", "trust")


GOOD = {
    "CRLF": LINES.replace(b"\n", b"\r\n"),
    "CR": LINES.replace(b"\n", b"\r"),
    "blanks": b"  certFile = main.pem \nkeyFile\t=\tprivateKey.pem\t",
    "colons": LINES.replace(b"=", b": "),
    "nothing but blanks": LINES.replace(b"=", b" "),
    "comments and others": b"# by hand\n!\\\n\ncertFile=main.pem\nkeyFile=privateKey.pem\nother=thing",
    "a comment is not continued": b"# not continued \\\n" + LINES,
    "continued lines": b"cert\\\n   File=main\\\r\n\t.pem\nkeyFile=privateKey.pem\\\n",
    "escapes": b"certFile=m\\u0061in.pem\nkey\\File=private\\Key.pem",
    "a byte-order mark": b"\xef\xbb\xbf" + LINES,
}


@pytest.mark.parametrize("how", GOOD)
def test_descriptors_are_read_as_java_reads_properties(how: str) -> None:
    assert facts(offered(FILES | {DESCRIPTOR: GOOD[how]})) == READ


@pytest.mark.parametrize(
    "octets", ["größe.pem".encode(), "größe.pem".encode("latin-1"), b"gr\\u00F6\\u00dfe.pem"]
)
def test_descriptors_may_be_utf8_latin1_or_escaped(octets: bytes) -> None:
    files = FILES | {"größe.pem": FILES["main.pem"], DESCRIPTOR: LINES.replace(b"main.pem", octets)}
    assert facts(offered(files)) == READ


INVALID = {
    "empty": b"",
    "only one line": b"certFile=main.pem",
    "a line twice": LINES + b"certFile=main.pem",
    "no name": b"certFile=\nkeyFile=privateKey.pem",
    "a comment": b"#" + LINES,
    "another letter case": LINES.lower(),
    "a broken escape": LINES + b"other=\\u12",
    "UTF-16": LINES.decode().encode("utf-16"),
    "64 KiB and one": LINES
    + b"#"
    + random.Random(1).randbytes(64 << 10).hex().encode()[: (64 << 10) - len(LINES)],
}


@pytest.mark.parametrize("what", INVALID)
def test_descriptors_without_one_line_each_are_invalid(what: str) -> None:
    with refused("descriptor_invalid", "o.jar", "printf"):
        offered(FILES | {DESCRIPTOR: INVALID[what]})


@pytest.mark.parametrize(
    "name", ["descriptor.properties", "meta-inf/descriptor.properties", "META-INF/descriptor.txt"]
)
def test_a_descriptor_elsewhere_is_none(name: str) -> None:
    files = {name if name_ == DESCRIPTOR else name_: content for name_, content in FILES.items()}
    with refused("descriptor_missing", DESCRIPTOR, "jar -uf"):
        offered(files)


@pytest.mark.parametrize("line", ["certFile", "keyFile"])
@pytest.mark.parametrize(
    "name", ["other.pem", "../main.pem", "/etc/passwd", "./main.pem", "Main.pem", "folder/", "*.pem"]
)
def test_a_descriptor_names_files_inside_by_their_exact_names(line: str, name: str) -> None:
    names = {"certFile": "main.pem", "keyFile": "privateKey.pem"} | {line: name}
    lines = "".join(f"{key}={value}\n" for key, value in names.items()).encode()
    with refused("descriptor_file_missing", f"{line}={name}", "main.pem and privateKey.pem"):
        offered(FILES | {"META-INF/folder/": b"", DESCRIPTOR: lines})


def test_what_a_descriptor_names_is_shown_without_invisible_characters() -> None:
    with refused("descriptor_file_missing", "certFile=\\u202e\\u0000<b>"):
        offered(FILES | {DESCRIPTOR: "certFile=\u202e\\u0000<b>\nkeyFile=privateKey.pem".encode()})


def test_the_key_file_gives_keys_only_and_one_file_may_hold_both() -> None:
    whole = {"privateKey.pem": LEAF.pem + LEAF.key_pem}
    assert facts(offered(FILES | whole)) == READ
    both = {"all.pem": FILES["main.pem"] + LEAF.key_pem, DESCRIPTOR: b"certFile=all.pem\nkeyFile=all.pem\n"}
    assert facts(offered(both)) == READ


def test_a_key_beside_the_chain_is_not_overlooked() -> None:
    parsed = offered(FILES | {"main.pem": FILES["main.pem"] + OTHER.key_pem})
    assert sorted(key.pkcs8 for key in parsed.keys) == sorted([LEAF.key_der, OTHER.key_der])


def test_an_encrypted_key_needs_its_password() -> None:
    lock = serialization.BestAvailableEncryption(PASSWORD.encode())
    form = serialization.PrivateFormat.PKCS8
    locked = FILES | {"privateKey.pem": LEAF.key.private_bytes(serialization.Encoding.PEM, form, lock)}
    assert facts(offered(locked, PASSWORD)) == READ
    with refused("password_required", "privateKey.pem in o.jar"):
        offered(locked)
    with refused("wrong_password", "privateKey.pem in o.jar"):
        offered(locked, "guessed")
    assert [finding.code for finding in offered(FILES, PASSWORD).findings] == ["password_not_needed"]


def test_what_is_wrong_with_a_file_inside_names_it() -> None:
    with refused("malformed", "main.pem in o.jar"):
        offered(FILES | {"main.pem": LEAF.pem[:200]})
    with refused("unsupported_format", "main.pem in o.jar"):
        offered(FILES | {"main.pem": w.jar(FILES)})


JAVA = """
import java.io.*; import java.util.*;
class P { public static void main(String[] names) throws Exception {
  try (var out = new PrintWriter("out", "UTF-8")) {
    for (int i = 0; new File("d" + i).exists(); i++) out.println(said(new File("d" + i)));
  } }
  static String said(File file) throws IOException {
    var found = new Properties();
    try (var in = new FileInputStream(file)) { found.load(in); }
    catch (IllegalArgumentException e) { return "broken"; }
    var value = found.getProperty("c");
    if (value == null) return "none";
    return "value " + HexFormat.of().formatHex(value.stripTrailing().getBytes("UTF-16BE"));
  } }
"""


def test_properties_are_read_as_java_reads_them() -> None:
    """Descriptors of random pieces, read by the JDK and by us; a blank at the end of a value is dropped by us."""
    rng = random.Random(7)
    pieces = [
        "c",
        "=",
        ":",
        " ",
        "\t",
        "\\",
        "\n",
        "\r",
        "#",
        "!",
        "x",
        "\\u0041",
        "\\u",
        "\\n",
        "c=",
        "\nc",
        "\f",
    ]
    texts = ["".join(rng.choices(pieces, k=rng.randrange(1, 12))) for _ in range(3000)]
    files = {f"d{number}": text.encode("latin-1") for number, text in enumerate(texts)} | {
        "P.java": JAVA.encode()
    }
    said = run("java", "P.java", files=files, out="out").decode().splitlines()
    assert {line[:5] for line in said} == {"none", "value", "broke"}
    assert [(text, ours(text)) for text in texts] == list(zip(texts, said, strict=True))


def ours(text: str) -> str:
    try:
        found = [value for key, value in jar._properties(text, "o.jar") if key == "c"]
    except ReadingError:
        return "broken"
    return f"value {found[-1].encode('utf-16-be').hex()}" if found else "none"
