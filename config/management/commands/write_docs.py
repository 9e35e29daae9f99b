"""`manage.py write_docs`: writes the pages of docs/reference from the code."""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from config import reference
from config.commands import ServiceCommand

FOLDER = Path(settings.BASE_DIR) / "docs" / "reference"


def _pages() -> dict[Path, dict[str, str]]:
    """Return the pages by the folder that holds no others: ours, and one for each shop's app."""
    of_shops = {
        Path(import_module(package).__path__[0]) / "docs" / "reference": reference.pages_of(package)
        for package in settings.SHOP_APPS
    }
    return {FOLDER: reference.pages(), **of_shops}


class Command(ServiceCommand):
    help = """Write docs/reference, the lifecycle of an order and a page per command, from the code.
    The pages of a shop's commands are in docs/reference of the shop's package."""

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail when a page is out of date."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        folders = _pages()
        pages = {
            folder / name: text for folder, made in folders.items() for name, text in made.items()
        }
        present = {path: path.read_text() for folder in folders for path in folder.rglob("*.md")}
        outdated = sorted(
            path for path in {*pages, *present} if pages.get(path) != present.get(path)
        )
        if options["check"] and outdated:
            names = ", ".join(_name(path) for path in outdated)
            raise CommandError(f"Out of date: {names}. Run `manage.py write_docs`.")
        for path in outdated:
            if path in pages:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(pages[path])
            else:
                path.unlink()
            self.stdout.write(_name(path))
        self.stdout.write(f"{len(outdated)} of {len(pages)} pages were out of date.")


def _name(path: Path) -> str:
    # A shop's package can be outside of the project.
    return os.path.relpath(path, settings.BASE_DIR)
