"""Forms for commands, made of the fields that a command declares."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from pydantic import ValidationError

from config.http.answers.problems import detail_of
from config.http.input.validation import errors_of
from ordering_read.admin.command_words import words
from ordering_write.client import Command

Schema = Mapping[str, Any]
Choices = Sequence[tuple[str, str]]

# Longer texts are given room.
_SHORT = 200


@dataclass(frozen=True)
class Row:
    """One element of a list that the form fills: its name, its label and what stands in it."""

    name: str
    label: str
    known: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)


class Subject:
    """What a form knows of the thing that its command is about. The base knows nothing."""

    def fixed(self, kind: type[Command]) -> Mapping[str, Any]:
        """The fields of the command that aren't asked for."""
        return {}

    def initial(self, kind: type[Command]) -> Mapping[str, Any]:
        """What stands in the fields at first, by their names."""
        return {}

    def choices(self, kind: type[Command], name: str) -> Choices | None:
        """What can be chosen in a field, None for a field that is typed."""
        return None

    def suggestions(self, kind: type[Command], name: str) -> Choices | None:
        """What is proposed in a field that is typed."""
        return None

    def names(self) -> Mapping[str, str]:
        """What its parts are called, by their ids."""
        return {}

    def rows(self, kind: type[Command], name: str) -> Sequence[Row]:
        """The elements that a list may have."""
        return ()

    def may_be_empty(self, kind: type[Command], name: str) -> bool:
        """Whether ``complete`` fills the field in when nothing is typed."""
        return False

    def complete(self, kind: type[Command], payload: dict[str, Any]) -> dict[str, Any]:
        """The payload, of what people have typed. Raises Django's ValidationError."""
        return payload


class Suggesting(forms.TextInput):
    """A text with proposals. The browser filters them; no script is needed."""

    template_name = "admin/ordering_read/suggesting.html"

    def __init__(self, proposals: Choices) -> None:
        super().__init__(attrs={"autocomplete": "off"})
        self.proposals = proposals

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        context: dict[str, Any] = super().get_context(name, value, attrs)
        context["widget"]["attrs"]["list"] = f"id_{name}_list"
        return context | {"proposals": self.proposals}


class Several(forms.CharField):
    """Some short texts with commas between them."""

    def to_python(self, value: Any) -> Any:
        return [part.strip() for part in (value or "").split(",") if part.strip()]


class CommandForm(forms.Form):
    """Asks for the payload of one kind of command, but for what ``subject`` knows already."""

    required_css_class = "required"

    def __init__(self, kind: type[Command], subject: Subject, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kind, self._subject = kind, subject
        self._initial = subject.initial(kind)
        left_out = {*Command.model_fields, *subject.fixed(kind)}
        schema = kind.model_json_schema()
        self._defs: Schema = schema.get("$defs", {})
        # The name of the form's field, by the place in the command.
        self._fields: dict[tuple[str, ...], str] = {}
        self._rows: dict[str, Sequence[Row]] = {}
        # Those of them that were filled in: the elements that the command has.
        self._sent: dict[str, Sequence[Row]] = {}
        required = schema.get("required", ())
        for name, part in schema["properties"].items():
            if name not in left_out:
                self._add((name,), part, required=name in required)

    # --- What is asked -------------------------------------------------------------------------
    def _add(
        self, place: tuple[str, ...], schema: Schema, *, required: bool, row: Row | None = None
    ) -> None:
        schema, required = self._plain(schema, required)
        match schema:
            case {"properties": parts}:
                inner = schema.get("required", ())
                for name, part in parts.items():
                    self._add((*place, name), part, required=required and name in inner, row=row)
            case {"type": "array", "items": {"$ref": _} as items}:
                self._add_rows(place, items, required=required)
            case {"format": "duration"}:
                # Nobody can be expected to write one as ISO 8601 has it.
                return
            case _:
                self._add_field(place, schema, required=required, row=row)

    def _plain(self, schema: Schema, required: bool) -> tuple[Schema, bool]:
        """The schema without what says that it may be null, or that it is somewhere else."""
        if "anyOf" in schema:
            others = [part for part in schema["anyOf"] if part.get("type") != "null"]
            return self._plain(others[0], required and len(others) == len(schema["anyOf"]))
        if "$ref" in schema:
            return self._defs[schema["$ref"].rpartition("/")[2]], required
        return schema, required

    def _add_rows(self, place: tuple[str, ...], items: Schema, *, required: bool) -> None:
        [name] = place
        self._rows[name] = rows = self._subject.rows(self._kind, name)
        for row in rows:
            element = self._plain(items, True)[0]
            for part, schema in element["properties"].items():
                if part not in row.known:
                    # Rows that are left empty aren't sent.
                    self._add((name, row.name, part), schema, required=False, row=row)

    def _add_field(
        self, place: tuple[str, ...], schema: Schema, *, required: bool, row: Row | None
    ) -> None:
        name = place[-1]
        required = required and not self._subject.may_be_empty(self._kind, name)
        form_field = self._field(name, schema, required=required, is_in_row=row is not None)
        form_field.label = f"{row.label}: {words(name)}" if row else words(name)
        initial = row.initial if row else self._initial
        form_field.initial = initial.get(name) or schema.get("default") or None
        self._fields[place] = "-".join(place)
        self.fields["-".join(place)] = form_field

    def _field(self, name: str, schema: Schema, *, required: bool, is_in_row: bool) -> forms.Field:
        choices = self._subject.choices(self._kind, name)
        if choices is None and "enum" in schema:
            choices = [(each, each.replace("_", " ")) for each in schema["enum"]]
        if choices is not None:
            empty = [] if required and len(choices) == 1 else [("", "---------")]
            return forms.ChoiceField(choices=[*empty, *choices], required=required)
        proposals = self._subject.suggestions(self._kind, name)
        if proposals is not None:
            return forms.CharField(required=required, widget=Suggesting(proposals))
        match schema:
            case {"type": "integer"}:
                return forms.IntegerField(
                    required=required,
                    # None of a row is as good as an empty one.
                    min_value=0 if is_in_row else schema.get("minimum"),
                    max_value=schema.get("maximum"),
                )
            case {"type": "boolean"}:
                return forms.BooleanField(required=False)
            case {"type": "array"}:
                return Several(required=required, help_text="With commas between them.")
            case {"format": "date-time"}:
                return forms.DateTimeField(
                    required=required,
                    widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
                    help_text="In the store's time; empty for now.",
                )
        long = schema.get("maxLength", 0) > _SHORT
        return forms.CharField(
            required=required,
            max_length=schema.get("maxLength"),
            widget=forms.Textarea(attrs={"rows": 3, "cols": 60}) if long else forms.TextInput,
        )

    def parts(self) -> list[dict[str, Any]]:
        """What the page shows, in the command's order: groups of fields, and tables of rows."""
        parts: dict[str, dict[str, Any]] = {}
        for place, name in self._fields.items():
            if place[0] in self._rows:
                parts.setdefault(place[0], self._table(place[0]))
            else:
                title = words(place[0]) if place[1:] else ""
                part = parts.setdefault(title, {"title": title, "fields": []})
                part["fields"].append(self[name])
        for part in parts.values():
            # Of what may be left out as a whole, nobody has to see more than the name.
            fields = part.get("fields", ())
            part["is_open"] = not part["title"] or any(
                field.field.required or field.errors or field.value() for field in fields
            )
        return list(parts.values())

    def _table(self, name: str) -> dict[str, Any]:
        rows = self._rows[name]
        return {
            "title": words(name),
            "columns": [words(place[-1]) for place in self._places(name, rows[0])],
            "rows": [
                (row.label, [self[self._fields[place]] for place in self._places(name, row)])
                for row in rows
            ],
        }

    def _places(self, name: str, row: Row) -> list[tuple[str, ...]]:
        return [place for place in self._fields if place[:2] == (name, row.name)]

    # --- What was answered ---------------------------------------------------------------------
    def payload(self) -> dict[str, Any]:
        """The fields of the command, as far as something was said about them."""
        said: dict[str, Any] = {}
        for place, name in self._fields.items():
            value = self.cleaned_data.get(name)
            if value not in ("", None, []):
                _put(said, place, value)
        for name, rows in self._rows.items():
            answered = said.pop(name, {})
            filled = [row for row in rows if _is_filled(answered.get(row.name))]
            self._sent[name] = filled
            if filled:
                said[name] = [{**row.known, **answered[row.name]} for row in filled]
        return self._subject.complete(self._kind, said)

    def command(self, **envelope: Any) -> Command | None:
        """The command that was asked for; None, with what is wrong in ``errors``, if it is none."""
        if not self.is_valid():
            return None
        try:
            return self._kind.model_validate(
                {**self.payload(), **self._subject.fixed(self._kind), **envelope}
            )
        except ValidationError as error:
            self.refuse(error)
        except forms.ValidationError as error:
            self.add_error(None, error)
        return None

    def refuse(self, error: Exception) -> None:
        """Show why the command isn't possible, beside the field that it is about."""
        members: Mapping[str, Any] = getattr(error, "members", dict[str, Any])()
        complaints = members.get("errors")
        if isinstance(error, ValidationError):
            complaints = errors_of(error)
        for one in complaints or [{"pointer": "", "detail": detail_of(error)}]:
            name = self._name_at(one["pointer"].removeprefix("#").strip("/").split("/"))
            self.add_error(name, one["detail"] if name else _told(one))

    def _name_at(self, steps: Sequence[str]) -> str | None:
        place = list(steps)
        if len(place) > 1 and place[0] in self._sent and place[1].isdecimal():
            place[1] = self._sent[place[0]][int(place[1])].name
        within = [name for at, name in self._fields.items() if list(at[: len(place)]) == place]
        return within[0] if within and steps != [""] else None


def _told(complaint: Mapping[str, str]) -> str:
    about = complaint["pointer"].removeprefix("#/")
    return f"{about}: {complaint['detail']}" if about else complaint["detail"]


def _put(said: dict[str, Any], place: Iterable[str], value: Any) -> None:
    *path, last = place
    for step in path:
        said = said.setdefault(step, {})
    said[last] = value


def _is_filled(answers: Mapping[str, Any] | None) -> bool:
    return any(value not in (0, False, "") for value in (answers or {}).values())
