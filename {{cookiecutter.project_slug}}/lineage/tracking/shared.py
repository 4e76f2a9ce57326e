"""A tracker in another process, which stages share: MLflow is imported once, and not by each of them.

The first stage starts it (place.py); it ends by itself (process.py). Where there cannot be one, a stage works with a
tracker of its own.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

from ..base.errors import TrackerError
from ..dvc.hashes import Content
from ..git.repository import strip_user
from ..settings.tracking import Tracking
from . import server
from .place import Place, UnavailableError, connect, exchange
from .registry import Packed, Registered
from .tracker import Tracker, wait_for_answer


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
    def describe(self, version: Registered, text: str) -> bool: ...
    def show_scores(self, model_id: str, run_id: str, scores: dict[str, float], dataset: tuple[str, str]) -> None: ...
    def move_candidate(self, version: Registered, identity: str) -> None: ...


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
            status, text = exchange(connection, "ask", uri, 1, path, patience)
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

    def describe(self, version: Registered, text: str) -> bool:
        return bool(self._call("describe", version, text))

    def show_scores(self, model_id: str, run_id: str, scores: dict[str, float], dataset: tuple[str, str]) -> None:
        self._call("show_scores", model_id, run_id, scores, dataset)

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
            return exchange(self._connection, name, *arguments)
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
        self._connection = connect("open", self.settings, self._main)
