"""What has to be there before the portal can run: folders, keys, tables, a first administrator. Safe to run at every start."""

from __future__ import annotations

import datetime as dt
import secrets

from django.conf import settings
from django.core.management import call_command
from django.db import transaction

from portal import env, one_time
from portal.audit import SYSTEM, record
from portal.models import Membership, Role, Team, User

FIRST_TEAM = "First team"


def prepare_files() -> None:
    """Makes the folders of the embedded parts and the secrets that the environment does not give."""
    for folder in (settings.VAR, settings.KEYS, settings.MAIL):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.REDIS_URL:
        for folder in (settings.BROKER, settings.BROKER / "queue", settings.BROKER / "control"):
            folder.mkdir(mode=0o700, exist_ok=True)
    if not env.secret("SECRET_KEY"):
        env.make_secret(settings.SECRET_KEY_FILE, secrets.token_urlsafe(48))
    if not env.secret("STOREKEEPER_KEYS"):
        env.make_secret(settings.STOREKEEPER_KEYS_FILE, env.new_key_ring())


def prepare_database() -> None:
    """Brings the tables up to date."""
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)


def first_sign_in(now: dt.datetime) -> str | None:
    """The address that signs the first administrator in once; None as soon as anybody has ever signed in."""
    if User.objects.filter(last_login__isnull=False).exists():
        return None
    with transaction.atomic():
        administrator = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
        return one_time.link(administrator or _make_administrator(), now)


def _make_administrator() -> User:
    administrator = User.objects.create_user(email=one_time.PLACEHOLDER, is_staff=True, is_superuser=True)
    team = Team.objects.create(name=FIRST_TEAM)
    Membership.objects.create(team=team, user=administrator, role=Role.OWNER)
    record(SYSTEM, "team_created", team, team=team, member=one_time.PLACEHOLDER, role=Role.OWNER.value)
    return administrator
