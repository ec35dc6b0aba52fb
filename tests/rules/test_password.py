"""Which symbols a PKCS#12 password may not hold."""

from __future__ import annotations

import pytest

from stores.rules.password import SYMBOLS, restricted


@pytest.mark.parametrize("symbol", list("!%^&#:/?[]@$'()*+,;="))
def test_each_restricted_symbol_is_found(symbol: str) -> None:
    assert restricted(f"pass{symbol}word") == symbol


def test_there_are_twenty_of_them() -> None:
    assert len(SYMBOLS) == len(set(SYMBOLS)) == 20


@pytest.mark.parametrize(
    "password", ["", "changeit", "пароль", "with space", '-_.~{}|<>\\"`', "100€", "\uff20\uff01"]
)
def test_other_passwords_are_left_alone(password: str) -> None:
    assert restricted(password) == ""


def test_symbols_are_told_once_and_in_their_own_order() -> None:
    assert restricted("=x@!y@@!") == "!@="
