"""Checks a deployment as in production: `check --deploy` finds nothing, and static files collect with all that they refer to."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCTION = {
    "DATABASE_URL": "postgresql://storekeeper@db.example.org/storekeeper",
    "REDIS_URL": "redis://redis.example.org:6379/0",
    "SECRET_KEY": "d1m0Jc-only-for-checks-Yb9wq2LxTz7uVn4Rk8Hs5Pg3Fe6Aa",
    "STOREKEEPER_KEYS": "checks:" + "Q" * 43 + "=",
    "STOREKEEPER_URL": "https://storekeeper.example.org",
    "STOREKEEPER_S3_BUCKET": "sealed",
    "STOREKEEPER_SMTP_HOST": "mail.example.org",
    "STOREKEEPER_MAIL_FROM": "Storekeeper <storekeeper@example.org>",
    "STOREKEEPER_STATIC": "/srv/storekeeper/static",
}


def manage(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of manage.py with these settings and none of the caller's."""
    kept: Mapping[str, str] = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ
    }
    command = [sys.executable, "manage.py", *words]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environment}, capture_output=True, text=True, check=False
    )


def main() -> int:
    """0 when everything is in order; prints what is not."""
    with tempfile.TemporaryDirectory() as folder:
        results = [
            manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION),
            manage(
                "collectstatic",
                "--no-input",
                "--verbosity",
                "0",
                **{**PRODUCTION, "STOREKEEPER_STATIC": folder},
            ),
        ]
    for result in results:
        print(result.stdout, result.stderr, sep="", end="")
    return max(result.returncode for result in results)


if __name__ == "__main__":
    sys.exit(main())
