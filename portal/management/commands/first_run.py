"""`manage.py first_run`: folders, keys, tables and the first administrator."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from portal import first_run


class Command(BaseCommand):
    help = "Makes what the portal needs to run, and prints the address of the first sign-in while nobody has signed in."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        first_run.prepare_files()
        first_run.prepare_database()
        address = first_run.first_sign_in(timezone.now())
        if address:
            self.stdout.write(f"The first administrator signs in once, within a day, at {address}")
        else:
            self.stdout.write("Everything is there.")
