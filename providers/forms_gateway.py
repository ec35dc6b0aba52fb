"""The form of a gateway."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms

from portal.audit import Actor
from portal.forms import NameField, StyledForm
from providers.gateway import registry
from providers.models import Gateway, Host, Provider


class GatewayForm(StyledForm, forms.ModelForm):  # type: ignore[type-arg]
    """What it is called, and for whom it works."""

    name = NameField(help_text="Short and unique in the team, as in edge-1.")
    hosts = forms.ModelMultipleChoiceField(
        Host.objects.none(), required=False, label="Hosts where callers reach it",
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip
    providers = forms.ModelMultipleChoiceField(
        Provider.objects.none(), required=False, label="Providers that it calls",
        widget=forms.CheckboxSelectMultiple,
    )  # fmt: skip

    class Meta:
        model = Gateway
        fields: ClassVar[list[str]] = ["name"]

    def __init__(self, *args: Any, instance: Gateway, **kwargs: Any) -> None:
        is_new = instance._state.adding
        chosen: dict[str, Any] = (
            {} if is_new else {"hosts": instance.hosts.all(), "providers": instance.providers.all()}
        )
        super().__init__(*args, instance=instance, initial=chosen, **kwargs)
        for name, rows in (("hosts", instance.team.hosts), ("providers", instance.team.providers)):
            field = cast("forms.ModelMultipleChoiceField[Any]", self.fields[name])
            field.queryset = rows.order_by("folded_name")

    def clean(self) -> dict[str, Any]:
        cleaned = cast("dict[str, Any]", super().clean())
        if not self.errors and not (cleaned["hosts"] or cleaned["providers"]):
            self.add_error(None, "Choose at least one host or provider: a gateway is sent what these need.")
        return cleaned

    def keep(self, actor: Actor) -> Gateway:
        """Registers or edits it; PortalError when it is refused."""
        keep = registry.register if self.instance._state.adding else registry.edit
        chosen = {name: list(self.cleaned_data[name]) for name in ("hosts", "providers")}
        return keep(gateway=self.instance, actor=actor, **chosen)
