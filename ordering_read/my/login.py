"""Logins of customers by password and by a mailed link, and links of visitors to one order."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.views.generic import FormView, TemplateView
from django_q.tasks import async_task

from config.accounts import links
from config.accounts.models import MailedLink, User
from config.accounts.sessions import Visitor, start_visit
from ordering_read.my.base import CountedPage
from ordering_read.queries.base import get_query_bus
from ordering_read.queries.customers import CustomerNotFoundError, GetCustomerByEmail
from ordering_write.published import spelled_order_number

_EMAIL_INPUT = forms.EmailInput(attrs={"autocomplete": "email"})


class PasswordForm(AuthenticationForm):
    """Asks for a password, and for the user name or the e-mail address of the customer."""

    error_messages = {
        "invalid_login": "The name and the password don't belong together.",
        "inactive": "This account is closed.",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = "E-mail address or user name"
        self.fields["username"].widget.attrs.pop("autofocus", None)

    def clean_username(self) -> str:
        name: str = self.cleaned_data["username"]
        return (_name_of(name) if "@" in name else None) or name


class LogInPage(CountedPage, LoginView):
    """Asks for an e-mail address to mail a link to, or for a name and a password."""

    template_name = "my/login.html"
    authentication_form = PasswordForm
    redirect_authenticated_user = True


class LinkForm(forms.Form):
    """Asks for the e-mail address of an account."""

    email = forms.EmailField(label="E-mail address", max_length=254, widget=_EMAIL_INPUT)


class OrderLinkForm(forms.Form):
    """Asks for the number of an order, and for the e-mail address that it was placed with."""

    number = forms.CharField(label="Order number", max_length=40)
    email = forms.EmailField(label="E-mail address", max_length=254, widget=_EMAIL_INPUT)


class AskLinkPage(CountedPage, FormView):
    """Asks for an e-mail address, and mails a link to the customer who has it.

    The answer is the same whether there is such a customer: the worker that sends the mail looks.
    """

    template_name = "my/ask_link.html"
    form_class: type[forms.Form] = LinkForm
    success_url = reverse_lazy("my:link-sent")

    def form_valid(self, form: forms.Form) -> HttpResponse:
        number = spelled_order_number(form.cleaned_data.get("number", ""))
        key = links.ask(self.request, email=form.cleaned_data["email"], order_number=number)
        async_task(f"{settings.WORKER_TASKS}.mail_link", key.hex, save=False)
        return super().form_valid(form)


class AskOrderLinkPage(AskLinkPage):
    """Asks a visitor for an order, and mails a link to it to the address of the order only."""

    template_name = "my/ask_order_link.html"
    form_class = OrderLinkForm


class LinkSentPage(CountedPage, TemplateView):
    """Says that a mail is on its way, if the address belongs to a customer."""

    template_name = "my/link_sent.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(
            minutes=settings.PASSWORD_RESET_TIMEOUT // 60,
            is_printed=not settings.EMAIL_HOST,
            **kwargs,
        )


class OpenLinkPage(CountedPage, TemplateView):
    """The page that a mailed link leads to; its button uses up the link.

    The page itself changes nothing, because programs that check mails open the links in them.
    """

    template_name = "my/open_link.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(key=self.request.GET.get("key", ""), **kwargs)

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        link = links.use(request, request.POST.get("key", ""))
        if link is None or link.customer_id is None:
            return self._refused()
        if link.order_id is not None:
            return self._show_order(link, Visitor(link.order_id, link.customer_id))
        user = links.account_of(link.customer_id)
        if user is None:
            return self._refused()
        [backend] = settings.AUTHENTICATION_BACKENDS
        login(request, user, backend=backend)
        return redirect("my:orders")

    def _show_order(self, link: MailedLink, visitor: Visitor) -> HttpResponse:
        start_visit(self.request, visitor)
        return redirect("my:order", link.order_number)

    def _refused(self) -> HttpResponse:
        return self.render_to_response({"is_refused": True}, status=410)


def _name_of(email: str) -> str | None:
    """Return the user name of the customer with this e-mail address, if there is an account."""
    try:
        customer_id: UUID = get_query_bus().dispatch(GetCustomerByEmail(email=email)).customer_id
    except CustomerNotFoundError:
        return None
    user = User.objects.filter(customer_id=customer_id).first()
    return user.get_username() if user else None
