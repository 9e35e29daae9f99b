"""The settings that environment variables make."""

import os
import re
import runpy
import subprocess
import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import environment as env

SECRET = "Fp3kXv9-Qm7tLz2_Rc8wNd5yHb4gJs6uKe1aPi0oVx-Tq3_Wf7"


UNSET = {"ALLOWED_HOSTS": "", "DEBUG": "", "DEMO": ""}
# In production, with a good key.
URL_AND_KEY = {"DATABASE_URL": "postgresql://x@127.0.0.1/x", "SECRET_KEY": SECRET}


def settings_of(**environ: str) -> Any:
    """Return the settings that a process with these variables has."""
    with mock.patch.dict(os.environ, UNSET | environ):
        return SimpleNamespace(**runpy.run_path(str(settings.BASE_DIR / "config" / "settings.py")))


def start(**environ: str) -> subprocess.CompletedProcess[str]:
    """Read the settings in an interpreter with these variables; return the ended process."""
    return subprocess.run(
        [sys.executable, "-c", "from config import settings; print('started')"],
        env=os.environ | UNSET | environ,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"ADMINS": "", "EMAIL_HOST": ""}, " console"),
        ({"ADMINS": "a@x.test, b@x.test", "EMAIL_HOST": "mail.x.test"}, "a@x.test,b@x.test smtp"),
    ],
)
def test_settings_choose_the_recipients_and_the_backend_of_mail(
    environ: dict[str, str], expected: str
) -> None:
    of_process = settings_of(**environ)
    recipients = ",".join(address for _, address in of_process.ADMINS)
    assert f"{recipients} {of_process.EMAIL_BACKEND.split('.')[-2]}" == expected


def test_logs_are_text_or_json() -> None:
    for variable, formatter in (("", "text"), ("json", "json")):
        logging = settings_of(LOG_FORMAT=variable).LOGGING
        assert logging["handlers"]["console"]["formatter"] == formatter
    with pytest.raises(ImproperlyConfigured, match="must be one of text, json, not 'xml'"):
        settings_of(LOG_FORMAT="xml")


def test_an_invalid_variable_is_refused_with_its_name(subtests: pytest.Subtests) -> None:
    for environ, reason in (
        ({"PORT": "many"}, "PORT must be a whole number"),
        ({"HTTPS": "perhaps"}, "HTTPS must be 0 or 1"),
        ({"RELAY": "nats"}, "RELAY=nats needs NATS_URL, the addresses of the servers"),
        ({"RELAY": "kafka"}, "RELAY=kafka needs KAFKA_URL, the addresses of the servers"),
        ({"KAFKA_OPTIONS": "acks"}, "KAFKA_OPTIONS must be such as acks=all"),
        ({"LOG_SOURCE": "nats"}, "LOG_SOURCE=nats needs NATS_URL"),
        ({"LOG_SOURCE": "kafka"}, "LOG_SOURCE=kafka needs KAFKA_URL"),
        ({"RELAY_STREAM": "a shop"}, "RELAY_STREAM must consist of up to 80 letters"),
        ({"PROJECTION_SLICES": "3"}, "PROJECTION_SLICES must be one of 1, 2, 4, 8, 16, not '3'"),
        ({"READ_SITE": "a site"}, "READ_SITE must consist of up to 80 letters"),
        (URL_AND_KEY | {"SECRET_KEY": ""}, "SECRET_KEY is required with DATABASE_URL"),
        (URL_AND_KEY | {"DATABASE_URL": "mysql://x@127.0.0.1/x"}, "postgresql://"),
    ):
        with subtests.test(**environ), pytest.raises(ImproperlyConfigured, match=reason):
            settings_of(**environ)


def test_secret_keys_are_long_and_varied(subtests: pytest.Subtests) -> None:
    env.check_secrets("SECRET_KEY", [SECRET])
    for key in (
        "x",
        "x" * 50,
        "abcd" * 20,
        "change-me-" * 6,
        SECRET[1:],
        "django-insecure-" + SECRET,
    ):
        with subtests.test(key=key), pytest.raises(ImproperlyConfigured, match="can be guessed"):
            env.check_secrets("SECRET_KEY", [SECRET, key])


def test_in_production_weak_keys_and_any_host_are_refused(subtests: pytest.Subtests) -> None:
    for name, value, reason in (
        ("SECRET_KEY", "x", "SECRET_KEY can be guessed"),
        ("SECRET_KEY_FALLBACKS", f"{SECRET},old", "SECRET_KEY_FALLBACKS can be guessed"),
        ("ALLOWED_HOSTS", "orders.example.com,*", "ALLOWED_HOSTS must list the host names"),
    ):
        with (
            subtests.test(name=name),
            pytest.raises(ImproperlyConfigured, match=reason),
        ):
            settings_of(**URL_AND_KEY | {name: value})


def test_a_process_with_a_weak_key_ends_with_the_reason() -> None:
    process = start(**URL_AND_KEY | {"SECRET_KEY": "x"})

    assert process.returncode == 1
    assert "SECRET_KEY can be guessed" in process.stderr


def test_in_production_tracebacks_and_demo_logins_are_warned_of() -> None:
    warned = start(**URL_AND_KEY, DEBUG="1", DEMO="1")

    assert warned.stdout.strip() == "started"
    assert "DEBUG=1 with DATABASE_URL: every error shows code" in warned.stderr
    assert "DEMO=1 with DATABASE_URL: everybody can log in" in warned.stderr
    silent = start(**URL_AND_KEY)
    assert (silent.stdout.strip(), silent.stderr) == ("started", "")


def test_a_development_machine_may_have_any_key_and_host() -> None:
    process = start(DATABASE_URL="", SECRET_KEY="x", ALLOWED_HOSTS="*", DEBUG="1")

    assert (process.stdout.strip(), process.stderr) == ("started", "")


WRITE, READ = "postgresql://orders@pooler/orders", "postgresql://orders@pooler/orders_read"
DIRECT, READ_DIRECT = "postgresql://orders@server/orders", "postgresql://orders@server/orders_read"
NO_URLS = dict.fromkeys(
    [
        "READ_DATABASE_URL",
        "READ_REPLICA_URL",
        "DATABASE_DIRECT_URL",
        "READ_DATABASE_DIRECT_URL",
        "DATABASE_POOLER",
    ],
    "",
)
PRODUCTION = {**NO_URLS, "DATABASE_URL": WRITE, "SECRET_KEY": SECRET}
POOLED = {
    "READ_DATABASE_URL": READ,
    "DATABASE_POOLER": "transaction",
    "DATABASE_DIRECT_URL": DIRECT,
    "READ_DATABASE_DIRECT_URL": READ_DIRECT,
}


@pytest.mark.parametrize(
    ("is_command", "expected"),
    [(False, ["pooler", "transaction", True]), (True, ["server", "", False])],
)
def test_the_web_server_uses_the_pooler_and_commands_connect_directly(
    is_command: bool, expected: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(env, "is_command", is_command)

    databases = settings_of(**PRODUCTION | POOLED).DATABASES

    for alias in ("default", "read"):
        database = databases[alias]
        names = "HOST", "POOLER", "DISABLE_SERVER_SIDE_CURSORS"
        assert [database[name] for name in names] == expected


def test_web_processes_read_from_the_replica_and_commands_from_the_primary(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    urls = {"READ_DATABASE_URL": READ, "READ_REPLICA_URL": READ.replace("pooler", "standby")}
    middleware = "config.databases.replica.PrimaryForWritesMiddleware"

    web = settings_of(**PRODUCTION | urls)
    monkeypatch.setattr(env, "is_command", True)
    command = settings_of(**PRODUCTION | urls)

    hosts = {alias: entry["HOST"] for alias, entry in web.DATABASES.items()}
    assert hosts == {"default": "pooler", "read": "standby", "read_primary": "pooler"}
    assert web.MIDDLEWARE[0] == middleware
    assert list(command.DATABASES) == ["default", "read"]
    assert command.DATABASES["read"]["HOST"] == "pooler"
    assert middleware not in command.MIDDLEWARE
    with pytest.raises(ImproperlyConfigured, match="READ_REPLICA_URL needs READ_DATABASE_URL"):
        settings_of(**PRODUCTION | urls | {"READ_DATABASE_URL": ""})


def test_incomplete_urls_of_a_pooler_are_refused(subtests: pytest.Subtests) -> None:
    for missing in ("DATABASE_DIRECT_URL", "READ_DATABASE_DIRECT_URL", "READ_DATABASE_URL"):
        with (
            subtests.test("refused", without=missing),
            pytest.raises(ImproperlyConfigured, match="needs DATABASE_DIRECT_URL"),
        ):
            settings_of(**PRODUCTION | POOLED | {missing: ""})
    with (
        subtests.test("refused", mode="statement"),
        pytest.raises(ImproperlyConfigured, match="DATABASE_POOLER must be transaction or empty"),
    ):
        settings_of(**PRODUCTION | POOLED | {"DATABASE_POOLER": "statement"})


def test_numbers_beyond_every_calendar_and_column_are_refused(
    subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (settings.BASE_DIR / "config" / "settings.py").read_text()
    bounded = re.findall(r'"(\w+_(DAYS|HOURS|MINUTES))", \d+, most=env\.MOST_\2\)', code)
    times = re.findall(r'env\.(?:number|positive)\("(\w+_(?:DAYS|HOURS|MINUTES))"', code)
    assert [name for name, _ in bounded] == times

    for name, unit in bounded:
        with subtests.test(name=name):
            most = getattr(env, f"MOST_{unit}")
            monkeypatch.setenv(name, str(most))
            assert env.number(name, 1, most=most) == most
            monkeypatch.setenv(name, str(most + 1))
            with pytest.raises(ImproperlyConfigured, match=f"{name} must be at most {most}"):
                env.number(name, 1, most=most)
    for digits in ("2147483648", "9" * 5000):
        with subtests.test(digits=digits[:20]):
            monkeypatch.setenv("MAX_OPEN_UNITS", digits)
            with pytest.raises(ImproperlyConfigured, match="must be at most 2147483647"):
                env.number("MAX_OPEN_UNITS", 1)
