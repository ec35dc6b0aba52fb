"""Re-wraps everything sealed with the first key of the ring; may be stopped and started again at any time."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import rotation, vault
from portal.audit import SYSTEM, record
from providers.rotation import passwords
from stores.models import Draft, Version
from stores.rotation import sealed_rows, webhook_rows


class Command(BaseCommand):
    help = (
        "Re-wraps everything sealed with the first key of STOREKEEPER_KEYS: put the new key first and leave the old one behind it, "
        "start all processes again, run this until nothing is left, then take the old key out."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--batch", type=int, default=200, help="rows that are read at a time (200)")

    def handle(self, *args: Any, **options: Any) -> None:
        size = max(1, options["batch"])
        results = [
            sealed_rows(Version, size),
            sealed_rows(Draft, size),
            passwords(size),
            webhook_rows(size),
            rotation.second_factors(size),
        ]
        done, left = sum(one.done for one in results), sum(one.left for one in results)
        for one in results:
            self.stdout.write(f"{one.kind}: {one.done} re-wrapped, {one.left} left")
        key_id = vault.ring().current
        if done:
            record(SYSTEM, "keys.rotated", None, team=None, key_id=key_id, count=done, rows=left)
        if left:
            raise CommandError(
                f"{left} objects are not wrapped by key {key_id} yet: keep the older keys, look at the log, run it again."
            )
        self.stdout.write(f"Everything is wrapped by key {key_id}. Older keys may leave the ring.")
