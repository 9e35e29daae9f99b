"""The settings that environment variables make, read in a process of their own."""

import os
import subprocess
import sys

import pytest
from django.conf import settings


def setting(expression: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Evaluate ``expression`` in an interpreter with these variables; return the ended process."""
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
