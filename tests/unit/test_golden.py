"""Every event ever stored can be read: the golden corpus, which may only grow."""

import pytest

from ordering_write.domain.events import DomainEvent
from tests import kit_golden

HOW_TO = "docs/how-to/change-an-event.md says how a golden file is added"


def test_every_event_type_and_version_has_a_golden_file():
    released = {
        (name, version)
        for name, event_type in DomainEvent.types.items()
        for version in range(1, event_type.schema_version + 1)
    }
    present = {kit_golden.type_and_version(path) for path in kit_golden.all_paths()}
    assert present == released, HOW_TO


def test_no_golden_file_was_changed_or_removed():
    recorded_sums = kit_golden.SUMS.read_text().splitlines()
    assert sorted(recorded_sums) == sorted(map(kit_golden.sum_of, kit_golden.all_paths())), HOW_TO


def test_each_golden_event_is_read_as_the_newest_version(subtests: pytest.Subtests) -> None:
    for path in kit_golden.all_paths():
        with subtests.test(path.stem):
            event = kit_golden.read(path)
            newest = kit_golden.path_of(event.type, event.schema_version)
            assert kit_golden.stored(event) == newest.read_text()


def test_each_golden_event_is_read_when_its_personal_fields_are_erased(
    subtests: pytest.Subtests,
) -> None:
    for path in kit_golden.all_paths():
        with subtests.test(path.stem):
            event = kit_golden.read(path, erased=True)
            fields = event.erased_fields()
            assert event.model_dump(include=set(fields), exclude_unset=True) == fields
