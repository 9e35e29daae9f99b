"""The filters of an admin list as one form above the list, with a chip for each filter in use."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import PAGE_VAR, SEARCH_VAR
from django.db.models import QuerySet
from django.http import HttpRequest, QueryDict

from config.http.errors import ParameterError
from config.http.form_renderer import FORM_RENDERER

# The choice of a select that filters nothing.
ANY = ("", "Any")


def day_input() -> forms.DateInput:
    """Return the input for a day, which sends such as 2026-03-01."""
    return forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class Chip(NamedTuple):
    """A filter in use, in words, and the query string of the list without it."""

    label: str
    value: str
    remove: str


class FilterForm(forms.Form):
    """A form whose fields are parameters of a list; none is required.

    A field with a HiddenInput is for links to the list: people only see its chip.
    """

    use_required_attribute = False
    default_renderer = FORM_RENDERER

    def __init__(self, data: Mapping[str, str], *, request: HttpRequest) -> None:
        super().__init__(data, label_suffix="", auto_id="filter-%s")
        self.request = request

    def select(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Return the ``rows`` that pass the filters; the form is valid."""
        raise NotImplementedError

    def words(self, name: str, value: str) -> str:
        """Return the ``value`` of the field ``name`` as people read it."""
        choices = dict(getattr(self.fields[name], "choices", ()))
        return str(choices.get(value, value))


class FormFilter(admin.ListFilter):
    """Filters a list by ``form_class``; see ``admin/filter_form.html``.

    Raises ParameterError for a wrong value of a hidden field.
    """

    title = "Filters"
    form_class: ClassVar[type[FilterForm]]

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: Any, model_admin: Any
    ) -> None:
        super().__init__(request, params, model, model_admin)
        self.values = {
            name: str(params.pop(name)[-1])
            for name in self.form_class.base_fields
            if name in params
        }
        self.form = self.form_class(self.values, request=request)
        for bound in self.form.hidden_fields():
            if bound.errors:
                # Nobody can correct a field that isn't shown.
                raise ParameterError(bound.name, f"{bound.name}: {bound.errors[0]}")
        for name in [name for name in self.form.fields if name in self.form.errors][:1]:
            self.form.fields[name].widget.attrs["autofocus"] = True

    def has_output(self) -> bool:
        # Django applies only filters with an output.
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.form_class.base_fields)

    def choices(self, changelist: Any) -> Iterator[Any]:
        return iter(())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return self.form.select(queryset) if self.form.is_valid() else queryset.none()

    @property
    def search(self) -> str:
        """The term of the search, which the form keeps."""
        return self.request.GET.get(SEARCH_VAR, "")

    @property
    def chips(self) -> list[Chip]:
        """The filters in use, in the order of the form."""
        return [
            Chip(
                str(self.form[name].label),
                self.form.words(name, self.values[name]),
                self._query_without({name}),
            )
            for name in self.form.fields
            if self.values.get(name)
        ]

    @property
    def without_filters(self) -> str:
        """The query string of the list without any filter."""
        return self._query_without(set(self.form_class.base_fields))

    def _query_without(self, names: set[str]) -> str:
        query = self.request.GET.copy()
        for name in names | {PAGE_VAR}:
            query.pop(name, None)
        return f"?{query.urlencode()}"


def without_empty(query: QueryDict, names: set[str]) -> QueryDict | None:
    """Return ``query`` without empty values of ``names``; None if there are none.

    A form also sends the fields that people left empty.
    """
    empty = [name for name in names if query.get(name) == ""]
    if not empty:
        return None
    rest = query.copy()
    for name in empty:
        del rest[name]
    return rest
