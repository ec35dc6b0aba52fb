"""Shell commands that make a file right, to copy. What comes from outside is quoted, or replaced when it looks odd."""

from __future__ import annotations

import re
import shlex

from stores.formats.parsed import Certificate, Parsed, Upload
from stores.formats.text import file_name

_PLAIN_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]{0,99}")
_PLAIN_NAME = re.compile(r"[\w.@*][\w .@*-]{0,63}")
_PLAIN_ALIAS = re.compile(r"[\w.][\w .-]{0,63}")
_PLAIN_URL = re.compile(r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?")


def file_argument(name: str, fallback: str) -> str:
    """A file name as a shell word; `fallback` for names that nobody should paste into a shell."""
    name = file_name(name)
    return shlex.quote(name) if _PLAIN_FILE.fullmatch(name) else fallback


def stem(upload: Upload) -> str:
    """The name of the uploaded file without its ending, for files made from it."""
    name = file_name(upload.name).rpartition(".")[0]
    return name if _PLAIN_FILE.fullmatch(name) else "certificate"


def request(certificate: Certificate, upload: Upload) -> str:
    """Makes a new key and a certificate request for the same name, to be sent to the issuer."""
    base = stem(upload)
    name = certificate.common_name
    subject = f"-subj {shlex.quote(f'/CN={name}')} " if _PLAIN_NAME.fullmatch(name) else ""
    return (
        f"openssl req -new -newkey rsa:3072 -nodes -sha256 {subject}-addext extendedKeyUsage=clientAuth "
        f"-keyout {shlex.quote(base + '.key')} -out {shlex.quote(base + '.csr')}"
    )


def join_key(upload: Upload) -> str:
    """Puts a PEM chain and its key into one PKCS#12."""
    base = stem(upload)
    certificates = file_argument(upload.name, "certificate.pem")
    return (
        f"openssl pkcs12 -export -in {certificates} -inkey {shlex.quote(base + '.key')} "
        f"-out {shlex.quote(base + '.p12')}"
    )


def list_entries(upload: Upload) -> str:
    """Lists the entries of a PKCS#12 or Java key store with their aliases."""
    return f"keytool -list -keystore {file_argument(upload.name, 'keystore.p12')}"


def compare_keys(upload: Upload) -> str:
    """Prints a digest of the certificate's public key and one of the private key's; they must be equal."""
    certificates = file_argument(upload.name, "certificate.pem")
    key = file_argument(upload.key_name or upload.name, "private.key")
    return (
        f"openssl x509 -in {certificates} -noout -pubkey | openssl sha256; "
        f"openssl pkey -in {key} -pubout | openssl sha256"
    )


def fetch_issuer(certificate: Certificate, upload: Upload, parsed: Parsed) -> str:
    """Fetches the issuer's certificate from where the certificate says it is, and appends it to a PEM file."""
    url = next((url for url in certificate.issuer_urls if _PLAIN_URL.fullmatch(url)), "")
    if not url or parsed.format != "pem":
        return ""
    return f"curl -s {shlex.quote(url)} | openssl x509 >> {file_argument(upload.name, 'certificate.pem')}"


def certificates_only(upload: Upload, parsed: Parsed) -> str:
    """Writes the certificates of a file without the private key."""
    out = shlex.quote(stem(upload) + "-trust.pem")
    name = file_argument(upload.name, "upload.pem")
    if parsed.format == "pkcs12":
        return f"openssl pkcs12 -in {name} -nokeys -out {out}"
    if parsed.format == "jks":
        alias = next((key.alias for key in parsed.keys if _PLAIN_ALIAS.fullmatch(key.alias)), "ALIAS")
        return f"keytool -exportcert -rfc -alias {shlex.quote(alias)} -keystore {name} -file {out}"
    if parsed.format == "pem":
        return f"openssl crl2pkcs7 -nocrl -certfile {name} | openssl pkcs7 -print_certs -out {out}"
    return ""
