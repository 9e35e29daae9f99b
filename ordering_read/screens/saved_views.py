"""The page of saved views, which saves, renames and deletes them."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase
from django.shortcuts import redirect

from config.accounts import saved_views
from config.http.admin import list_url
from config.http.errors import ParameterError, UnknownParameterError
from ordering_read import permissions
from ordering_read.admin.base import user_of
from ordering_read.admin.order_filters import OrderFilterForm
from ordering_read.models import OrderSummary
from ordering_read.screens.base import Screen


class _NameForm(forms.Form):
    name = forms.CharField(max_length=60)


class SavedViewsScreen(Screen):
    """The views of the user, with forms to rename and to delete each."""

    template_name = "screens/saved_views.html"
    title = "Saved views"
    needed_permission = permissions.VIEW_ORDERS

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = user_of(self.request)
        may_share = self.may(permissions.SHARE_VIEWS)
        views = [
            (view, view.user_id == user.pk or (view.is_shared and may_share))
            for view in saved_views.views_of(user)
        ]
        return super().get_context_data(
            views=views,
            may_change_any=any(may_change for _, may_change in views),
            orders_url=list_url(OrderSummary),
            **kwargs,
        )

    def post(self, request: HttpRequest) -> HttpResponseBase:
        """Do what the parameter ``do`` says: "save", "rename" or "delete"."""
        act = {"save": self._save, "rename": self._rename, "delete": self._delete}
        do = request.POST.get("do", "")
        if do not in act:
            raise ParameterError("do", f"A view can't be changed by {do!r}.")
        return redirect(act[do]())

    def _save(self) -> str:
        query = _filters(self.request)
        if name := self._name():
            is_shared = "is_shared" in self.request.POST and self.may(permissions.SHARE_VIEWS)
            user = user_of(self.request)
            try:
                saved_views.save(user, name=name, query=query, is_shared=is_shared)
            except saved_views.TooManyViewsError as error:
                messages.error(self.request, str(error))
            else:
                messages.success(self.request, f"The view {name} is saved.")
        return list_url(OrderSummary, f"?{query}")

    def _rename(self) -> str:
        if name := self._name():
            user, may_share = user_of(self.request), self.may(permissions.SHARE_VIEWS)
            try:
                is_done = saved_views.rename(user, self._key(), name, may_share=may_share)
            except saved_views.NameTakenError as error:
                messages.error(self.request, str(error))
            else:
                self._report(is_done, f"The view is called {name} now.")
        return self.request.path

    def _delete(self) -> str:
        user, may_share = user_of(self.request), self.may(permissions.SHARE_VIEWS)
        is_done = saved_views.delete(user, self._key(), may_share=may_share)
        self._report(is_done, "The view is deleted.")
        return self.request.path

    def _report(self, is_done: bool, text: str) -> None:
        if is_done:
            messages.success(self.request, text)
        else:
            messages.error(self.request, "You have no such view.")

    def _name(self) -> str:
        """Return the name that was typed; "" and a message if it isn't a name."""
        form = _NameForm(self.request.POST)
        if not form.is_valid():
            messages.error(self.request, f"The name of a view: {form.errors['name'][0]}")
            return ""
        return str(form.cleaned_data["name"])

    def _key(self) -> int:
        text = self.request.POST.get("view", "")
        if not (text.isascii() and text.isdigit() and len(text) < 19):
            raise ParameterError("view", f"{text!r} is not the number of a view.")
        return int(text)


def _filters(request: HttpRequest) -> str:
    """Return the query string to save, which holds filters only.

    Raises ParameterError without valid filters, and UnknownParameterError for other parameters. A
    search isn't kept: it is often the name of a person.
    """
    sent = QueryDict(request.POST.get("query", ""), mutable=True)
    for name in ("q", "p", "o"):
        sent.pop(name, None)
    names = list(OrderFilterForm.base_fields)
    for name in sent:
        if name not in names:
            raise UnknownParameterError(name, names)
    form = OrderFilterForm(sent.dict(), request=request)
    query = sent.urlencode()
    if not sent or not form.is_valid() or len(query) > 2000:
        raise ParameterError("query", "A view needs filters that the list of orders accepts.")
    return query
