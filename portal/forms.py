"""How every form of the portal is drawn and read."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

CLASSES: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.CheckboxSelectMultiple: "form-check-input",
    forms.Select: "form-select",
}


def css_of(widget: forms.Widget) -> str:
    """Bootstrap's class for a control."""
    return next((css for kind, css in CLASSES.items() if isinstance(widget, kind)), "form-control")


class StyledForm(forms.BaseForm):
    """Mixed into forms: Bootstrap's classes, and errors and help tied to their fields for screen readers."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, bound in ((name, self[name]) for name in self.fields):
            widget = self.fields[name].widget
            widget.attrs.setdefault("class", css_of(widget))
            if self.fields[name].help_text:
                widget.attrs["aria-describedby"] = f"{bound.auto_id}_helptext"

    def add_error(self, field: str | None, error: Any) -> None:
        """As Django's, whenever it comes: an error that a view adds is tied to its field as well."""
        super().add_error(field, error)
        for name in self.errors:
            if name in self.fields and self.fields[name].widget.attrs.get("aria-invalid") != "true":
                attrs = self.fields[name].widget.attrs
                described = f"{attrs.get('aria-describedby', '')} {self[name].auto_id}_error".strip()
                attrs.update({"aria-invalid": "true", "aria-describedby": described})


class NameField(forms.CharField):
    """A name that people read: trimmed, inner white space folded, no control or invisible characters."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("max_length", 100)
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> str:
        text = unicodedata.normalize("NFC", super().to_python(value) or "")
        if any(
            unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
            for character in text
        ):
            raise ValidationError(
                "A name cannot hold control or invisible characters: type it anew.", code="invisible"
            )
        return re.sub(r"\s+", " ", text)
