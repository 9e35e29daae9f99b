"""Installs packages into .venv, unless they are there: `python3 -I config/install.py FILE`.

The Makefile runs this file by any python3, also by one that is too old for the project: it needs
the standard library only, and no syntax that is newer than Python 3.6. The folder of this file
must not be on the path of modules, which -I ensures.
"""

import errno
import fcntl
import hashlib
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import typing

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
# Exists while packages are being installed: after a stop in between, some may be incomplete.
UNFINISHED = os.path.join(VENV, "installing")
# Written in the end: a fingerprint for each file of requirements.
INSTALLED = os.path.join(VENV, "installed")
# Seconds between two lines about a step that goes on.
LINE_SECONDS = 5.0
# pip tries each download again for a few seconds; the next call goes on with what it has loaded.
_PIP = (
    *("-m", "pip", "install", "--disable-pip-version-check", "--no-input"),
    *("--progress-bar", "off", "--timeout", "60", "--retries", "5", "--requirement"),
)
_LOOK = "import sys, pip; print('%d.%d' % sys.version_info[:2], sys.prefix)"
# A line of pip about the next package, which may be a file.
_PACKAGE = re.compile(r"(?:Collecting|Processing|Requirement already satisfied:) (?:\S*/)?([\w.]+)")
_NO_SPACE = "No space left on device"
_NO_NETWORK = re.compile(
    "NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError"
    "|Failed to establish|name resolution|Connection refused|Network is unreachable|timed out"
)


class InstallError(Exception):
    """The packages can't be installed, for the reason in the message."""


def main(requirements: str) -> int:
    """Install the packages of the file ``requirements``; return the exit code."""
    try:
        if not _is_ready(requirements):
            lock = _lock()
            if not _is_ready(requirements):
                _install(requirements)
            os.close(lock)
    except KeyboardInterrupt:
        print("\nStopped; the next try begins with the packages that are loaded.", file=sys.stderr)
        return 130
    except InstallError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(_sentence(error), file=sys.stderr)
        return 1
    return 0


def _is_ready(requirements: str) -> bool:
    return not _unusable() and _is_installed(requirements)


def _lock() -> int:
    """Wait until no other process installs packages, and keep others from it."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Waiting for another make, which installs packages ...", flush=True)
        fcntl.flock(folder, fcntl.LOCK_EX)
    return folder


def _install(requirements: str) -> None:
    reason = _unusable()
    if reason:
        _make_environment(reason)
    _write(UNFINISHED, "")
    _run_pip(requirements)
    # A linked environment serves several copies of the project: only the time tells.
    files = [] if os.path.islink(VENV) else _included(requirements)
    _write(INSTALLED, "".join(f"{name} {_fingerprint(name)}\n" for name in files))
    os.unlink(UNFINISHED)


# --- What is there -----------------------------------------------------------------------------
def _unusable() -> str:
    """Return why packages can't be installed into .venv as it is; empty if they can."""
    if not os.path.lexists(VENV):
        return "it doesn't exist"
    if os.path.exists(UNFINISHED):
        return "the last try wasn't finished"
    try:
        answer = subprocess.check_output([PYTHON, "-I", "-c", _LOOK], stderr=subprocess.DEVNULL)
        version, prefix = os.fsdecode(answer).rstrip("\n").split(" ", 1)
        with open(os.path.join(VENV, "bin", "pip"), errors="replace") as script:
            beginning = script.read(4096)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "it doesn't work any more"
    if tuple(map(int, version.split("."))) < NEEDED:
        return f"its Python is {version}"
    # The programs in a virtual environment name its folder.
    places = {os.path.join(place, "bin", "python") for place in (VENV, os.path.realpath(VENV))}
    if os.path.realpath(prefix) != os.path.realpath(VENV) or not any(
        place in beginning for place in places
    ):
        return "its folder was moved"
    return ""


def _is_installed(requirements: str) -> bool:
    try:
        with open(INSTALLED) as file:
            lines = file.read().splitlines()
        if lines:
            return f"{requirements} {_fingerprint(requirements)}" in lines
        newest = max(os.path.getmtime(os.path.join(ROOT, name)) for name in _included(requirements))
        return os.path.getmtime(INSTALLED) >= newest
    except OSError:
        return False


def _included(requirements: str) -> "list[str]":
    """Return the name of a file of requirements, and of those that it includes."""
    included = re.findall(r"^-r (\S+)", _text(requirements), re.MULTILINE)
    return [requirements, *(name for other in included for name in _included(other))]


def _fingerprint(requirements: str) -> str:
    text = "".join(map(_text, _included(requirements)))
    return hashlib.sha256(text.encode()).hexdigest()


def _text(name: str) -> str:
    with open(os.path.join(ROOT, name), encoding="utf-8") as file:
        return file.read()


# --- The environment ---------------------------------------------------------------------------
def _make_environment(reason: str) -> None:
    if sys.version_info[:2] < NEEDED:
        raise InstallError(_wrong_python())
    if os.path.islink(VENV):
        raise InstallError(
            f"{VENV} can't be used ({reason}), and is a link to {os.path.realpath(VENV)}: "
            "remove the link, and try again."
        )
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        raise InstallError(
            f"Python's module venv is missing: apt install python{_own_version()}-venv"
        ) from None
    print(f"Making .venv, since {reason} ...", flush=True)
    if os.path.lexists(VENV):
        shutil.rmtree(VENV)
    os.mkdir(VENV)
    _write(UNFINISHED, "")
    # The interpreter may be that of the folder that was just removed.
    python = getattr(sys, "_base_executable", None) or sys.executable
    code, lines = _run([python, "-m", "venv", VENV], lambda line: "Making .venv")
    if code:
        raise InstallError(_explained("venv", lines))


def _wrong_python() -> str:
    names = [f"python3.{minor}" for minor in range(NEEDED[1] + 9, NEEDED[1] - 1, -1)]
    found = next(filter(shutil.which, names), None)
    return (
        f"Python {NEEDED[0]}.{NEEDED[1]} or newer is needed, and {sys.executable} is "
        f"{_own_version()}: "
        + (
            f"PYTHON={found} make run takes a newer one, which is there."
            if found
            else "install a newer one, and name it if it isn't python3: PYTHON=python3.12 make run."
        )
    )


def _own_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"


# --- Packages ----------------------------------------------------------------------------------
def _run_pip(requirements: str) -> None:
    total = len(re.findall(r"^\w", "\n".join(map(_text, _included(requirements))), re.MULTILINE))
    packages: list[str] = []

    def status(line: str) -> str:
        found = _PACKAGE.match(line)
        if found:
            packages.append(found.group(1))
        if line.startswith(("Installing collected", "Successfully")):
            return "Unpacking the packages"
        if "Retrying" in line:
            return "Waiting for the package index, which doesn't answer"
        if not packages:
            return f"Looking for the packages of {requirements}"
        return f"Loading package {len(packages)} of {total}, {packages[-1]}"

    print(f"Installing the {total} packages of {requirements} into .venv ...", flush=True)
    code, lines = _run([PYTHON, "-I", *_PIP, os.path.join(ROOT, requirements)], status)
    if code:
        raise InstallError(_explained("pip", lines))


def _run(command: "list[str]", status: "typing.Callable[[str], str]") -> "tuple[int, list[str]]":
    """Run ``command``; return its exit code and its lines. Say the ``status`` now and then."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    # A user's own choice of another folder for packages isn't meant for this environment.
    environ["PIP_USER"] = "0"
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        errors="replace",
    )
    incoming: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=[process.stdout, incoming], daemon=True).start()
    lines: list[str] = []
    began, text = time.monotonic(), status("")
    next_line = began + LINE_SECONDS
    while True:
        try:
            line = incoming.get(timeout=max(0.0, next_line - time.monotonic()))
            if line is None:
                return process.wait(), lines
            lines.append(line)
            text = status(line)
        except queue.Empty:
            print(f"{text} ({time.monotonic() - began:.0f} s)", flush=True)
            next_line += LINE_SECONDS


def _read(stream: "typing.Any", incoming: "queue.Queue[str | None]") -> None:
    for line in stream:
        incoming.put(line)
    incoming.put(None)


def _explained(program: str, lines: "list[str]") -> str:
    text = "".join(lines)
    if _NO_SPACE in text:
        return _sentence(OSError(errno.ENOSPC, _NO_SPACE))
    if _NO_NETWORK.search(text):
        return (
            "The packages can't be loaded, since the package index doesn't answer: look at the "
            "network (HTTPS_PROXY and PIP_INDEX_URL count), and try again."
        )
    errors = [line for line in lines if line.lower().startswith("error")] or lines[-1:]
    return f"{program} failed: {errors[0].strip() if errors else 'it said nothing'}"


def _sentence(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        free = shutil.disk_usage(ROOT).free // 1_000_000
        return (
            f"The disk is full: {free} MB are free in {ROOT}, and make run needs 400, make test "
            "800; make room, and try again."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            f"This account can't write to {error.filename or ROOT} ({os.strerror(error.errno)}): "
            "copy the project to a folder of its own."
        )
    return f"The packages can't be installed: {error}"


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
