"""The process that stages and commands share to talk to MLflow, whose import costs more than most of them do.

It does what `Tracker` does (shared.py) or MLflow's client (client.py) for whoever has the key, one call at a time but
for long ones, and ends when nobody has called for a while.
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from contextlib import nullcontext
from importlib import import_module
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any, TypeVar

from ..base.collector import importing
from ..base.errors import ProjectError, TrackerError
from .address import SQLITE
from .client import PlainClient, RefusedError
from .place import ReplacedError
from .quiet import quiet
from .server import ask
from .tracker import Tracker

# what moves files of any size, or waits for a server: others need not wait for that
LONG = ("log_model", "registered_files", "ask", "require_answer", "fetch", "download")
IDLE = 60  # seconds without a connection, after which it ends
CLIENT = "mlflow.store.tracking.sqlalchemy_store"  # imports all that a call may need


Opened = TypeVar("Opened", Tracker, PlainClient)


class Process:
    """Answers at `address` until nobody has been connected for `idle` seconds."""

    def __init__(self, address: Path, secret: bytes, idle: float) -> None:
        self._address = address
        self._idle = idle
        self._listener = Listener(str(address), "AF_UNIX", authkey=secret)
        self._inode = address.stat().st_ino
        self._turn = threading.Lock()  # MLflow's client is not made for several threads
        self._prepared = threading.Event()
        self._connected = 0
        self._last = time.monotonic()
        self._files: dict[str, tuple[int, int]] = {}  # device and inode of each store that is a file

    def serve(self) -> None:
        """Answers for ever: the process ends with its watch."""
        threading.Thread(target=self._watch, daemon=True).start()
        threading.Thread(target=self._prepare, daemon=True).start()
        while True:
            try:
                connection = self._listener.accept()
            except (OSError, EOFError, AuthenticationError):
                continue
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _prepare(self) -> None:
        """Imports what the first call will need, while the stage that will make it does something else."""
        with self._turn:
            try:
                with importing():
                    quiet()
                    import_module(CLIENT)
            finally:
                self._prepared.set()

    def _watch(self) -> None:
        while self._connected or (self._is_found() and time.monotonic() - self._last < self._idle):
            time.sleep(1)  # between two looks
        self._leave()
        os._exit(0)

    def _is_found(self) -> bool:
        """Whether who looks for this process comes here, and to no later one."""
        try:
            return self._address.stat().st_ino == self._inode
        except OSError:
            return False

    def _leave(self) -> None:
        if self._is_found():
            self._address.unlink(missing_ok=True)

    def _converse(self, connection: Connection) -> None:
        self._connected += 1
        try:
            with connection:
                self._answer(connection)
        except (OSError, EOFError):  # whoever asked is gone
            pass
        finally:
            self._last = time.monotonic()
            self._connected -= 1

    def _answer(self, connection: Connection) -> None:
        opened: Tracker | PlainClient | None = None
        while True:
            request = connection.recv_bytes()
            answer: Any = None
            error: Exception | None = None
            try:
                name, arguments = pickle.loads(request)  # noqa: S301  from who has the key
                self._prepared.wait()
                with self._turn if _waits(name, opened) else nullcontext():
                    if name == "open":
                        opened = self._require_same_file(Tracker(*arguments))
                    elif name == "look":
                        opened = self._require_same_file(PlainClient(*arguments))
                    elif name == "ask":
                        answer = ask(*arguments)
                    else:
                        answer = self._call(opened, name, *arguments)
            except (ProjectError, RefusedError) as failure:
                error = failure
            except Exception as failure:
                error = TrackerError(f"MLflow failed: {type(failure).__name__}: {failure}")
            connection.send((answer, error))

    def _call(self, opened: Tracker | PlainClient | None, name: str, *arguments: Any) -> Any:
        assert opened is not None
        if _waits(name, opened):
            opened.use()  # another store may have been asked since
        return getattr(opened, name)(*arguments)

    def _require_same_file(self, opened: Opened) -> Opened:
        """Raises ReplacedError if a store in a file is another one than when it was first opened here."""
        if opened.uri.startswith(SQLITE):
            stat = Path(opened.uri.removeprefix(SQLITE)).stat()
            if self._files.setdefault(opened.uri, (stat.st_dev, stat.st_ino)) != (stat.st_dev, stat.st_ino):
                self._leave()  # the next process opens what is there now
                raise ReplacedError(f"{opened.uri} was replaced.")
        return opened


def _waits(name: str, opened: Tracker | PlainClient | None) -> bool:
    """Whether a call waits for its turn. The plug-in for ARNs goes by MLflow's current store, one for all threads."""
    return name not in LONG or (opened is not None and opened.uri.startswith("arn:"))


def main(address: str, key: str, idle: float = IDLE) -> None:
    """Answers at `address` in the background; `key` is a file with what callers must know."""
    process = Process(Path(address), Path(key).read_bytes(), idle)
    if os.fork():
        os._exit(0)  # what is left has no parent, so that nothing that ends a stage ends it
    process.serve()
