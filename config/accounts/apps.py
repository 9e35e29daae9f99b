"""The accounts app: who may use the service, and as what."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "config.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # Imported here: the module needs the models, which are loaded by now.
        from config.accounts.roles import keep_scope

        post_migrate.connect(keep_scope, sender=self)
