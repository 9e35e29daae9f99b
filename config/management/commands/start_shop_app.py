"""`manage.py start_shop_app`: makes the package of a shop's own code."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db.migrations.loader import MigrationLoader
from django.template import Context, Engine

from config import shop_apps
from config.commands import ServiceCommand
from config.management import public_surface

_TEMPLATES = Path(__file__).parent.parent / "shop_app"
_SUFFIX = "-tpl"


class Command(ServiceCommand):
    help = """Make the package NAME for a shop's own code, with an example of each part (an adapter,
    a policy, a projection with its table, commands with events, a query, an address, an admin page,
    an export) and its tests; see docs/how-to/extend-from-your-own-app.md."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="small letters, digits and _, such as loyalty")
        parser.add_argument(
            "--bare", action="store_true", help="make the apps and the contracts, without examples"
        )
        parser.add_argument(
            "--directory",
            type=Path,
            default=Path(settings.BASE_DIR),
            help="where the package is made; beside manage.py by default",
        )

    def handle(self, *args: Any, name: str, bare: bool, directory: Path, **options: Any) -> None:
        folder = directory / name
        if fault := shop_apps.name_fault(name):
            raise CommandError(f"{fault}.")
        if shop_apps.is_taken(name):
            raise CommandError(f"{name} is the name of a package that exists.")
        try:
            folder.mkdir()
            for path, text in _files(name, ("bare",) if bare else ("bare", "example")):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}.") from error
        self.stdout.write(f"Made {folder}. Set SHOP_APPS={name}, and go on as its README.md says.")


def _files(name: str, templates: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    """Yield the files of the package, each with its path and its text."""
    engine, context = Engine(autoescape=False), _context(name)
    for template in templates:
        for source in sorted((_TEMPLATES / template).rglob(f"*{_SUFFIX}")):
            path = str(source.relative_to(_TEMPLATES / template)).removesuffix(_SUFFIX)
            text = engine.from_string(source.read_text(encoding="utf-8")).render(Context(context))
            yield Path(path.replace("app_name", name)), text


def _context(name: str) -> Mapping[str, Any]:
    words = name.split("_")
    # The graph of migrations is read from files, without a database.
    [read_leaf] = MigrationLoader(None).graph.leaf_nodes("ordering_read")
    return {
        "app": name,
        "Camel": "".join(map(str.capitalize, words)),
        "lower": "".join(words),
        "slug": "-".join(words),
        "app_words": " ".join(words),
        "label": " ".join(words).capitalize(),
        "read_leaf": read_leaf[1],
        "surface": public_surface.BY_PART,
    }
