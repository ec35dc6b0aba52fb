"""What happened to a certificate or store, in sentences for everybody who may see it."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Model, QuerySet

from portal.models import AuditEvent, Team

SENTENCES = {
    "certificate.created": "created it in {store}",
    "certificate.deleted": "deleted it",
    "certificate.edited": "changed name, description or owner",
    "key.delivered": "fetched version {version} with its private key",
    "key.exported": "exported the private key of version {version}",
    "key.used": "used the private key of version {version} to test the connection to {provider}",
    "overlap.closed": "ended the trust in version {version}",
    "overlap.left_to_people": "left it to people when version {version} is trusted no longer",
    "overlap.opened": "kept version {version} trusted beside the new one",
    "overlap.removes_itself": "chose that version {version} goes by itself as soon as that is safe",
    "store.created": "created it",
    "store.deleted": "deleted it",
    "store.edited": "changed name or description",
    "version.activated": "made version {version} active",
    "version.discarded": "discarded version {version}",
    "version.not_activated": "could not make version {version} active at its instant",
    "version.purged": "purged file and key of version {version}",
    "version.rehearsal_failed": "saw the rehearsal of version {version} fail",
    "version.rehearsal_passed": "saw the rehearsal of version {version} pass",
    "version.rehearsal_unproven": "could try version {version} with no provider",
    "version.rehearsed": "rehearsed version {version}",
    "version.restored": "restored version {version}",
    "version.staged": "kept version {version} staged",
    "version.uploaded": "uploaded version {version}",
    "watcher.added": "added an address that is told of it",
    "watcher.removed": "took out an address that was told of it",
}


@dataclass(frozen=True)
class Happening:
    """One event as it is told: who, and what they did."""

    event: AuditEvent
    sentence: str


def events_of(row: Model, team: Team) -> QuerySet[AuditEvent]:
    """The audit of one object; an index by object serves it."""
    return AuditEvent.objects.filter(team=team, object_type=row._meta.model_name, object_id=str(row.pk))


def told(event: AuditEvent) -> Happening:
    """The event in words, without the address it came from."""
    sentence = SENTENCES.get(event.action, event.action.replace(".", ": ").replace("_", " "))
    facts = {"version": "", "store": "a store", "provider": "a provider"} | event.facts
    return Happening(event, sentence.format_map(facts) + _renamed(event) + _more(event))


def _renamed(event: AuditEvent) -> str:
    old, new = event.facts.get("old_name"), event.facts.get("new_name")
    return f", from “{old}” to “{new}”" if old and new and old != new else ""


def _more(event: AuditEvent) -> str:
    """What is worth a glance beside: until when, from when."""
    if event.facts.get("activate_at"):
        return f", to become active on {event.facts['activate_at'][:16].replace('T', ', ')} UTC"
    return ""
