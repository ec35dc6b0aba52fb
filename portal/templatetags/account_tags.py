"""How the forms of the sign-in library are drawn like our own, in our words."""

from __future__ import annotations

from allauth.account.fields import SetPasswordField
from django import template
from django.forms import BaseForm

from portal.accounts import PASSWORD_HELP
from portal.forms import css_of

register = template.Library()
WORDS = {
    "Email": "E-mail address",
    "Current Password": "Current password",
    "New Password": "New password",
    "New Password (again)": "New password, once more",
    "Code": "Code",
    "Authenticator code": "Code that the app shows",
}


@register.filter
def styled(form: BaseForm | None) -> BaseForm | str:
    """The form with the classes of our stylesheet, and labels where it has placeholders."""
    if not form:
        return ""
    for bound in form:
        widget = bound.field.widget
        widget.attrs.setdefault("class", css_of(widget))
        widget.attrs.pop("placeholder", None)
        bound.label = WORDS.get(str(bound.label), bound.label)
        if isinstance(bound.field, SetPasswordField) and bound.help_text:
            bound.help_text = PASSWORD_HELP
    return form
