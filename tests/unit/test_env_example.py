"""`.env.example` and the settings know the same variables."""

import re

from django.conf import settings

# os.environ.get("X"), os.environ["X"], env.amounts("X", …), flag("X", …), and so on
READ = re.compile(
    r'(?:os\.environ(?:\.get)?|\b(?:amounts|choice|flag|number|options|positive|texts|word))[\[(]"(\w+)"'
)
LISTED = re.compile(r"^#(\w+)=", re.MULTILINE)


def test_every_variable_that_settings_read_is_listed_once() -> None:
    modules = ("settings.py", "environment.py", "telemetry/__init__.py")
    code = "".join((settings.BASE_DIR / "config" / name).read_text() for name in modules)
    example = (settings.BASE_DIR / ".env.example").read_text()
    assert sorted(LISTED.findall(example)) == sorted(set(READ.findall(code)))
