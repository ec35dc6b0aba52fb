"""The portal's own settings under test: everything written goes to a temporary folder, secrets are fixed, mail stays in memory.

DATABASE_URL, REDIS_URL and STOREKEEPER_S3_* choose the parts, as they do in production.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from urllib.parse import urlsplit, urlunsplit

WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["STOREKEEPER_VAR"] = tempfile.mkdtemp(prefix=f"storekeeper-tests-{WORKER}-")
atexit.register(shutil.rmtree, os.environ["STOREKEEPER_VAR"], ignore_errors=True)
os.environ.setdefault("SECRET_KEY", "the tests know this key, so nothing else may use it")
os.environ.setdefault("STOREKEEPER_KEYS", "tests:" + "A" * 43 + "=")
# As on SQLite by default: the servers that tests try are on this machine.
os.environ.setdefault("STOREKEEPER_OUTBOUND_ALLOW", "127.0.0.0/8,::1/128")

if os.environ.get("STOREKEEPER_S3_BUCKET"):
    # Tests that tidy up old files must not meet those of the tests that run beside them.
    os.environ["STOREKEEPER_S3_BUCKET"] += f"-{WORKER}"

if os.environ.get("REDIS_URL"):
    # Emptying a cache flushes its whole database, so each process of tests has one: 0 to 7; the portals they run have 8 to 15.
    number = int(WORKER.removeprefix("gw")) % 8 if WORKER != "main" else 0
    os.environ["REDIS_URL"] = urlunsplit(urlsplit(os.environ["REDIS_URL"])._replace(path=f"/{number}"))

from portal.settings import *  # noqa: E402, F403
from portal.settings import DATABASES, SQLITE, VAR  # noqa: E402

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if SQLITE:
    # A file, as in life: a database in memory is one connection, on which no two writers ever meet.
    DATABASES["default"]["TEST"] = {"NAME": str(VAR / "test.sqlite3")}
    # No test cuts the power, so none need wait for the disk.
    DATABASES["default"]["OPTIONS"]["init_command"] += "PRAGMA synchronous=OFF;"
else:
    DATABASES["default"]["OPTIONS"]["options"] = "-c synchronous_commit=off"
