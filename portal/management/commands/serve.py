"""`manage.py serve`: the whole portal under one command, which is what `make run` starts."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import OperationalError, connection
from django.utils import timezone

from portal import first_run, launcher


class Command(BaseCommand):
    help = "Prepares what is missing and runs web, worker and beat together; one Ctrl-C stops all three."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.serve()
        except launcher.LaunchError as error:
            sys.exit(f"Storekeeper cannot start: {error}")
        except OperationalError as error:
            sys.exit(f"Storekeeper cannot start: the database cannot be used: {str(error).splitlines()[0]}.")
        except OSError as error:
            sys.exit(f"Storekeeper cannot start: {error.filename} cannot be used: {error.strerror}.")

    def serve(self) -> None:
        """Checks first, writes then, and at last becomes the launcher."""
        os.umask(0o077)
        host, port = settings.STOREKEEPER_LISTEN, settings.PORT
        launcher.check_port(host, port)
        lock = launcher.lock(settings.VAR)
        first_run.prepare_files()
        first_run.prepare_database()
        welcome = self.welcome(first_run.first_sign_in(timezone.now()))
        connection.close()
        launcher.become(host, port, welcome, lock)

    def welcome(self, first_sign_in: str | None) -> str:
        """What to say when the portal runs: the one address to open."""
        if first_sign_in:
            return f"Storekeeper runs. Sign in once, within a day, at {first_sign_in}\nCtrl-C stops it."
        return f"Storekeeper runs at {settings.STOREKEEPER_URL}/\nCtrl-C stops it."
