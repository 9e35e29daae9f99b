"""The ports: a protocol for each outside system of the shop, whose adapter a setting chooses."""

from django.conf import settings

from ordering_write.ports.base import adapter
from ordering_write.ports.carrier import CarrierPort, carrier_port
from ordering_write.ports.catalog import CatalogPort, catalog_port
from ordering_write.ports.identity import IdentityPort, identity_port
from ordering_write.ports.notifier import NotifierPort, notifier_port
from ordering_write.ports.payment import PaymentPort, payment_port
from ordering_write.ports.pricing import PricingPort, pricing_port
from ordering_write.ports.risk import RiskPort, risk_port
from ordering_write.ports.tax import TaxPort, tax_port

# The protocols by their names in settings.PORTS.
PROTOCOLS: dict[str, type] = {
    "carrier": CarrierPort,
    "catalog": CatalogPort,
    "identity": IdentityPort,
    "notifier": NotifierPort,
    "payment": PaymentPort,
    "pricing": PricingPort,
    "risk": RiskPort,
    "tax": TaxPort,
}

__all__ = [
    "PROTOCOLS",
    "carrier_port",
    "catalog_port",
    "faults",
    "identity_port",
    "notifier_port",
    "payment_port",
    "pricing_port",
    "risk_port",
    "tax_port",
]


def faults() -> dict[str, str]:
    """Return the faults of settings.PORTS, by the name of the port."""
    unknown = settings.PORTS.keys() - PROTOCOLS.keys()
    faults = dict.fromkeys(unknown, "there is no such port")
    for name, protocol in PROTOCOLS.items():
        path = settings.PORTS.get(name)
        try:
            if not isinstance(adapter(name), protocol):
                faults[name] = f"{path} hasn't all methods of {protocol.__name__}"
        except Exception as error:
            faults[name] = f"{path} can't be made ({type(error).__name__}: {error})"
    return faults
