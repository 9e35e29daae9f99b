"""Forms for commands, built from the JSON schema of the command."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django import forms
from pydantic import ValidationError

from config.http.answers.problems import detail_of
from config.http.form_renderer import FORM_RENDERER
from config.http.input.validation import errors_of
from ordering_read.admin.base import in_store_time
from ordering_read.admin.codes import countries, currencies
from ordering_read.admin.form_fields import (
    Choices,
    CommaSeparatedField,
    PairsField,
    SuggestingInput,
)
from ordering_read.admin.labels import MORE, field_label
from ordering_write.client import Command

Schema = Mapping[str, Any]
# The path of a field in the command: ("shipping_address", "city"), ("items", row name, "quantity").
Path = tuple[str, ...]

# Longer texts get a text area.
_SHORT_TEXT = 200


@dataclass(frozen=True)
class FormRow:
    """A row of the form for an element of a list; ``fixed`` are the fields that it doesn't show."""

    name: str
    label: str
    fixed: Mapping[str, Any] = field(default_factory=dict)
    initial: Mapping[str, Any] = field(default_factory=dict)


class FormContext:
    """Values, choices and labels for a form, from the record that the command is about.

    This base class has none. The argument ``name`` names a field of the command or of its parts.
    """

    def fixed(self, command_type: type[Command]) -> Mapping[str, Any]:
        """Return the fields of the command that the form doesn't show, and their values."""
        return {}

    def initial(self, command_type: type[Command]) -> Mapping[str, Any]:
        """Return the initial values of the form, by field name."""
        return {}

    def choices(self, command_type: type[Command], name: str) -> Choices | None:
        """Return the choices of a field, or None for a field that people type."""
        return None

    def suggestions(self, command_type: type[Command], name: str) -> Choices | None:
        """Return the suggestions for a field that people type, or None."""
        return None

    def group(self, name: str) -> str:
        """Return the heading of a field, or an empty text."""
        return ""

    def help_text(self, name: str) -> str:
        """Return what people should know about a field, or an empty text."""
        return ""

    def name_of(self, part_id: str) -> str:
        """Return the label of the record's part with this id, or an empty text."""
        return ""

    def rows(self, command_type: type[Command], name: str) -> Sequence[FormRow]:
        """Return the rows for a field that is a list."""
        return ()

    def is_optional(self, command_type: type[Command], name: str) -> bool:
        """Return True if ``complete`` fills in the field when people leave it empty."""
        return False

    def complete(self, command_type: type[Command], payload: dict[str, Any]) -> dict[str, Any]:
        """Return the payload made from the typed values. Raises Django's ValidationError."""
        return payload


class FixedContext(FormContext):
    """The context of a form that doesn't show ``fields``, whose values it knows."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def fixed(self, command_type: type[Command]) -> Mapping[str, Any]:
        return {
            name: value for name, value in self._fields.items() if name in command_type.model_fields
        }


@cache
def _schema_of(command_type: type[Command]) -> Schema:
    # Cached: making it takes longer than the rest of a form.
    return command_type.model_json_schema()


class CommandForm(forms.Form):
    """Asks for the payload of a command, except for the fields that ``context`` fixes."""

    required_css_class = "required"
    default_renderer = FORM_RENDERER

    def __init__(self, command_type: type[Command], context: FormContext, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._command_type, self._context = command_type, context
        self._initial = context.initial(command_type)
        excluded = {*Command.model_fields, *context.fixed(command_type)}
        schema = _schema_of(command_type)
        self._defs: Schema = schema.get("$defs", {})
        # The names of the form's fields, by their paths in the command.
        self._names: dict[Path, str] = {}
        # The name of the first field at or below a path, and the paths of the fields of each row.
        self._first_names: dict[Path, str] = {}
        self._row_paths: dict[Path, list[Path]] = {}
        # The choices and suggestions of each field name: the rows of a list share them.
        self._options: dict[str, tuple[Choices | None, Choices | None]] = {}
        # The names of fields whose suggestions an earlier field has listed.
        self._suggested: set[str] = set()
        self._rows: dict[str, Sequence[FormRow]] = {}
        # The rows that were filled in, in the order of the command's elements.
        self._filled_rows: dict[str, Sequence[FormRow]] = {}
        self._required = schema.get("required", ())
        for name, part in schema["properties"].items():
            if name not in excluded:
                self._add((name,), part, required=name in self._required)

    # --- Fields --------------------------------------------------------------------------------
    def _add(
        self, path: Path, schema: Schema, *, required: bool, row: FormRow | None = None
    ) -> None:
        schema, required = self._resolve(schema, required)
        match schema:
            case {"properties": parts}:
                required_names = schema.get("required", ()) if required else ()
                for name, part in parts.items():
                    self._add((*path, name), part, required=name in required_names, row=row)
            case {"type": "array", "items": {"$ref": _} as items}:
                # A list within a row, such as the taxes of a line, has no place in the table.
                if row is None:
                    self._add_rows(path, items)
            case {"format": "duration"}:
                # Leave out durations: nobody wants to write them in ISO 8601.
                return
            case _:
                self._add_field(path, schema, required=required, row=row)

    def _resolve(self, schema: Schema, required: bool) -> tuple[Schema, bool]:
        """Return the schema without "null" and references, and if its field stays required."""
        if "anyOf" in schema:
            schemas = [part for part in schema["anyOf"] if part.get("type") != "null"]
            return self._resolve(schemas[0], required and len(schemas) == len(schema["anyOf"]))
        if "$ref" in schema:
            return self._defs[schema["$ref"].rpartition("/")[2]], required
        return schema, required

    def _add_rows(self, path: Path, items: Schema) -> None:
        [name] = path
        self._rows[name] = rows = self._context.rows(self._command_type, name)
        element = self._resolve(items, True)[0]
        for row in rows:
            for part, schema in element["properties"].items():
                if part not in row.fixed:
                    # Empty rows aren't sent.
                    self._add((name, row.name, part), schema, required=False, row=row)

    def _add_field(
        self, path: Path, schema: Schema, *, required: bool, row: FormRow | None
    ) -> None:
        name = path[-1]
        required = required and not self._context.is_optional(self._command_type, name)
        if self._options_of(name)[0] == [] and not required:
            # An order without returns has none to choose.
            return
        form_field = self._field(name, schema, required=required, is_in_row=row is not None)
        label = field_label(name)
        form_field.label = f"{row.label}: {label}" if row else label
        initial = row.initial if row else self._initial
        form_field.initial = initial.get(name) or schema.get("default") or None
        if not row and not path[1:]:
            form_field.help_text = form_field.help_text or self._context.help_text(name)
        form_name = self._names[path] = "-".join(path)
        self.fields[form_name] = form_field
        for length in range(1, len(path) + 1):
            self._first_names.setdefault(path[:length], form_name)
        if row:
            self._row_paths.setdefault(path[:2], []).append(path)

    def _field(self, name: str, schema: Schema, *, required: bool, is_in_row: bool) -> forms.Field:
        choices, suggestions = self._options_of(name)
        if choices is None and "enum" in schema:
            choices = [(value, value.replace("_", " ")) for value in schema["enum"]]
        if choices is not None:
            empty = [] if required and len(choices) == 1 else [("", "---------")]
            return forms.ChoiceField(choices=[*empty, *choices], required=required)
        if suggestions is not None:
            is_first = name not in self._suggested
            self._suggested.add(name)
            widget = SuggestingInput(suggestions, list_id=f"{name}_list", with_list=is_first)
            return forms.CharField(required=required, widget=widget)
        match schema:
            case {"type": "integer"}:
                return forms.IntegerField(
                    required=required,
                    # In a row, 0 means the same as an empty field.
                    min_value=0 if is_in_row else schema.get("minimum"),
                    max_value=schema.get("maximum"),
                )
            case {"type": "boolean"}:
                return forms.BooleanField(required=False)
            case {"type": "array"}:
                return CommaSeparatedField(required=required, help_text="Separated by commas.")
            case {"type": "object"}:
                return PairsField(
                    required=required,
                    widget=forms.Textarea(attrs={"rows": 5, "cols": 60}),
                    help_text="One key=value in a line; a key alone removes its pair.",
                )
            case {"format": "date-time"}:
                return forms.DateTimeField(
                    required=required,
                    widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
                    help_text="In the store's time zone. Leave empty for now.",
                )
        is_long = schema.get("maxLength", 0) > _SHORT_TEXT
        return forms.CharField(
            required=required,
            max_length=schema.get("maxLength"),
            widget=forms.Textarea(attrs={"rows": 3, "cols": 60}) if is_long else forms.TextInput,
        )

    def _options_of(self, name: str) -> tuple[Choices | None, Choices | None]:
        """Return the choices and the suggestions of a field; reads each from the context once."""
        if name not in self._options:
            choices = self._context.choices(self._command_type, name)
            self._options[name] = (
                _codes(name) if choices is None else choices,
                self._context.suggestions(self._command_type, name),
            )
        return self._options[name]

    # --- Sections of the page ------------------------------------------------------------------
    def sections(self) -> list[dict[str, Any]]:
        """Return the groups of fields and the tables of rows, in the order of the command."""
        sections: dict[str, dict[str, Any]] = {}
        for path, name in self._names.items():
            if path[0] in self._rows:
                if path[0] not in sections:
                    sections[path[0]] = self._table(path[0])
            else:
                title = field_label(path[0]) if path[1:] else self._context.group(path[0])
                is_required = not path[1:] and title != MORE
                section = sections.setdefault(
                    title, {"title": title, "fields": [], "is_required": is_required}
                )
                section["fields"].append(self[name])
        for section in sections.values():
            # Fold a titled section if all its fields are optional, empty and free of errors.
            section["is_open"] = section["is_required"] or any(
                field.field.required or field.errors or field.value() for field in section["fields"]
            )
        return list(sections.values())

    def _table(self, name: str) -> dict[str, Any]:
        rows = [
            (row.label, [self[self._names[path]] for path in self._row_paths[name, row.name]])
            for row in self._rows[name]
        ]
        first_paths = self._row_paths[name, self._rows[name][0].name]
        return {
            "title": field_label(name),
            "columns": [field_label(path[-1]) for path in first_paths],
            "rows": rows,
            "fields": [field for _, fields in rows for field in fields],
            "is_required": name in self._required,
        }

    def focus(self) -> None:
        """Let the page begin at the first field with an error, or else at the first field."""
        names = [name for name in self.fields if name in self.errors] or list(self.fields)
        for name in names[:1]:
            self.fields[name].widget.attrs["autofocus"] = True

    def typed(self, *, besides: Collection[str]) -> list[tuple[str, str]]:
        """Return the labels and texts of what people typed, except for the texts in ``besides``.

        Addresses and rows are left out: the changes of a preview show them.
        """
        fields = [self[name] for path, name in self._names.items() if not path[1:]]
        texts = [(str(field.label), _text(field)) for field in fields if _is_changed(field)]
        return [(label, text) for label, text in texts if text and text not in besides]

    # --- From the form to the command ----------------------------------------------------------
    def payload(self) -> dict[str, Any]:
        """Return the fields of the command that were filled in."""
        payload: dict[str, Any] = {}
        for path, name in self._names.items():
            value = self.cleaned_data.get(name)
            if value not in ("", None, [], {}):
                _put(payload, path, value)
        for name, rows in self._rows.items():
            elements = payload.pop(name, {})
            filled = [row for row in rows if _is_filled(elements.get(row.name))]
            self._filled_rows[name] = filled
            if filled:
                payload[name] = [{**row.fixed, **elements[row.name]} for row in filled]
        return self._context.complete(self._command_type, payload)

    def command(self, **envelope: Any) -> Command | None:
        """Return the command, or None if the form isn't valid: ``errors`` says why."""
        if not self.is_valid():
            return None
        try:
            return self._command_type.model_validate(
                {**self.payload(), **self._context.fixed(self._command_type), **envelope}
            )
        except ValidationError as error:
            self.add_refusal(error)
        except forms.ValidationError as error:
            self.add_error(None, error)
        return None

    def add_refusal(self, error: Exception) -> None:
        """Show why the command is refused, beside the field that ``error`` points to."""
        members: Mapping[str, Any] = getattr(error, "members", dict[str, Any])()
        problems = members.get("errors")
        if isinstance(error, ValidationError):
            problems = errors_of(error)
        for problem in problems or [{"pointer": "", "detail": detail_of(error)}]:
            pointer, detail = problem["pointer"].strip("#/"), in_store_time(problem["detail"])
            name = self._name_at(pointer)
            self.add_error(name, f"{pointer}: {detail}" if pointer and not name else detail)

    def _name_at(self, pointer: str) -> str | None:
        """Return the name of the first form field at a JSON pointer such as ``items/0/quantity``.

        Returns None if the form has no such field.
        """
        steps = pointer.split("/")
        if len(steps) > 1 and steps[0] in self._filled_rows and steps[1].isdecimal():
            steps[1] = self._filled_rows[steps[0]][int(steps[1])].name
        return self._first_names.get(tuple(steps))


def _is_changed(field: forms.BoundField) -> bool:
    return bool(field.value() != field.initial)


def _text(field: forms.BoundField) -> str:
    """Return the value of a field as people chose or typed it."""
    value = field.value()
    if isinstance(value, bool):
        return "yes" if value else ""
    return str(dict(getattr(field.field, "choices", ())).get(value, value or ""))


def _codes(name: str) -> Choices | None:
    """Return the codes of a field for a country or a currency, with their names."""
    match name:
        case "country":
            return countries()
        case "currency":
            return currencies()
    return None


def _put(payload: dict[str, Any], path: Iterable[str], value: Any) -> None:
    *parents, last = path
    for parent in parents:
        payload = payload.setdefault(parent, {})
    payload[last] = value


def _is_filled(element: Mapping[str, Any] | None) -> bool:
    return any(value not in (0, False, "") for value in (element or {}).values())
