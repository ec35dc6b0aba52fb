"""`manage.py part NAME`: one process of the Procfile, for containers and process managers."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from portal import launcher


class Command(BaseCommand):
    help = "Becomes the web, worker or beat process."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", choices=list(launcher.commands()))

    def handle(self, *args: Any, **options: Any) -> None:
        command = launcher.commands()[options["name"]]
        os.umask(0o077)
        os.execv(command[0], command)  # noqa: S606 - the Procfile is ours
