"""The mails with links, which a worker sends, so that no visitor can tell who has an account."""

import logging
from datetime import timedelta
from smtplib import SMTPException
from uuid import UUID

from django.conf import settings
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from config.accounts import links
from config.accounts.models import MailedLink
from config.fields.text import identity_key
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.customers import CustomerView, GetCustomerByEmail, GetCustomerById
from ordering_read.queries.orders import GetOrderByNumber
from ordering_write.published import NotFoundError

logger = logging.getLogger(__name__)


def send(key: str) -> None:
    """Mail the link with this key to the customer it is for; forget it if there is none.

    A failure is logged, without the address: the customer may ask again.
    """
    link = MailedLink.objects.filter(key=UUID(hex=key)).exclude(email="").first()
    if link is None:
        # A newer link has replaced this one.
        return
    try:
        customer, order_id = _recipient(link)
    except NotFoundError:
        MailedLink.objects.filter(key=link.key).delete()
        return
    text = links.grant(link, customer_id=customer.customer_id, order_id=order_id)
    if not text:
        return
    context = {
        "name": customer.name,
        "number": link.order_number,
        "url": f"{link.origin}{reverse('my:open-link')}?{urlencode({'key': text})}",
        "until": timezone.now() + timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT),
    }
    subject = f"Order {link.order_number}" if link.order_number else "Your link to log in"
    try:
        send_mail(subject, render_to_string("my/mails/link.txt", context), None, [customer.email])
    except (SMTPException, OSError) as error:
        logger.error("A link couldn't be mailed: %s", type(error).__name__)


def _recipient(link: MailedLink) -> tuple[CustomerView, UUID | None]:
    """Return the customer who has the address of ``link``, and the order that it is for, if any.

    Raises a NotFoundError if nobody has the address, the order isn't that customer's, or the
    account is closed.
    """
    bus = get_query_bus()
    if link.order_number:
        order = bus.dispatch(GetOrderByNumber(order_number=link.order_number))
        customer = bus.dispatch(GetCustomerById(customer_id=order.customer_id))
        if identity_key(customer.email) != identity_key(link.email):
            raise NotFoundError
        return customer, order.id
    customer = bus.dispatch(GetCustomerByEmail(email=link.email))
    if not links.has_open_account(customer.customer_id):
        raise NotFoundError
    return customer, None
