"""Runs commands of manage.py in forks of one process, which has loaded Django already.

A process of its own takes seconds of processor time for each command, most of them to load code.
``serve`` answers the program that ``replace_environment`` puts in place of Python: this runs
manage.py in a fork, and everything else, or manage.py with other settings, in the interpreter.
"""

import array
import json
import os
import re
import socket
import sys
from pathlib import Path
from textwrap import dedent

# Commands that outlive their call, or that load the code of files that have changed meanwhile.
_APART = ("run", "runserver", "workers", "migrate", "makemigrations", "write_docs", "test")

_PROGRAM = """\
    #!{python} -IS
    import array, json, os, socket, sys

    settings = {{name: os.environ.get(name) for name in {names}}}
    arguments = sys.argv[1:]
    if arguments[:1] != ["manage.py"] or arguments[1] in {apart} or settings != {settings}:
        os.execv({python!r}, [{python!r}, *arguments])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect({address!r})
        streams = array.array("i", [0, 1, 2])
        connection.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        call = [arguments, os.getcwd(), dict(os.environ)]
        connection.sendall(json.dumps(call).encode() + b"\\n")
        sys.exit(int(connection.recv(3) or 255))
    """


def replace_environment(code: Path, address: Path, environ: dict[str, str]) -> None:
    """Let ``.venv`` of the copy ``code`` call ``serve`` if the settings are those of ``environ``.

    The link to the installed packages becomes a folder, with the programs of the packages.
    """
    packages, programs = (code / ".venv").resolve(), code / ".venv/bin"
    (code / ".venv").unlink()
    programs.mkdir(parents=True)
    for path in (packages / "bin").iterdir():
        if path.name != "python":
            (programs / path.name).symlink_to(path)
    names = re.findall(r"^#(\w+)=", (code / ".env.example").read_text(), re.MULTILINE)
    program = _PROGRAM.format(
        python=sys.executable,
        names=names,
        apart=_APART,
        settings={name: environ.get(name) for name in names},
        address=str(address),
    )
    (programs / "python").write_text(dedent(program))
    (programs / "python").chmod(0o755)


def serve(address: str) -> None:
    """Listen on the socket ``address``, and run each call in a fork, for ever."""
    import django

    from config import environment, processes

    environment.is_command = True
    django.setup()
    processes.collect_less()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(20)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                _run(connection)
            connection.close()
            _reap()


def _run(connection: socket.socket) -> None:
    """Run manage.py as the caller asks, and end this process."""
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i", ancillary[0][2])
    with connection.makefile() as file:
        arguments, folder, environ = json.loads(file.readline())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = arguments
    status = _status_of_manage()
    connection.sendall(str(status).encode())
    os._exit(0)


def _status_of_manage() -> int:
    """Run manage.py; return the status with which the process would end."""
    import manage

    status: object = 0
    try:
        manage.main()
    except SystemExit as error:
        status = error.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
        status = 1
    if isinstance(status, str):
        print(status, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    return status if isinstance(status, int) else 1 if status else 0


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


if __name__ == "__main__":
    serve(sys.argv[1])
