"""The apps of the service, ours and those of a shop, and the modules in which they register.

SHOP_APPS names packages. The package ``loyalty`` has up to two Django apps, as ours are:
``loyalty.write`` on the write database, and ``loyalty.read`` on the read database. A registry
imports the modules of one name in all apps, in the order of INSTALLED_APPS, which register things.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import ClassVar

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import module_has_submodule

SIDES = ("write", "read")
# Names of streams, which have at most 60 characters, and of indexes, 30, begin with it.
LONGEST_NAME = 18
_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")
_OURS = {"config", "ordering_read", "ordering_write", "tests"}


class ServiceApp(AppConfig):
    """The base of the apps of both sides: ``ready`` imports the modules ``registering``.

    ``database`` is the alias of the database with the app's tables.
    """

    database: ClassVar[str]
    registering: ClassVar[Sequence[str]]

    def __init__(self, app_name: str, app_module: ModuleType | None) -> None:
        # Django would take the last part of the name, which is the same in each package.
        self.label = app_name.replace(".", "_")
        super().__init__(app_name, app_module)

    @property
    def problem_table(self) -> str:
        """The module with the problems that answer the app's refusals; "" if there is none."""
        has_table = self.module and module_has_submodule(self.module, "problems")
        return f"{self.name}.problems" if has_table else ""

    def ready(self) -> None:
        for name in self.registering:
            _import(self, name)


class WriteApp(ServiceApp):
    """An app of the write side: its handlers register commands and events, its policies follow."""

    database = "default"
    registering = ("handlers", "policies")


class ReadApp(ServiceApp):
    """An app of the read side: permissions and projections."""

    database = "read"
    registering = ("permissions", "projections")


@cache
def load(name: str) -> None:
    """Import the module ``name`` of each app of the service that has one."""
    for app in apps.get_app_configs():
        if isinstance(app, ServiceApp):
            _import(app, name)


def load_of_packages(name: str) -> None:
    """Import the module ``name`` of each package of SHOP_APPS that has one."""
    for package in settings.SHOP_APPS:
        if module_has_submodule(import_module(package), name):
            import_module(f"{package}.{name}")


def _import(app: AppConfig, name: str) -> None:
    if app.module and module_has_submodule(app.module, name):
        import_module(f"{app.name}.{name}")


# --- The setting -------------------------------------------------------------------------------
def installed(packages: Sequence[str]) -> list[str]:
    """Return the Django apps of ``packages``, the value of SHOP_APPS, write sides first.

    Raises ImproperlyConfigured.
    """
    for package in packages:
        _check(package, packages)
    return [
        f"{package}.{side}" for side in SIDES for package in packages if _has_app(package, side)
    ]


def name_fault(package: str) -> str:
    """Return what is wrong with ``package`` as the name of a shop's package; "" if nothing is."""
    if not _NAME.fullmatch(package) or len(package) > LONGEST_NAME:
        return (
            f"{package} is no name of a package: use up to {LONGEST_NAME} small letters, digits "
            "and _, and begin with a letter"
        )
    return f"{package} is a package of the service itself" if package in _OURS else ""


def is_taken(package: str) -> bool:
    """Return True if a package or module of this name exists."""
    return find_spec(package) is not None


def _has_app(package: str, side: str) -> bool:
    return bool(find_spec(f"{package}.{side}") and find_spec(f"{package}.{side}.apps"))


def _check(package: str, packages: Sequence[str]) -> None:
    fault = name_fault(package)
    if not fault and packages.count(package) > 1:
        fault = f"{package} is named twice"
    if not fault and not is_taken(package):
        fault = (
            f"there is no package {package} beside manage.py or in PYTHONPATH; `manage.py "
            f"start_shop_app {package}`, given without it in SHOP_APPS, makes one"
        )
    if not fault and not any(_has_app(package, side) for side in SIDES):
        fault = (
            f"the package {package} has neither {package}/write/apps.py nor "
            f"{package}/read/apps.py, so it is no app of a shop"
        )
    if fault:
        raise ImproperlyConfigured(f"SHOP_APPS: {fault}.")
