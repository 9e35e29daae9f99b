"""`manage.py write_docs`: writes the pages of docs/reference from the code."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from config import reference
from config.commands import ServiceCommand

FOLDER = Path(settings.BASE_DIR) / "docs" / "reference"


class Command(ServiceCommand):
    help = "Write docs/reference, the lifecycle of an order and a page per command, from the code."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--check", action="store_true", help="Write nothing; fail when a page is out of date."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        pages = {FOLDER / name: text for name, text in reference.pages().items()}
        present = {path: path.read_text() for path in FOLDER.rglob("*.md")}
        outdated = sorted(
            path for path in {*pages, *present} if pages.get(path) != present.get(path)
        )
        if options["check"] and outdated:
            names = ", ".join(str(path.relative_to(FOLDER)) for path in outdated)
            raise CommandError(f"Out of date: {names}. Run `manage.py write_docs`.")
        for path in outdated:
            if path in pages:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(pages[path])
            else:
                path.unlink()
            self.stdout.write(f"{path.relative_to(settings.BASE_DIR)}")
        self.stdout.write(f"{len(outdated)} of {len(pages)} pages were out of date.")
