"""Links by mail: each opens a customer's account, or one order, once and for some minutes."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from config.accounts.models import MailedLink, User
from config.accounts.roles import Role, is_customer
from config.fields.text import identity_key
from config.http.limits import throttling


class _Tokens(PasswordResetTokenGenerator):
    """Signs links. A token is valid for PASSWORD_RESET_TIMEOUT seconds."""

    key_salt = "config.accounts.links"

    def _make_hash_value(self, link: Any, timestamp: int) -> str:
        return f"{link.key.hex} {link.customer_id} {link.order_id} {timestamp}"

    def _now(self) -> datetime:
        # Django takes the local time: in one night a year, a link would live an hour longer.
        return datetime.now(UTC).replace(tzinfo=None)


_tokens: Any = _Tokens()


def ask(request: HttpRequest, *, email: str, order_number: str = "") -> UUID:
    """Note that somebody wants a link, for an account or for one order; return its key.

    The same is done for every address, so that the answer doesn't tell which addresses customers
    have. Raises TooManyMailsError after too many requests with this address or by this client.
    """
    throttling.count_mail(request, email=email)
    now = timezone.now()
    link = MailedLink(
        subject=hashlib.sha256(f"{identity_key(email)} {order_number}".encode()).hexdigest(),
        key=uuid4(),
        email=email,
        order_number=order_number,
        origin=f"{request.scheme}://{request.get_host()}",
        asked_at=now,
    )
    names = [field.name for field in MailedLink._meta.concrete_fields if not field.primary_key]
    MailedLink.objects.bulk_create(
        [link], update_conflicts=True, unique_fields=["subject"], update_fields=names
    )
    # Twice the time, because the time of a link begins when it is sent.
    oldest = now - timedelta(seconds=2 * settings.PASSWORD_RESET_TIMEOUT)
    MailedLink.objects.filter(asked_at__lt=oldest).delete()
    return link.key


def grant(link: MailedLink, *, customer_id: UUID, order_id: UUID | None) -> str:
    """Let ``link`` open the account of a customer, or one order; return the text that opens it.

    Returns an empty text if a newer link has replaced it.
    """
    link.customer_id, link.order_id = customer_id, order_id
    rows = MailedLink.objects.filter(key=link.key)
    if not rows.update(customer_id=customer_id, order_id=order_id, email=""):
        return ""
    return f"{link.key.hex}.{_tokens.make_token(link)}"


def use(request: HttpRequest, text: str) -> MailedLink | None:
    """Use up the link that ``text`` opens; return None if it is used, replaced, old or forged.

    A wrong text counts as a failed login. Raises TooManyLoginsError after too many of them.
    """
    key, _, token = text.partition(".")
    counted = throttling.count_login(request, name=key[:32])
    with transaction.atomic():
        # The lock lets one of two requests at once use the link.
        rows = MailedLink.objects.select_for_update().exclude(customer_id=None)
        link = rows.filter(key__in=_uuids(key)).first()
        if link is None or not _tokens.check_token(link, token):
            return None
        rows.filter(pk=link.pk).delete()
    throttling.uncount_login(counted)
    return link


def has_open_account(customer_id: UUID) -> bool:
    """Return True if a link may open the account of a customer, who may have none yet.

    An account that may act for every customer is closed to links: staff give their password.
    """
    user = User.objects.filter(customer_id=customer_id).first()
    return user is None or (user.is_active and is_customer(user))


def account_of(customer_id: UUID) -> User | None:
    """Return the account of a customer, made at the first link; None if it is closed to links."""
    if not has_open_account(customer_id):
        return None
    defaults: Mapping[str, Any] = {
        "username": f"customer-{customer_id}",
        "password": make_password(None),
    }
    with transaction.atomic():
        user, is_new = User.objects.get_or_create(customer_id=customer_id, defaults=defaults)
        if is_new:
            user.groups.add(Group.objects.get(name=Role.CUSTOMER))
    return user


def _uuids(text: str) -> list[UUID]:
    """Return the UUID in ``text``; an empty list for anything else."""
    try:
        return [UUID(hex=text)]
    except ValueError:
        return []
