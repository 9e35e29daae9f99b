"""What the environment makes of the settings, each time in a process of its own."""

import os
import subprocess
import sys

import pytest
from django.conf import settings


def setting(expression: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """What ``expression`` is in an interpreter with these variables."""
    return subprocess.run(
        [sys.executable, "-c", f"from config import settings as s; print({expression})"],
        env=os.environ | environ,
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
    told = "','.join(address for _, address in s.ADMINS)"
    found = setting(f"{told} + ' ' + s.EMAIL_BACKEND.split('.')[-2]", **environ)
    assert found.stdout.rstrip("\n") == expected


def test_logs_are_text_or_json() -> None:
    formatter = "s.LOGGING['handlers']['console']['formatter']"
    assert setting(formatter, LOG_FORMAT="").stdout.strip() == "text"
    assert setting(formatter, LOG_FORMAT="json").stdout.strip() == "json"
    refused = setting(formatter, LOG_FORMAT="xml")
    assert refused.returncode == 1
    assert "LOG_FORMAT must be text or json, not 'xml'." in refused.stderr
