"""The write side as a Django app: commands change orders, stock and customers."""

from importlib import import_module

from django.core import checks
from django.db.models.signals import post_migrate

from config import shop_apps
from config.commands import CHECKS
from ordering_write.signals import domain_events


class OrderingWriteConfig(shop_apps.WriteApp):
    name = "ordering_write"
    verbose_name = "Log and commands (write side)"
    problem_table = "ordering_write.api.problems"

    def import_models(self) -> None:
        super().import_models()
        # The checkpoints of subscribers are in layers above the log, the other models below it.
        import_module("ordering_write.policies.models")
        import_module("ordering_write.relay.models")
        import_module("ordering_write.webhooks.models")

    def ready(self) -> None:
        super().ready()
        # Imported here: these modules need the models, which are loaded by now.
        from ordering_write import policies, relay, subscriptions, webhooks
        from ordering_write.bus import permissions
        from ordering_write.checks import (
            check_anonymized,
            check_archive,
            check_outbox_connected,
            check_ports,
            check_relay,
            check_upcasters,
        )
        from ordering_write.log import outbox
        from ordering_write.models import aggregate_types

        # Two aggregates with the same name of their streams are told at the start.
        aggregate_types()
        domain_events.connect(outbox.append, dispatch_uid="outbox.append")
        post_migrate.connect(permissions.keep_permissions, sender=self)
        subscriptions.register(policies.SUBSCRIPTION)
        subscriptions.register(webhooks.SUBSCRIPTION)
        subscriptions.register(relay.SUBSCRIPTION)
        post_migrate.connect(subscriptions.ensure_checkpoints_after_migrate, sender=self)
        checks.register(check_outbox_connected, CHECKS)
        checks.register(check_upcasters, CHECKS)
        checks.register(check_ports, CHECKS)
        checks.register(check_anonymized, CHECKS)
        checks.register(check_archive, CHECKS)
        checks.register(check_relay, CHECKS)
