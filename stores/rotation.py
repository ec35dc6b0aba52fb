"""Re-wrapping with the ring's first key: private keys and sealed originals of versions and drafts; addresses and secrets of webhooks."""

from __future__ import annotations

from portal import vault
from portal.rotation import Rotated, rotate
from stores import originals, webhooks
from stores.models import Draft, Version, Webhook

FILES = (originals.ORIGINAL, originals.KEY_ORIGINAL)
"""The column that names a sealed file is called as the kind that the file is bound to."""


def sealed_rows(model: type[Version] | type[Draft], size: int) -> Rotated:
    """All versions, or all drafts, that still hold something: purged and confirmed ones do not."""
    rows = model._default_manager.exclude(original="").exclude(sealed_with=vault.ring().current)
    done = rotate(rows, _rewrap, size)
    return Rotated(f"{model._meta.verbose_name}s", done, rows.count())


def _rewrap(row: Version | Draft) -> bool:
    """New files are written before the row names them, old ones removed after; what a crash leaves is an orphan and goes in a day."""
    fresh: dict[str, str] = {}
    changed = 0
    try:
        key = vault.rewrap(bytes(row.sealed_key), row.binding("key")) if row.sealed_key else None
        for kind in FILES:
            if name := getattr(row, kind):
                fresh[kind] = originals.put_sealed(
                    vault.rewrap(originals.get_sealed(name), row.binding(kind)), row.pk
                )
        unchanged = {name: getattr(row, name) for name in ("pk", "sealed_with", *FILES)}
        values = {"sealed_key": key, "sealed_with": vault.ring().current, **fresh}
        changed = type(row)._default_manager.filter(**unchanged).update(**values)
    finally:
        if not changed:
            originals.remove(*fresh.values())
    if changed:
        originals.remove(*(getattr(row, kind) for kind in fresh))
    return bool(changed)


def webhook_rows(size: int) -> Rotated:
    """All webhooks."""
    rows = Webhook.objects.exclude(sealed_with=vault.ring().current)
    return Rotated("webhooks", rotate(rows, _rewrap_webhook, size), rows.count())


def _rewrap_webhook(row: Webhook) -> bool:
    unchanged = {
        name: getattr(row, name) for name in ("pk", "sealed_url", "sealed_secret", "sealed_previous")
    }
    return Webhook.objects.filter(**unchanged).update(**webhooks.rewrapped(row)) == 1
