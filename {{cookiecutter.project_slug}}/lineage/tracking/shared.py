"""A tracker in another process, which stages share: MLflow is imported once, and not by each of them.

The first stage starts it; it ends by itself (process.py). Only stages of the same user with the same framework,
packages, environment variables and mounts find the same process: its name is a hash over all of these. Where there
cannot be one, a stage works with a tracker of its own.
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
from typing import Any, Protocol

from filelock import FileLock, Timeout

from ..base.errors import TrackerError
from ..contract import ROOT
from ..dvc.hashes import Content
from ..git.repository import strip_user
from ..settings.tracking import Tracking
from . import server
from .process import ReplacedError
from .registry import Packed, Registered
from .tracker import Tracker, wait_for_answer

PATIENCE = 30.0  # seconds that another stage may take to start the process
# what says where a shell or a stage is, and nothing about how MLflow is reached
OF_PLACES = ("DVC_", "PIPELINE_", "PWD", "OLDPWD", "SHLVL", "COLUMNS", "LINES", "_")
NAMESPACES = ("mnt", "net", "user", "ipc")  # a process in others sees other files and servers
START = "import runpy, sys; runpy.run_path(sys.argv[1]); from lineage.tracking.process import main; main(*sys.argv[2:])"


class Runs(Protocol):
    """What stages ask of a tracker: runs and what is logged to them, models and their versions. See `Tracker`."""

    settings: Tracking
    shown_uri: str

    def start(self, name: str, tags: dict[str, str]) -> str: ...
    def params(self, run_id: str, tree: dict[str, Any]) -> None: ...
    def tags(self, run_id: str, tags: dict[str, str]) -> None: ...
    def metrics(self, run_id: str, values: dict[str, float], step: int | None, moment: int) -> None: ...
    def artifact(self, run_id: str, path: Path, folder: str | None = None) -> None: ...
    def text(self, run_id: str, text: str, name: str) -> None: ...
    def dataset(self, run_id: str, name: str, digest: str, source: str, context: str) -> None: ...
    def end(self, run_id: str, status: str) -> None: ...
    def has_run(self, run_id: str | None) -> bool: ...
    def wait(self) -> None: ...
    def require_answer(self) -> None: ...
    def find_version(self, name: str, tags: dict[str, str]) -> Registered | None: ...
    def log_model(self, model: Packed, run_id: str | None) -> str: ...
    def registered_files(self, model_id: str) -> Content: ...
    def create_version(
        self, name: str, project_id: str, model_id: str, run_id: str | None, tags: dict[str, str]
    ) -> Registered: ...
    def move_candidate(self, version: Registered, identity: str) -> None: ...


class UnavailableError(Exception):
    """There can be no shared process here."""


def open_tracker(settings: Tracking, main: Path) -> Runs:
    """The tracker of the project at `main`: in the shared process, or in this one where there cannot be another.

    Raises TrackerError where the store cannot be reached or is not usable.
    """
    try:
        return SharedTracker(settings, main)
    except UnavailableError:
        return Tracker(settings, main)


def ask(uri: str, path: str, patience: float) -> tuple[int, str]:
    """Status and text of the answer of an MLflow server, asked once. Raises SilentError or UntrustedError."""
    try:
        with Place.of_this_process().connect() as connection:
            status, text = _exchange(connection, "ask", uri, 1, path, patience)
            return status, text
    except (UnavailableError, OSError, EOFError):
        return server.ask(uri, path=path, patience=patience)


class SharedTracker:
    """The methods of `Tracker` that stages need, each called in the shared process.

    Raises TrackerError as these do, and if the process ends while a run, a model or a version is made, or again and
    again.
    """

    def __init__(self, settings: Tracking, main: Path) -> None:
        self.settings = settings
        self.shown_uri = strip_user(settings.uri)
        self._main = main
        self._connection: Connection | None = None
        self._connect()

    def start(self, name: str, tags: dict[str, str]) -> str:
        return str(self._call("start", name, tags, again=False))  # twice would open two runs

    def params(self, run_id: str, tree: dict[str, Any]) -> None:
        self._call("params", run_id, tree)

    def tags(self, run_id: str, tags: dict[str, str]) -> None:
        self._call("tags", run_id, tags)

    def metrics(self, run_id: str, values: dict[str, float], step: int | None, moment: int) -> None:
        self._call("metrics", run_id, {key: float(value) for key, value in values.items()}, step, moment)

    def artifact(self, run_id: str, path: Path, folder: str | None = None) -> None:
        self._call("artifact", run_id, path.absolute(), folder)

    def text(self, run_id: str, text: str, name: str) -> None:
        self._call("text", run_id, text, name)

    def dataset(self, run_id: str, name: str, digest: str, source: str, context: str) -> None:
        self._call("dataset", run_id, name, digest, source, context)

    def end(self, run_id: str, status: str) -> None:
        self._call("end", run_id, status)

    def has_run(self, run_id: str | None) -> bool:
        return bool(self._call("has_run", run_id))

    def wait(self) -> None:
        wait_for_answer(self.require_answer, self.shown_uri)

    def require_answer(self) -> None:
        self._call("require_answer")

    def find_version(self, name: str, tags: dict[str, str]) -> Registered | None:
        found: Registered | None = self._call("find_version", name, tags)
        return found

    def log_model(self, model: Packed, run_id: str | None) -> str:
        return str(self._call("log_model", model, run_id, again=False))

    def registered_files(self, model_id: str) -> Content:
        content: Content = self._call("registered_files", model_id)
        return content

    def create_version(
        self, name: str, project_id: str, model_id: str, run_id: str | None, tags: dict[str, str]
    ) -> Registered:
        made: Registered = self._call("create_version", name, project_id, model_id, run_id, tags, again=False)
        return made

    def move_candidate(self, version: Registered, identity: str) -> None:
        self._call("move_candidate", version, identity)

    def _call(self, name: str, *arguments: Any, again: bool = True) -> Any:
        """Calls a method in the process; again in a new one if that ends meanwhile, where twice is as good as once."""
        if self._connection is None:
            try:
                self._connect()
            except UnavailableError as error:
                raise TrackerError(f"could not reach {self.shown_uri}: {error}") from None
        assert self._connection is not None
        try:
            return _exchange(self._connection, name, *arguments)
        except (OSError, EOFError):
            self._connection = None
            if again:
                return self._call(name, *arguments, again=False)
            raise TrackerError(f"the process that stages share to log to {self.shown_uri} has ended") from None
        except TrackerError:
            raise
        except BaseException:  # interrupted: the answer to this call is not that to the next one
            self._connection.close()
            self._connection = None
            raise

    def _connect(self) -> None:
        """Opens the store in the process that is there, or in a new one."""
        place = Place.of_this_process()
        for _ in range(3):
            connection = place.connect()
            try:
                _exchange(connection, "open", self.settings, self._main)
            except (OSError, EOFError, ReplacedError):  # it ended just now, or has another file open
                connection.close()
                continue
            except BaseException:
                connection.close()
                raise
            self._connection = connection
            return
        raise UnavailableError("no process for it stays")


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
                env={name: value for name, value in os.environ.items() if not name.startswith("DVC_")},
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


def _exchange(connection: Connection, name: str, *arguments: Any) -> Any:
    connection.send((name, arguments))
    answer, error = connection.recv()
    if error is not None:
        raise error
    return answer


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
