"""Connection tests: is the server the one that is meant, and does it take us for who we are? Knows no Django."""

from providers.connection.probing import probe
from providers.connection.report import Report, ServerCertificate, Step
from providers.connection.target import ClientMaterial, Target

__all__ = ["ClientMaterial", "Report", "ServerCertificate", "Step", "Target", "probe"]
