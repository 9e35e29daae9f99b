"""The settings that environment variables make, read in a process of their own."""

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from config import environment as env

SECRET = "Fp3kXv9-Qm7tLz2_Rc8wNd5yHb4gJs6uKe1aPi0oVx-Tq3_Wf7"


def setting(expression: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Evaluate ``expression`` in an interpreter with these variables; return the ended process."""
    return subprocess.run(
        [sys.executable, "-c", f"from config import settings as s; print({expression})"],
        env=os.environ | {"ALLOWED_HOSTS": "", "DEBUG": "", "DEMO": ""} | environ,
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
    recipients = "','.join(address for _, address in s.ADMINS)"
    process = setting(f"{recipients} + ' ' + s.EMAIL_BACKEND.split('.')[-2]", **environ)
    assert process.stdout.rstrip("\n") == expected


def test_logs_are_text_or_json() -> None:
    formatter = "s.LOGGING['handlers']['console']['formatter']"
    assert setting(formatter, LOG_FORMAT="").stdout.strip() == "text"
    assert setting(formatter, LOG_FORMAT="json").stdout.strip() == "json"
    refused = setting(formatter, LOG_FORMAT="xml")
    assert refused.returncode == 1
    assert "LOG_FORMAT must be text or json, not 'xml'." in refused.stderr


def in_production(
    expression: str = "'started'", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Evaluate ``expression`` with DATABASE_URL, a good SECRET_KEY and these variables."""
    url = {"DATABASE_URL": "postgresql://x@127.0.0.1/x"}
    return setting(expression, **url, **{"SECRET_KEY": SECRET, **environ})


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
    assert in_production().stdout.strip() == "started"
    for name, value, reason in (
        ("SECRET_KEY", "x", "SECRET_KEY can be guessed"),
        ("SECRET_KEY_FALLBACKS", f"{SECRET},old", "SECRET_KEY_FALLBACKS can be guessed"),
        ("ALLOWED_HOSTS", "orders.example.com,*", "ALLOWED_HOSTS must list the host names"),
    ):
        with subtests.test(name=name):
            process = in_production(**{name: value})
            assert process.returncode == 1
            assert reason in process.stderr


def test_in_production_tracebacks_and_demo_logins_are_warned_of() -> None:
    warned = in_production(DEBUG="1", DEMO="1")

    assert warned.stdout.strip() == "started"
    assert "DEBUG=1 with DATABASE_URL: every error shows code" in warned.stderr
    assert "DEMO=1 with DATABASE_URL: everybody can log in" in warned.stderr
    assert in_production().stderr == ""


def test_a_development_machine_may_have_any_key_and_host() -> None:
    process = setting("'started'", DATABASE_URL="", SECRET_KEY="x", ALLOWED_HOSTS="*", DEBUG="1")

    assert (process.stdout.strip(), process.stderr) == ("started", "")


WRITE, READ = "postgresql://orders@pooler/orders", "postgresql://orders@pooler/orders_read"
DIRECT, READ_DIRECT = "postgresql://orders@server/orders", "postgresql://orders@server/orders_read"
NO_URLS = dict.fromkeys(
    ["READ_DATABASE_URL", "DATABASE_DIRECT_URL", "READ_DATABASE_DIRECT_URL", "DATABASE_POOLER"], ""
)
PRODUCTION = {**NO_URLS, "DATABASE_URL": WRITE, "SECRET_KEY": SECRET}
POOLED = {
    "READ_DATABASE_URL": READ,
    "DATABASE_POOLER": "transaction",
    "DATABASE_DIRECT_URL": DIRECT,
    "READ_DATABASE_DIRECT_URL": READ_DIRECT,
}


def test_the_web_server_uses_the_pooler_and_commands_connect_directly() -> None:
    names = "HOST", "POOLER", "DISABLE_SERVER_SIDE_CURSORS"
    values = f"[[s.DATABASES[a][n] for n in {names}] for a in ('default', 'read')]"
    process = setting(values, **PRODUCTION | POOLED)
    assert process.stdout.strip() == str([["pooler", "transaction", True]] * 2), process.stderr

    script = "from config import environment as e; e.is_command = True; from config import settings"
    command = subprocess.run(
        [sys.executable, "-c", f"{script} as s; print({values})"],
        env=os.environ | PRODUCTION | POOLED,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert command.stdout.strip() == str([["server", "", False]] * 2), command.stderr


def test_incomplete_urls_of_a_pooler_are_refused(subtests: pytest.Subtests) -> None:
    for missing in ("DATABASE_DIRECT_URL", "READ_DATABASE_DIRECT_URL", "READ_DATABASE_URL"):
        with subtests.test("refused", without=missing):
            refused = setting("s.DATABASES", **PRODUCTION | POOLED | {missing: ""})
            assert refused.returncode == 1
            assert "needs DATABASE_DIRECT_URL" in refused.stderr
    with subtests.test("refused", mode="statement"):
        refused = setting("s.DATABASES", **PRODUCTION | POOLED | {"DATABASE_POOLER": "statement"})
        assert "DATABASE_POOLER must be transaction or empty" in refused.stderr


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
