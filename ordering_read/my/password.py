"""The page on which customers choose a password."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.forms import SetPasswordForm
from django.http import HttpRequest, HttpResponse
from django.urls import reverse_lazy

from config.accounts.models import User
from config.accounts.sessions import is_login_recent
from config.accounts.views import OwnPasswordForm, OwnPasswordView
from ordering_read.my.base import CustomerPage


class FirstPasswordForm(SetPasswordForm):
    """Asks for a password for an account without one, soon after its login by a link."""

    def __init__(self, user: User, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self._request = request

    def clean(self) -> dict[str, Any] | None:
        if not is_login_recent(self._request):
            self.add_error(None, "Log out, and log in by a new link: then you can choose one.")
        return super().clean()


class PasswordPage(CustomerPage, OwnPasswordView):
    """Sets the password of the customer. The customer's other sessions and tokens end."""

    template_name = "my/password.html"
    success_url = reverse_lazy("my:orders")

    def get_form_class(self) -> type[Any]:
        user = cast(User, self.request.user)
        return OwnPasswordForm if user.has_usable_password() else FirstPasswordForm

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        messages.success(self.request, "You can log in by this password from now on.")
        return response
