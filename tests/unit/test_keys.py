"""Secret keys and other values that are generated once and kept in a file."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.databases import keys


def test_a_generated_key_is_kept_for_its_owner_only(tmp_path):
    folder = tmp_path / "var"

    key = keys.generated(folder)

    assert len(key) > 50
    assert keys.generated(folder) == key
    assert [stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()] == [0o600]


def test_parallel_first_callers_get_one_key(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: keys.generated(tmp_path), range(64)))

    assert len(set(answers)) == 1
    assert [file.name for file in tmp_path.iterdir()] == ["secret_key"]


def test_replaced_text_is_kept_instead(tmp_path):
    file = tmp_path / "choice"
    keys.read_or_create(file, make=lambda: "first")

    keys.replace(file, "second")

    assert keys.read_or_create(file, make=lambda: "third") == "second"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "var").write_text("a file where the folder should be")

    with pytest.raises(ImproperlyConfigured, match="DATA_DIR must be a folder we may write"):
        keys.generated(tmp_path / "var")
