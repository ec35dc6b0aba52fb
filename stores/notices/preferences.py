"""What of the mails a person does not want. What has expired is always sent."""

from __future__ import annotations

from collections.abc import Collection

from django.db import transaction
from django.db.models import Q

from portal import audit
from portal.audit import Actor
from portal.models import User
from stores.expiry import Stage
from stores.models import Notice, Preferences
from stores.notices.summary import KEY

INFO = "info"
SILENCEABLE = (Stage.URGENT.value, Stage.WARNING.value, Stage.NOTICE.value, INFO)
"""All but *expired*, the most urgent first."""
UNWANTED = "Its recipient wants no mail of this kind."


def of(user: User) -> Preferences:
    """What the person has said; who has said nothing is mailed everything."""
    return Preferences.objects.filter(user=user).first() or Preferences(user=user)


@transaction.atomic
def save(*, user: User, silent: Collection[str], summary: bool, actor: Actor) -> bool:
    """Keeps what the person wants, and leaves unsent what waits and is not wanted any more; whether anything was changed.

    ValueError for a stage that cannot be silenced.
    """
    if unknown := set(silent) - set(SILENCEABLE):
        raise ValueError(f"cannot be silenced: {', '.join(sorted(unknown))}")
    known, _ = Preferences.objects.select_for_update().get_or_create(user=user)
    wanted = [stage for stage in SILENCEABLE if stage in silent]
    if set(known.silent) == set(wanted) and known.summary == summary:
        return False
    changed = [stage for stage in SILENCEABLE if (stage in known.silent) != (stage in wanted)]
    changed += ["summary"] if known.summary != summary else []
    known.silent, known.summary = wanted, summary
    known.save()
    _drop_unwanted(known)
    audit.record(actor, "mail.chosen", user, team=None, changed=changed)
    return True


def _drop_unwanted(known: Preferences) -> None:
    is_summary = Q(key__startswith=KEY)
    unwanted = Q(flag__stage__in=known.silent) | Q(flag=None, severity__in=known.silent) & ~is_summary
    if not known.summary:
        unwanted |= is_summary
    waiting = Notice.objects.filter(
        unwanted, user=known.user_id, channel=Notice.Channel.EMAIL, state=Notice.State.WAITING
    )
    waiting.update(state=Notice.State.DROPPED, error=UNWANTED)
