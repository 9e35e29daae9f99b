"""The ports: adapters are found by dotted path, and a wrong adapter is reported at the start."""

from typing import Any

import pytest

from config.accounts.models import User
from ordering_write import ports
from ordering_write.bus.permissions import envelope
from ordering_write.checks import check_ports
from ordering_write.domain.values import Actor
from ordering_write.ports.risk import AllowAll


class Unfinished:
    """Lacks the methods of every port."""


class Strict(AllowAll):
    """Another adapter."""


class Nicknames:
    """Labels every user with a nickname."""

    def actor(self, user: User) -> Actor:
        return Actor.user(user.pk, "nickname")


def plug(settings: Any, **paths: str) -> None:
    module = "tests.unit.test_ports."
    settings.PORTS = settings.PORTS | {port: module + path for port, path in paths.items()}


def test_every_port_has_an_adapter_that_does_its_work() -> None:
    assert ports.faults() == {}
    assert check_ports() == []


def test_settings_choose_the_adapter_which_is_made_once(settings: Any) -> None:
    assert type(ports.risk_port()) is AllowAll
    plug(settings, risk="Strict")

    assert type(ports.risk_port()) is Strict
    assert ports.risk_port() is ports.risk_port()


def test_the_system_check_reports_a_wrong_adapter(settings: Any, subtests: pytest.Subtests) -> None:
    path_cases = [
        ("Unfinished", "tests.unit.test_ports.Unfinished hasn't all methods of"),
        ("Nowhere", "tests.unit.test_ports.Nowhere can't be made (ImportError: "),
    ]
    default_ports = settings.PORTS
    for port in sorted(ports.PROTOCOLS):
        for path, fault in path_cases:
            with subtests.test(port=port, path=path):
                settings.PORTS = default_ports
                plug(settings, **{port: path})

                [error] = check_ports()

                assert error.id == "ordering_write.E003"
                assert error.msg.startswith(
                    f"The port {port!r} has no adapter that does its work: {fault}"
                )


def test_a_port_without_adapter_and_an_adapter_without_port_are_reported(
    settings: Any,
) -> None:
    settings.PORTS = {name: path for name, path in settings.PORTS.items() if name != "risk"}
    settings.PORTS["risks"] = "tests.unit.test_ports.Strict"

    assert set(ports.faults()) == {"risk", "risks"}


def test_the_actor_comes_from_the_identity_port(settings: Any) -> None:
    user = User(username="robin", is_superuser=True)
    assert envelope(user, channel="python")["actor"] == Actor.user(user.pk, "robin")
    plug(settings, identity="Nicknames")

    assert envelope(user, channel="python")["actor"].label == "nickname"
