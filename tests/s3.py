"""An S3 API over HTTP: moto's server in a process of its own, and the storage of sealed originals in it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from django.core.files.storage import storages

from tests.running import free_port, wait_for

BUCKET = "bucket-nobody-may-see"


def storage(endpoint: str, bucket: str = BUCKET) -> dict[str, Any]:
    """The settings of a storage there, which gives up at once."""
    quick = Config(
        s3={"addressing_style": "path"}, signature_version="s3v4", connect_timeout=1, read_timeout=2,
        retries={"mode": "standard", "total_max_attempts": 1},
    )  # fmt: skip
    options = {
        "bucket_name": bucket, "endpoint_url": endpoint, "region_name": "eu-central-1", "access_key": "tests",
        "secret_key": "tests-secret", "client_config": quick, "default_acl": None, "file_overwrite": False, "location": "sealed",
    }  # fmt: skip
    return {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": options}


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a server with an empty bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoint = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _bucket(endpoint), "moto's server", 60)
        yield endpoint
    finally:
        process.terminate()
        process.wait(10)


def _bucket(endpoint: str) -> bool:
    options = storage(endpoint)["OPTIONS"]
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name=options["region_name"],
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        config=options["client_config"],
    )
    with contextlib.suppress(BotoCoreError):
        client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": options["region_name"]}
        )
        return True
    return False


@pytest.fixture
def s3(s3_endpoint: str, settings: Any) -> Any:
    """Sealed originals go to the server; its bucket, empty, to look into."""
    settings.STORAGES = settings.STORAGES | {"sealed": storage(s3_endpoint)}
    bucket = storages["sealed"].bucket  # type: ignore[attr-defined]
    bucket.objects.all().delete()
    return bucket
