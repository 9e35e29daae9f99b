"""Erases the personal data of a customer's accounts."""

from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from knox.models import AuthToken

from config.accounts.models import MailedLink, User
from config.accounts.sessions import data_of, visitor_of


def erase_accounts_of(customer_id: UUID) -> dict[str, int]:
    """Disable and empty the accounts of a customer, and end their sessions and mailed links.

    Returns the numbers of accounts, sessions, tokens and admin history entries.
    """
    accounts = list(User.objects.select_for_update().filter(customer_id=customer_id))
    # Count the tokens before the accounts are disabled, which revokes them.
    tokens, _ = AuthToken.objects.filter(user__in=accounts).delete()
    MailedLink.objects.filter(customer_id=customer_id).delete()
    for account in accounts:
        account.username = f"erased-{account.pk}"
        account.email = account.first_name = account.last_name = ""
        account.is_active = False
        account.set_unusable_password()
        account.save()
    return {
        "accounts": len(accounts),
        "sessions": _end_sessions(accounts, customer_id),
        "tokens": tokens,
        "admin_history": _anonymize_history(accounts),
    }


def _end_sessions(accounts: list[User], customer_id: UUID) -> int:
    """End the sessions of ``accounts``, and those of visitors to an order of the customer."""
    # The table of sessions has no column for the user.
    user_ids = {str(account.pk) for account in accounts}
    session_keys = []
    for session in Session.objects.iterator():
        data = data_of(session)
        visitor = visitor_of(data)
        is_visit = visitor is not None and visitor.customer_id == customer_id
        if is_visit or data.get("_auth_user_id") in user_ids:
            session_keys.append(session.pk)
    Session.objects.filter(pk__in=session_keys).delete()
    return len(session_keys)


def _anonymize_history(accounts: list[User]) -> int:
    """Remove the name of each account from the admin's history; returns the number of entries."""
    entries = LogEntry.objects.filter(
        content_type=ContentType.objects.get_for_model(User),
        object_id__in=[str(account.pk) for account in accounts],
    )
    return entries.update(object_repr="[erased]", change_message="")
