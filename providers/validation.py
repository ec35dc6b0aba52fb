"""What is wrong with a provider or host, collected by field."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from django.core.exceptions import ValidationError

from stores.models import Certificate, Store

Value = TypeVar("Value")


class Errors:
    """The first sentence of each field, raised together."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def add(self, field: str, sentence: str) -> None:
        self.found.setdefault(field, sentence)

    def read(self, field: str, reader: Callable[[Value], Value], value: Value) -> Value:
        """The value in the form that is kept; as it was where the reader raises ValueError."""
        try:
            return reader(value)
        except ValueError as error:
            self.add(field, str(error))
            return value

    def check_key_certificate(self, one: Certificate | None, team: str) -> None:
        if one and (one.team_id != team or one.store.kind != Store.Kind.KEY):
            self.add("key_certificate", "Choose a certificate of a key store of this team.")

    def check_trust_store(self, store: Store | None, team: str) -> None:
        if store and (store.team_id != team or store.kind != Store.Kind.TRUST):
            self.add("trust_store", "Choose a trust store of this team.")

    def raise_if_any(self) -> None:
        if self.found:
            raise ValidationError(dict(self.found))
