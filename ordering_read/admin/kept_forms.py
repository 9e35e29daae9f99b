"""Kept forms: the fields that somebody typed, in the session for a short time.

A POST keeps its fields and redirects to the page that shows them, so that the back button leads to
a page. A POST after the end of its session keeps them too: after the login the form is as it was.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from django.contrib import admin, messages
from django.contrib.auth.views import redirect_to_login
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.datastructures import MultiValueDict
from django.views.decorators.csrf import csrf_exempt
from rest_framework.authentication import CSRFCheck

from config.accounts.models import User
from config.http.admin import parse_uuid

# The parameter of the page that shows a kept form, and the hidden field with the signature.
PARAMETER = "kept"
SIGNATURE = "typed_by"

_SECONDS = 30 * 60
# A form that was opened longer ago than this is lost with its session.
_SIGNATURE_SECONDS = 24 * 3600
# The most forms that a session keeps: each request reads them.
_MOST = 5
_KEY = "kept_forms"
# The hidden fields with the id of a form.
_ID_FIELDS = ("command_id", "job_id")
# Fields that aren't kept.
_OMITTED = {"csrfmiddlewaretoken", "confirm", SIGNATURE}

View = Callable[..., HttpResponseBase]


@dataclass(frozen=True)
class KeptForm:
    """The fields of a form as they were sent; ``refusal`` says why they weren't accepted then."""

    fields: MultiValueDict[str, str]
    refusal: str = ""

    @property
    def texts(self) -> dict[str, str]:
        """The last value of each field."""
        return {name: str(self.fields[name]) for name in self.fields}


def signature(user: User) -> str:
    """Return the value of the hidden field SIGNATURE in the forms of ``user``.

    Without it, strangers could fill the table of sessions with texts of theirs.
    """
    return signing.dumps(str(user.pk), salt=_KEY)


def keep(request: HttpRequest, refusal: str = "") -> str:
    """Keep the fields of a POST in the session; return the URL of the page that shows them."""
    return _keep(request, str(request.user.pk), refusal)


def find(request: HttpRequest) -> KeptForm | None:
    """Return the form that the URL names, if the user of the session typed it for this page."""
    kept = _kept(request).get(request.GET.get(PARAMETER, ""))
    if kept is None or (kept["user"], kept["path"]) != (str(request.user.pk), request.path):
        return None
    return KeptForm(MultiValueDict(kept["fields"]), kept["refusal"])


def find_or_tell(request: HttpRequest) -> KeptForm | None:
    """Return the form that the URL names; tell the user if it is no longer kept."""
    kept = find(request)
    if kept is None and PARAMETER in request.GET:
        messages.info(request, "This form was sent already, or what was typed is no longer kept.")
    return kept


def drop(request: HttpRequest) -> None:
    """Forget the form that was sent."""
    kept = _kept(request)
    if kept.pop(_name(request), None):
        request.session[_KEY] = kept


def kept_after_login(view: View) -> View:
    """Return ``view``, a view of the admin site, which keeps the form of a former login's POST.

    The session of that login has ended, or the person has logged in anew since and the CSRF token
    of the form is old. The form is for the person who opened it, and nothing is carried out.
    """

    @wraps(view)
    def keeping(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        author = _signed_user(request) if request.method == "POST" else ""
        if author and not request.user.is_authenticated:
            return redirect_to_login(_keep(request, author, ""), reverse("admin:login"))
        if author == str(request.user.pk) and _has_old_token(request, view):
            messages.warning(request, "You have logged in again since you opened this form.")
            return redirect(_keep(request, author, ""))
        return view(request, *args, **kwargs)

    # The view of the admin site checks the token.
    return csrf_exempt(keeping)


def _has_old_token(request: HttpRequest, view: View) -> bool:
    check = CSRFCheck(lambda _request: HttpResponse())
    check.process_request(request)
    return check.process_view(request, view, (), {}) is not None


def site_view(view: View) -> View:
    """Return ``view`` as a page of the admin site with ``kept_after_login``."""
    return kept_after_login(admin.site.admin_view(view))


def _signed_user(request: HttpRequest) -> str:
    """Return the id of the user who opened the form, "" without a valid signature."""
    try:
        user: str = signing.loads(
            request.POST.get(SIGNATURE, ""), salt=_KEY, max_age=_SIGNATURE_SECONDS
        )
    except signing.BadSignature:
        return ""
    return user


def _keep(request: HttpRequest, user: str, refusal: str) -> str:
    name = _name(request)
    fields = {name: values for name, values in request.POST.lists() if name not in _OMITTED}
    form = {
        "user": user,
        "path": request.path,
        "at": time.time(),
        "fields": fields,
        "refusal": refusal,
    }
    others = [(key, other) for key, other in _kept(request).items() if key != name]
    request.session[_KEY] = dict([*others, (name, form)][-_MOST:])
    return f"{request.path}?{urlencode({PARAMETER: name})}"


def _kept(request: HttpRequest) -> dict[str, Any]:
    """Return the kept forms of the session that aren't too old, by name."""
    earliest = time.time() - _SECONDS
    forms: dict[str, Any] = request.session.get(_KEY, {})
    return {name: form for name, form in forms.items() if form["at"] > earliest}


def _name(request: HttpRequest) -> str:
    """Return the name of a form: each form that is opened has an id of its own."""
    texts = (request.POST.get(field, "") for field in _ID_FIELDS)
    return str(next(filter(None, map(parse_uuid, texts)), None) or uuid4())
