"""The form of a team's policy: its rules and their sentences are those of `stores.policy`, each shown at its field."""

from __future__ import annotations

import calendar
import datetime as dt
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

from django import forms
from django.forms import BoundField
from django.http import QueryDict

from portal.forms import StyledForm
from portal.profile import zones
from stores import policy, policy_words
from stores.expiry import LONGEST_DAYS, WORDS, Policy, Stage, StageError
from stores.policy import DAY_STAGES, Audience, Route, TeamPolicy

EMAIL, WEBHOOK = "email", "webhook"
WHO = {
    Audience.CERTIFICATE: "Its owner, or whoever has its replacement",
    Audience.PROVIDERS: "Owners of the providers that use it",
    Audience.TEAM: "Owners of the team",
    Audience.ADDRESSES: "The extra addresses",
}
OVER = {EMAIL: "E-mail", WEBHOOK: "Webhooks"}


@dataclass(frozen=True)
class StageFields:
    """The fields of one stage; `days` None for the last one, which begins at the end."""

    stage: Stage
    days: BoundField | None
    who: BoundField
    channels: BoundField


class _PerStage(forms.Form):
    """What is said of each stage."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for stage in Stage:
            name = WORDS[stage]
            if stage in DAY_STAGES:
                self.fields[f"{stage}_days"] = _days(f"{name}: days before the end", stage)
            self.fields[f"{stage}_who"] = _choices(f"{name} is told to", WHO)
            self.fields[f"{stage}_channels"] = _choices(f"{name} goes over the portal, and over", OVER)


def _days(label: str, stage: Stage) -> forms.IntegerField:
    field = forms.IntegerField(
        label=label,
        required=False,
        help_text=f"Empty: {policy_words.begins(stage, policy.DEFAULT.days)}.",
        widget=forms.NumberInput(attrs={"min": 1, "max": LONGEST_DAYS, "inputmode": "numeric"}),
    )
    field.conditional = True  # type: ignore[attr-defined]
    return field


def _choices(label: str, choices: Mapping[Any, str]) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label=label, choices=[(str(key), word) for key, word in choices.items()], required=False,
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip


def _time(label: str) -> forms.TimeField:
    return forms.TimeField(
        label=label,
        required=False,
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        error_messages={"invalid": "Type a time of the day, as 22:00."},
    )


class PolicyForm(StyledForm, _PerStage):
    """All that a team can say of being told; `wanted` is the policy that a valid form asks for."""

    seen = forms.CharField(max_length=16, widget=forms.HiddenInput, required=False)
    addresses = forms.CharField(
        label="Extra addresses", required=False, max_length=policy.MOST_ADDRESSES * 2 * policy.LONGEST_ADDRESS,
        help_text=f"One per line, at most {policy.MOST_ADDRESSES}: people or mailboxes without an account here.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip
    quiet_from = _time("Quiet from")
    quiet_until = _time("Quiet until")
    zone = forms.ChoiceField(label="Time zone", required=False)
    summary = forms.TypedChoiceField(
        label="Weekly summary", required=False, coerce=int, empty_value=None,
        choices=[("", "Never"), *((str(day), name) for day, name in enumerate(calendar.day_name))],
        help_text=f"By e-mail, at {policy.SUMMARY_HOUR:%H:%M} of that day.",
    )  # fmt: skip

    def __init__(self, data: QueryDict | None, *, now: TeamPolicy, seen: str) -> None:
        """`now` is what holds, and `seen` its fingerprint."""
        super().__init__(data, initial=_initial(now) | {"seen": seen})
        known = zones()
        if now.zone not in ("UTC", *dict(known)):
            known.append((now.zone, now.zone))
        cast(forms.ChoiceField, self.fields["zone"]).choices = known

    @property
    def stages(self) -> list[StageFields]:
        """The fields of each stage."""
        return [
            StageFields(
                stage,
                self[f"{stage}_days"] if stage in DAY_STAGES else None,
                self[f"{stage}_who"],
                self[f"{stage}_channels"],
            )
            for stage in Stage
        ]

    def clean_addresses(self) -> tuple[str, ...]:
        """Each once, letter case ignored, in the order in which they were typed."""
        typed = [one for one in re.split(r"[\s,;]+", self.cleaned_data["addresses"]) if one]
        each = {one.lower(): one for one in reversed(typed)}
        addresses = tuple(reversed(each.values()))
        with said_at(self, "addresses"):
            TeamPolicy(addresses=addresses)
        return addresses

    def clean(self) -> dict[str, Any]:
        """Builds the policy part by part, so that what makes no sense is said where it was typed."""
        found = self.cleaned_data
        quiet, days, routes = self._quiet(found), self._days(found), self._routes(found)
        if not self.errors:
            self.wanted = TeamPolicy(
                days, routes, found["addresses"], quiet, found["zone"] or "UTC", found["summary"]
            )
        return found

    def _days(self, found: Mapping[str, Any]) -> Policy:
        try:
            return Policy(**{stage.value: found.get(f"{stage}_days") for stage in DAY_STAGES})
        except StageError as error:
            self.add_error(f"{error.stage}_days", str(error))
            return Policy()

    def _routes(self, found: Mapping[str, Any]) -> dict[Stage, Route]:
        routes = dict(policy.ROUTES)
        for stage in Stage:
            who, over = found.get(f"{stage}_who"), found.get(f"{stage}_channels")
            if who is not None and over is not None:
                with said_at(self, f"{stage}_who"):
                    routes[stage] = Route(frozenset(map(Audience, who)), EMAIL in over, WEBHOOK in over)
        with said_at(self, f"{Stage.EXPIRED}_channels"):
            TeamPolicy(routes=routes)
        return routes

    def _quiet(self, found: Mapping[str, Any]) -> tuple[dt.time, dt.time] | None:
        begin, end = found.get("quiet_from"), found.get("quiet_until")
        if begin is None and end is None:
            return None
        if begin is None or end is None:
            missing = "quiet_from" if begin is None else "quiet_until"
            if missing not in self.errors:
                self.add_error(missing, "Quiet hours need a beginning and an end; leave both empty for none.")
            return None
        with said_at(self, "quiet_until"):
            TeamPolicy(quiet=(begin, end))
        return begin, end


@contextmanager
def said_at(form: forms.Form, field: str) -> Iterator[None]:
    """A rule that is broken within is said at the field."""
    try:
        yield
    except ValueError as error:
        form.add_error(field, str(error))


def _initial(now: TeamPolicy) -> dict[str, Any]:
    """What holds, as the form shows it."""
    initial: dict[str, Any] = {
        "addresses": "\n".join(now.addresses),
        "quiet_from": now.quiet and now.quiet[0],
        "quiet_until": now.quiet and now.quiet[1],
        "zone": "" if now.zone == "UTC" else now.zone,
        "summary": now.summary,
    }
    for stage in Stage:
        route = now.routes[stage]
        over = {EMAIL: route.email, WEBHOOK: route.webhook}
        initial[f"{stage}_days"] = now.days.own_days(stage)
        initial[f"{stage}_who"] = [who.value for who in Audience if who in route.who]
        initial[f"{stage}_channels"] = [one for one, is_on in over.items() if is_on]
    return initial
