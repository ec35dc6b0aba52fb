"""Symbols that a PKCS#12 password should not have: many gateways and their scripts cannot take them."""

from __future__ import annotations

SYMBOLS = "!%^&#:/?[]@$'()*+,;="


def restricted(password: str) -> str:
    """The restricted symbols found in `password`, each once, in the order of `SYMBOLS`; "" when there is none.

    Only the symbols are given back, never how often or where they stand, so that the answer may be shown.
    """
    return "".join(symbol for symbol in SYMBOLS if symbol in password)
