"""What is kept, what is watched about it, and who is told."""

from __future__ import annotations

from stores.models.keeping import Certificate, ChainCertificate, Draft, Store, Version
from stores.models.sending import Feed, Notice, Preferences, Webhook, WebhookAttempt
from stores.models.watching import Case, CaseEvent, Flag, IssuerNote, Watcher

__all__ = [
    "Case",
    "CaseEvent",
    "Certificate",
    "ChainCertificate",
    "Draft",
    "Feed",
    "Flag",
    "IssuerNote",
    "Notice",
    "Preferences",
    "Store",
    "Version",
    "Watcher",
    "Webhook",
    "WebhookAttempt",
]
