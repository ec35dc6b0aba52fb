#!/usr/bin/env python
"""Runs Storekeeper's commands: `python manage.py help` lists them."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Hands the command line to Django; settings that make no sense end it with their one sentence."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
    from django.core.management import execute_from_command_line

    from portal.env import settings_or_exit

    settings_or_exit()
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
