"""MLflow's client: in this process, or in the one that stages share, for commands that ask one question and end.

What the shared process answers is plain data: to read MLflow's own entities, MLflow would have to be imported here too.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ..base.errors import ProjectError
from .asked import reason_of_store
from .place import UnavailableError, connect, exchange
from .quiet import quiet
from .server import require_answer

if TYPE_CHECKING:
    from mlflow import MlflowClient


class RefusedError(Exception):
    """What went wrong in the shared process, in the words of the store itself, with MLflow's own code for it."""

    error_code = ""


class Page(list[Any]):
    """A part of a list, and the token by which the next part is asked for."""

    token: str | None = None


def open_client(uri: str, advice: str) -> MlflowClient | SharedClient:
    """A client of the store at `uri`, in the shared process if that saves the import of MLflow here.

    Raises SilentError, which ends with `advice`, if a server does not answer, and what MLflow raises.
    """
    if "mlflow" not in sys.modules:
        with suppress(UnavailableError):
            return SharedClient(uri, advice)
    return own_client(uri, advice)


def own_client(uri: str, advice: str) -> MlflowClient:
    """A client of the store at `uri` in this process. Raises as `open_client`."""
    require_answer(uri, advice)
    quiet()
    import mlflow

    use_store(uri)
    return mlflow.MlflowClient(uri, uri)


def use_store(uri: str) -> None:
    """Makes this MLflow's current store: plug-ins, and a registry in a database, go by that."""
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)


def download(uri: str, location: str, folder: str) -> str:
    """Brings what lies at an address of an artifact of the store at `uri` into a folder. Returns the path there."""
    from mlflow.artifacts import download_artifacts

    return str(download_artifacts(location, dst_path=folder, tracking_uri=uri))


class SharedClient:
    """The methods of `MlflowClient`, called in the shared process, with plain data in place of MLflow's entities.

    They raise RefusedError, also if the process ends meanwhile. Threads may share a client: they take turns.
    """

    def __init__(self, uri: str, advice: str) -> None:
        """Raises as `open_client`, and UnavailableError if there can be no process."""
        self.tracking_uri = uri
        self._turn = threading.Lock()
        self._connection = connect("look", uri, advice)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda *arguments, **options: self._exchange("call", name, arguments, options)

    def download_artifacts(self, *arguments: Any) -> str:
        return str(self._exchange("fetch", "download_artifacts", arguments, {}))

    def download(self, location: str, folder: str) -> str:
        """Brings what lies at an address of an artifact into a folder. Returns the path there."""
        return str(self._exchange("download", location, folder))

    def _exchange(self, *call: Any) -> Any:
        with self._turn:
            try:
                return exchange(self._connection, *call)
            except (OSError, EOFError):
                raise RefusedError("the process that talks to MLflow has ended; ask again") from None


class PlainClient:
    """What the shared process does for a `SharedClient`. Raises RefusedError for whatever MLflow raises."""

    def __init__(self, uri: str, advice: str) -> None:
        self.uri = uri
        with _in_its_words():
            self._client = own_client(uri, advice)

    def use(self) -> None:
        use_store(self.uri)

    def call(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        with _in_its_words():
            return plain(getattr(self._client, name)(*arguments, **options))

    fetch = call  # what others need not wait for: see process.py

    def download(self, location: str, folder: str) -> str:
        with _in_its_words():
            return download(self.uri, location, folder)


@contextmanager
def _in_its_words() -> Iterator[None]:
    try:
        yield
    except ProjectError:
        raise
    except Exception as error:
        refused = RefusedError(reason_of_store(error))
        refused.error_code = str(getattr(error, "error_code", ""))
        raise refused from error


def plain(value: Any) -> Any:
    """What MLflow's client answers, without MLflow's classes: entities as namespaces of their properties."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bytes | int | float):
        return value
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        page = Page(map(plain, value))
        page.token = getattr(value, "token", None)
        return page
    if hasattr(value, "_properties"):  # an entity, which yields its properties as `dict(run.info)` does
        return SimpleNamespace(**{name: plain(item) for name, item in value})
    return repr(value)  # nothing that anybody here looks at
