"""How the pages of a team speak."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def spoken(code: str) -> str:
    """A code in words: `member.role_changed` is "member role changed"."""
    return code.replace(".", " ").replace("_", " ")
