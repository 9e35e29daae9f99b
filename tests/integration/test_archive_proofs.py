"""The archive of a long log, its proof by several processes, and crashes while it is written."""

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from ordering_write import log
from ordering_write.archive import Storage, archive, begin_anew, check, query
from ordering_write.domain.events import OrderStatus
from ordering_write.models import ArchivedFile
from tests import kit
from tests.kit_crashes import DEATHS, Death, crash_everywhere
from tests.long_log import lengthen
from tests.proof import IS_PROOF, size

# The description of the columns takes the most of a small file.
MOST_BYTES_OF_EVENT = 250 if IS_PROOF else 1_000


@pytest.mark.proof
@pytest.mark.usefixtures("committed")
def test_an_event_takes_few_bytes_and_each_file_is_proved_by_a_process_of_its_own(
    tmp_path: Path, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.ARCHIVE_URL = str(tmp_path)
    product = kit.registered_product(on_hand=100)
    order = kit.placed_order(kit.registered_customer(), (product, 2))
    for status in (OrderStatus.CONFIRMED, OrderStatus.SHIPPED, OrderStatus.DELIVERED):
        kit.dispatch(kit.move(order, status))
    log.sequence()
    lengthen("order", events=size(300, full=1_000_000))

    files = list(archive(Storage(), events_of_file=size(100, full=250_000), rest=True))

    events = sum(file.events for file in files)
    assert events == log.last_position()
    assert sum(file.bytes for file in files) <= MOST_BYTES_OF_EVENT * events
    assert [checked for checked in check(Storage(), processes=2) if checked.faults] == []
    call_command("verify_archive", "--processes", "2", "--digests-only")
    print(f"{sum(file.bytes for file in files) / events:.0f} bytes an event")

    path = Path(Storage().address(files[2].name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    [spoiled] = [checked for checked in check(Storage(), processes=2) if checked.faults]
    assert spoiled.archived == ArchivedFile.objects.get(first=files[2].first)
    assert "row" in spoiled.faults[-1]


@pytest.mark.proof
@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("death_type", DEATHS)
def test_a_crash_anywhere_while_the_archive_is_written_loses_nothing(
    death_type: type[Death], tmp_path: Path
) -> None:
    product = kit.registered_product(on_hand=100)
    kit.placed_order(kit.registered_customer(), (product, 1))
    log.sequence()
    folders = count(1)

    def prepare() -> tuple[Callable[[], Any], Callable[[], Any]]:
        storage = Storage(str(tmp_path / f"archive-{next(folders)}"))
        begin_anew(storage)
        return partial(write_all, storage), partial(check_whole, storage)

    crash_everywhere(prepare, death_type, pace=size(17, full=1))


def write_all(storage: Storage) -> None:
    list(archive(storage, events_of_file=3, rest=True))


def check_whole(storage: Storage) -> None:
    """Check that the archive is sound, and that no event is missing in it or twice."""
    assert [checked for checked in check(storage) if checked.faults] == []
    positions = query(storage, "SELECT position FROM event ORDER BY position", limit=10_000).rows
    assert positions == [(position,) for position in range(1, log.last_position() + 1)]
