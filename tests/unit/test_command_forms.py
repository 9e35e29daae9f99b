"""Forms of commands with a row per line: their work grows with the lines, and no faster."""

from collections.abc import Mapping, Sequence
from cProfile import Profile
from typing import Any
from uuid import UUID

import pytest
from django.template.loader import render_to_string
from django.utils import timezone

from ordering_read.admin.base import in_store_time
from ordering_read.admin.command_forms import CommandForm, FormContext, FormRow
from ordering_read.admin.form_fields import Choices
from ordering_write.domain.commands import Command, RequestRefund, RequestReturn
from ordering_write.handlers import all_handlers

ORDER_ID = UUID(int=7)


class Lines(FormContext):
    """The context of an order with this number of lines."""

    def __init__(self, count: int) -> None:
        self.line_ids = [UUID(int=number) for number in range(1, count + 1)]

    def fixed(self, command_type: type[Command]) -> Mapping[str, Any]:
        return {"order_id": ORDER_ID} if "order_id" in command_type.model_fields else {}

    def rows(self, command_type: type[Command], name: str) -> Sequence[FormRow]:
        return [
            FormRow(name=str(line_id), label=f"Line {line_id}", fixed={"line_id": line_id})
            for line_id in self.line_ids
        ]


def has_rows(command_type: type[Command]) -> bool:
    form = CommandForm(command_type, Lines(1))
    return any(name.count("-") > 4 for name in form.fields)


def field_name(line_id: UUID, part: str) -> str:
    return f"items-{line_id}-{part}"


def show_and_send(command_type: type[Command], *, lines: int, value: str) -> None:
    """Render the form as the page does, then send it with ``value`` in every field."""
    context = Lines(lines)
    form = CommandForm(command_type, context)
    sent = CommandForm(command_type, context, data=dict.fromkeys(form.fields, value))
    sent.command()
    for shown in (form, sent):
        for section in shown.sections():
            render_to_string("admin/ordering_read/command_section.html", {"section": section})
    for field in sent:
        field.as_hidden()


def calls_of(command_type: type[Command], *, lines: int, value: str) -> int:
    """Return the number of function calls that the form costs."""
    profile = Profile(builtins=False)
    with profile:
        show_and_send(command_type, lines=lines, value=value)
    return sum(entry.callcount for entry in profile.getstats())


def test_the_later_lines_of_a_form_cost_as_many_calls_as_the_first(
    subtests: pytest.Subtests,
) -> None:
    shown = [command for command, handler in all_handlers().items() if handler.has_route]
    with_rows = [command for command in shown if has_rows(command)]
    assert RequestReturn in with_rows
    assert len(with_rows) >= 6

    for command_type in with_rows:
        for value in ("1", "not a number"):
            with subtests.test(command=command_type.__name__, value=value):
                # The first form of a type fills caches.
                show_and_send(command_type, lines=1, value=value)
                few, more, many = (
                    calls_of(command_type, lines=lines, value=value) for lines in (1, 4, 7)
                )
                # A run of the garbage collector makes a few calls too.
                assert many - more <= 1.02 * (more - few)


def test_an_error_in_an_element_stands_at_the_row_that_made_it() -> None:
    context = Lines(3)
    second, third = context.line_ids[1:]
    fields = {
        field_name(second, "quantity"): "1",
        field_name(second, "reason"): "damaged",
        field_name(third, "quantity"): "2",
    }
    form = CommandForm(RequestReturn, context, data=fields)

    assert form.command(command_id=UUID(int=9), user_id=UUID(int=1)) is None
    assert list(form.errors) == [field_name(third, "reason")]


def test_an_optional_choice_without_choices_is_left_out() -> None:
    class WithoutReturns(FormContext):
        def choices(self, command_type: type[Command], name: str) -> Choices | None:
            return [] if name == "return_id" else None

    assert "return_id" in CommandForm(RequestRefund, FormContext()).fields
    assert "return_id" not in CommandForm(RequestRefund, WithoutReturns()).fields


def test_refusals_say_their_times_in_the_zone_of_the_store() -> None:
    with timezone.override("Europe/Madrid"):
        assert in_store_time("It expires at 2026-12-03 23:46 UTC.") == (
            "It expires at 4 Dec 2026, 00:46."
        )
        assert in_store_time("2026-07-01 09:00:10.5+02:00 lies in the future.") == (
            "1 Jul 2026, 09:00 lies in the future."
        )
        # Texts that people typed may look like moments.
        for text in ("2026-99-99 10:00 UTC", "0001-01-01 00:00 UTC", "LAMP 2026-12-03"):
            assert in_store_time(text) == text


def test_inputs_and_errors_are_escaped() -> None:
    context = Lines(1)
    [line_id] = context.line_ids
    name = field_name(line_id, "quantity")
    form = CommandForm(RequestReturn, context, data={name: '"><script>'})
    form.is_valid()
    form.add_error(name, "<b>wrong</b>")

    section, _ = form.sections()
    html = render_to_string("admin/ordering_read/command_section.html", {"section": section})

    assert 'value="&quot;&gt;&lt;script&gt;"' in html
    assert "<li>&lt;b&gt;wrong&lt;/b&gt;</li>" in html
    assert "<script>" not in html
    assert f'id="id_{name}"' in html
