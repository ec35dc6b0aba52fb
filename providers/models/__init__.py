"""Who uses certificates, providers and hosts, and what connection tests say of them."""

from __future__ import annotations

from providers.models.connection import REPORTS_KEPT, ConnectionReport, Rehearsal
from providers.models.following import Alert, Change, Overlap, OverlapProof
from providers.models.gateway import Gateway, GatewaySecret, GatewayToken
from providers.models.host import Host
from providers.models.provider import PORT_RANGE, Provider
from providers.models.share import Installed, SharePage

__all__ = [
    "PORT_RANGE",
    "REPORTS_KEPT",
    "Alert",
    "Change",
    "ConnectionReport",
    "Gateway",
    "GatewaySecret",
    "GatewayToken",
    "Host",
    "Installed",
    "Overlap",
    "OverlapProof",
    "Provider",
    "Rehearsal",
    "SharePage",
]
