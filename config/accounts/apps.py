"""The accounts app: users, roles, tokens."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_migrate


class AccountsConfig(AppConfig):
    name = "config.accounts"
    label = "accounts"
    verbose_name = "Accounts"

    def ready(self) -> None:
        # Imported here because the modules need the models, which are loaded only now.
        from config.accounts import audit
        from config.accounts.roles import sync_scope
        from config.accounts.sessions import start_session

        post_migrate.connect(sync_scope, sender=self)
        user_logged_in.connect(start_session)
        user_logged_in.connect(audit.log_login)
        user_logged_out.connect(audit.log_logout)
        user_login_failed.connect(audit.log_failure)
