"""Pages on which users give their password again: to change it, and before they change accounts."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.forms import AdminPasswordChangeForm
from django.contrib.auth import authenticate, login
from django.contrib.auth.views import PasswordChangeView, RedirectURLMixin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView
from rest_framework.permissions import SAFE_METHODS

from config.accounts.models import User
from config.accounts.sessions import is_login_recent
from config.http.limits import throttling

View = Callable[..., HttpResponseBase]


class OwnPasswordForm(AdminPasswordChangeForm):
    """Asks for the old password and a new one. Wrong old passwords count as failed logins."""

    def __init__(self, user: User, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(user, *args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        """Raises TooManyLoginsError after too many wrong passwords."""
        keys = throttling.count_login(self._request, name=self.user.get_username())
        old_password: str = super().clean_old_password()
        throttling.uncount_login(keys)
        return old_password


class OwnPasswordView(PasswordChangeView):
    """Changes the password of the user. The user's other sessions and the tokens end."""

    form_class = OwnPasswordForm

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}


class ConfirmForm(forms.Form):
    """Asks for the password of the user who is logged in."""

    password = forms.CharField(
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password", "autofocus": True}),
    )

    def __init__(self, *args: Any, request: HttpRequest, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request
        self.confirmed_user: Any = None

    def clean_password(self) -> str:
        """Raises TooManyLoginsError after too many wrong passwords."""
        password: str = self.cleaned_data["password"]
        name = self._request.user.get_username()
        self.confirmed_user = authenticate(self._request, username=name, password=password)
        if self.confirmed_user is None:
            raise ValidationError("This is not your password.", code="wrong_password")
        return password


@method_decorator(sensitive_post_parameters(), name="dispatch")
class ConfirmView(RedirectURLMixin, FormView):
    """Asks for the password again, then leads to the page of the parameter ``next``."""

    form_class = ConfirmForm
    template_name = "admin/confirm_password.html"
    extra_context: dict[str, Any]

    def get_default_redirect_url(self) -> str:
        return reverse("admin:index")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return super().get_context_data(next=self.get_redirect_url(), **kwargs)

    def form_valid(self, form: ConfirmForm) -> HttpResponse:
        # Django gives a new key to the session of another user only.
        self.request.session.cycle_key()
        login(self.request, form.confirmed_user)
        return redirect(self.get_success_url())


class AccountPages(admin.ModelAdmin):
    """Asks for the password again before somebody changes accounts, unless the login is recent."""

    def get_urls(self) -> list[Any]:
        urls: list[Any] = super().get_urls()
        for url in urls:
            is_read = str(url.name).endswith(("_changelist", "_history"))
            url.callback = _with_recent_login(url.callback, is_read=is_read)
        return urls


def _with_recent_login(view: View, *, is_read: bool) -> View:
    """Return ``view`` behind the question for the password; ``is_read`` frees safe methods."""

    @wraps(view)
    def protected(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        is_safe = request.method in SAFE_METHODS
        is_free = is_safe and is_read
        if is_free or not request.user.is_authenticated or is_login_recent(request):
            return view(request, *args, **kwargs)
        if not is_safe:
            messages.warning(request, "Nothing was changed yet: give your password first.")
        back = request.get_full_path() if is_safe else request.path
        return redirect(f"{reverse('admin:confirm')}?{urlencode({'next': back})}")

    return protected
