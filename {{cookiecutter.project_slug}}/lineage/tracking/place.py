"""Where the process is found that stages and commands share to talk to MLflow, and how it is started.

Only those of the same user with the same framework, packages, environment variables and mounts find the same process:
its name is a hash over all of these.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import subprocess
import sys
import tempfile
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..base.errors import TrackerError
from ..contract import ROOT

PATIENCE = 30.0  # seconds that another stage may take to start the process
# what says where a shell, a stage or a hook of Git is and how it computes, and nothing about how MLflow is reached
OF_PLACES = ("DVC_", "GIT_", "OMP_", "PIPELINE_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "_", "WANDB_")
NAMESPACES = ("mnt", "net", "user", "ipc")  # a process in others sees other files and servers
START = "import runpy, sys; runpy.run_path(sys.argv[1]); from lineage.tracking.process import main; main(*sys.argv[2:])"


class UnavailableError(Exception):
    """There can be no shared process here."""


class ReplacedError(TrackerError):
    """The file that is the store is another one than the process has open."""


def connect(name: str, *arguments: Any) -> Connection:
    """A connection to the process that is there, or to a new one, after its answer to a first call.

    Raises UnavailableError if there can be no process, and what the call raises.
    """
    place = Place.of_this_process()
    for _ in range(3):
        connection = place.connect()
        try:
            exchange(connection, name, *arguments)
        except (OSError, EOFError, ReplacedError):  # it ended just now, or has another file open
            connection.close()
            continue
        except BaseException:
            connection.close()
            raise
        return connection
    raise UnavailableError("no process for it stays")


def exchange(connection: Connection, name: str, *arguments: Any) -> Any:
    """What the process answers to a call. Raises OSError or EOFError if it has ended, and what the call raises."""
    connection.send((name, arguments))
    answer, error = connection.recv()
    if error is not None:
        raise error
    return answer


class Place:
    """Where the shared process of this environment is found."""

    def __init__(self, folder: Path, name: str) -> None:
        self._address = folder / f"{name}.socket"
        self._key = folder / f"{name}.key"
        self._lock = FileLock(folder / f"{name}.lock", timeout=PATIENCE)

    @classmethod
    def of_this_process(cls) -> Place:
        """Raises UnavailableError if nobody but this user could be kept out of it."""
        if not hasattr(os, "fork"):
            raise UnavailableError("this system has no fork")
        folder = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"lineage-{os.getuid()}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            stat = folder.lstat()
        except OSError as error:
            raise UnavailableError(str(error)) from None
        if stat.st_uid != os.getuid() or stat.st_mode & 0o077 or folder.is_symlink():
            raise UnavailableError(f"{folder} is not this user's alone")
        return cls(folder, _name())

    def connect(self) -> Connection:
        """Raises UnavailableError if no process can be started."""
        try:
            return self._try() or self._start()
        except (OSError, Timeout) as error:
            raise UnavailableError(str(error)) from None

    def _try(self) -> Connection | None:
        try:
            return Client(str(self._address), "AF_UNIX", authkey=self._key.read_bytes())
        except (OSError, EOFError, AuthenticationError):
            return None

    def _start(self) -> Connection:
        with self._lock:  # of two stages that start at once, one starts it
            if there := self._try():
                return there
            self._address.unlink(missing_ok=True)
            self._key.unlink(missing_ok=True)
            descriptor = os.open(self._key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(secrets.token_bytes(32))
            begun = subprocess.run(
                [sys.executable, "-I", "-c", START, str(ROOT / "scripts" / "stage.py"), self._address, self._key],
                cwd="/",
                env={
                    name: value for name, value in os.environ.items() if not name.startswith(("DVC_", "GIT_", "WANDB_"))
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                check=False,
            )
            # it listens before what started it ends
            there = self._try() if begun.returncode == 0 else None
            if there is None:
                raise UnavailableError("it did not begin to answer")
            return there


def _name() -> str:
    """A hash over all that decides what the process would do: code, packages, variables, mounts, rights."""
    digest = hashlib.sha256(repr((sys.version, sys.prefix, os.getgroups(), _umask())).encode())
    for name, value in sorted(os.environ.items()):
        if not name.startswith(OF_PLACES):
            digest.update(f"{name}={value}\0".encode(errors="surrogateescape"))
    for kind in NAMESPACES:
        place = Path("/proc/self/ns") / kind
        digest.update((str(place.readlink()) if place.is_symlink() else "").encode())
    code = Path(__file__).parents[1]
    for path in sorted(code.rglob("*.py")):
        digest.update(path.relative_to(code).as_posix().encode() + b"\0" + path.read_bytes())
    stamp = Path(sys.prefix) / "installed"
    digest.update(str(stamp.stat().st_mtime_ns if stamp.exists() else 0).encode())
    return digest.hexdigest()[:24]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
