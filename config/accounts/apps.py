"""The accounts app: users, roles, tokens."""

from django.apps import AppConfig
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "config.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # Imported here because the module needs the models, which are loaded only now.
        from config.accounts.roles import sync_scope

        post_migrate.connect(sync_scope, sender=self)
