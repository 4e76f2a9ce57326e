"""What MLflow holds of this project: versions and runs, all pages, in every lifecycle stage. Nothing is created."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import TrackerError
from ..dvc.hashes import NAME, Hashed, hash_file
from ..git.repository import strip_user
from .address import SQLITE, absolute_uri
from .asked import OneStore
from .client import SharedClient, open_client, own_client, use_store
from .pages import all_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    from .artifact import RegisteredFiles

PAGE = 1000
ALL = 3  # of MLflow's ViewType: active and deleted ones
DIGESTS = 200  # that one question names
WITHOUT = "`lineage verify lineage.json` and `lineage audit ... --without-mlflow` ask Git and DVC alone."


class Store(OneStore):
    """One MLflow store. Raises TrackerError where it cannot be reached; what it does not hold is None or missing."""

    def __init__(self, uri: str, main: Path, project_id: str, *, shared: bool = False) -> None:
        """With `shared` the process that stages share is asked, if there can be one: sooner for a few questions."""
        self.given_uri = uri
        self.uri = absolute_uri(uri, main)
        self.shown_uri = strip_user(uri)
        self.project_id = project_id
        self._shared = shared

    @cached_property
    def client(self) -> MlflowClient | SharedClient:
        """MLflow's own client, here or in the process that stages share; opened at the first question."""
        if self.uri.startswith(SQLITE) and not Path(self.uri.removeprefix(SQLITE)).exists():
            raise TrackerError(f"there is no MLflow store at {self.uri}. {WITHOUT}")
        with self.asked("open the store"):
            return (open_client if self._shared else own_client)(self.uri, f"or go on without: {WITHOUT}")

    @cached_property
    def every(self) -> list[ModelVersion]:
        """All model versions of the store, whoever they belong to, by name and number."""
        with self.asked("list the model versions"):
            pages = all_of(lambda token: self.client.search_model_versions("", max_results=PAGE, page_token=token))
            return sorted(pages, key=lambda version: (version.name, int(version.version)))

    @cached_property
    def versions(self) -> list[ModelVersion]:
        """All model versions that are marked as this project's, by name and number."""
        if "every" in self.__dict__:
            return [version for version in self.every if version.tags.get("project_id") == self.project_id]
        wanted = f"tags.project_id = '{self.project_id}'"
        with self.asked("list the model versions"):
            pages = all_of(lambda token: self.client.search_model_versions(wanted, max_results=PAGE, page_token=token))
            return sorted(pages, key=lambda version: (version.name, int(version.version)))

    def look_again(self) -> None:
        """Has the next question about versions ask the store again: somebody else may have changed their tags."""
        for name in ("every", "versions", "neighbours"):
            self.__dict__.pop(name, None)

    @cache  # noqa: B019  lives as long as one command
    def aliases(self, name: str) -> dict[str, tuple[str, ...]]:
        """The aliases of a registered model by version: lists of versions come without them."""
        pointed = self.pointers(name)[0]
        numbers = set(pointed.values())
        return {number: tuple(sorted(a for a, n in pointed.items() if n == number)) for number in numbers}

    def pointers(self, name: str) -> tuple[dict[str, str], dict[str, str]]:
        """The aliases of a registered model as they are now, number by alias, and its tags; none if there is none."""
        found = self._found(f"look up the aliases of {name}", lambda: self.client.get_registered_model(name))
        if found is None:
            return {}, {}
        return {alias: str(number) for alias, number in found.aliases.items()}, dict(found.tags)

    @cached_property
    def neighbours(self) -> list[ModelVersion]:
        """Versions that are not marked as this project's, under the names of this project's models."""
        models = f"tags.project_id = '{self.project_id}'"
        with self.asked("list the registered models"):
            pages = all_of(
                lambda token: self.client.search_registered_models(models, max_results=PAGE, page_token=token)
            )
            names = {model.name for model in pages}
        return [
            version
            for version in self.every
            if version.tags.get("project_id") != self.project_id and version.name in names
        ]

    @cached_property
    def experiments(self) -> dict[str, str]:
        """The names of all experiments by id, deleted ones too."""
        with self.asked("list the experiments"):
            pages = all_of(lambda token: self.client.search_experiments(ALL, max_results=PAGE, page_token=token))
            return {experiment.experiment_id: experiment.name for experiment in pages}

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All runs that are marked as this project's, by id, deleted ones too."""
        return self._marked_runs(tuple(self.experiments), self.project_id)

    @cache  # noqa: B019
    def unmarked_runs(self, experiments: tuple[str, ...]) -> dict[str, Run]:
        """The runs of some experiments that bear no mark of any project, by id, deleted ones too."""
        try:
            return self._marked_runs(experiments, None)
        except TrackerError:  # an older server knows no such question
            found = self._runs(experiments, "")
            return {run_id: run for run_id, run in found.items() if "project_id" not in run.data.tags}

    @cache  # noqa: B019
    def runs_that_read(self, digests: tuple[str, ...]) -> dict[str, Run]:
        """The runs that have one of these datasets as an input and are not marked as this project's, by id."""
        found: dict[str, Run] = {}
        for first in range(0, len(digests), DIGESTS):
            named = ", ".join(f"'{digest}'" for digest in digests[first : first + DIGESTS] if NAME.fullmatch(digest))
            if named:
                found |= self._runs_of_others(f"datasets.digest IN ({named})")
        return found

    def _runs_of_others(self, wanted: str) -> dict[str, Run]:
        """The runs for which `wanted` holds and that are not marked as this project's, by id."""
        experiments = tuple(self.experiments)
        marked = self._runs(experiments, f"{wanted} and tags.project_id != '{self.project_id}'")
        try:
            return marked | self._runs(experiments, f"{wanted} and tags.project_id IS NULL")
        except TrackerError:  # an older server knows no such question
            found = self._runs(experiments, wanted)
            return {run_id: run for run_id, run in found.items() if run.data.tags.get("project_id") != self.project_id}

    def _marked_runs(self, experiments: tuple[str, ...], project_id: str | None) -> dict[str, Run]:
        """The runs that are marked as those of a project, or of none."""
        wanted = f"tags.project_id = '{project_id}'" if project_id is not None else "tags.project_id IS NULL"
        database = self._database
        if database is None or not experiments:
            return self._runs(experiments, wanted)
        from .listed import list_runs

        whole = cache(lambda: self._runs(experiments, wanted))
        with self.asked("list the runs"):
            return list_runs(database, experiments, project_id, lambda run_id: whole()[run_id].data)

    @property
    def _database(self) -> SqlAlchemyStore | None:
        """The tables that MLflow's client has opened in this process; None where it asks a server, or has others."""
        store = getattr(getattr(self.client, "_tracking_client", None), "store", None)
        return store if type(store).__name__ == "SqlAlchemyStore" else None

    def _runs(self, experiments: tuple[str, ...], wanted: str) -> dict[str, Run]:
        if not experiments:
            return {}
        with self.asked("list the runs"):
            pages = all_of(
                lambda token: self.client.search_runs(
                    list(experiments), wanted, ALL, max_results=PAGE, page_token=token
                )
            )
            return {run.info.run_id: run for run in pages}

    @cache  # noqa: B019
    def logged_models(self, experiments: tuple[str, ...]) -> list[LoggedModel]:
        """The models that were logged in some experiments, registered or not."""
        if not experiments:
            return []
        with self.asked("list the logged models"):
            search = self.client.search_logged_models
            return list(all_of(lambda token: search(list(experiments), max_results=PAGE, page_token=token)))

    @cache  # noqa: B019
    def run(self, run_id: str) -> Run | None:
        """One run, deleted or not; None if the store has none of that id."""
        if "runs" in self.__dict__ and run_id in self.runs:
            return self.runs[run_id]
        return self._found("look up a run", lambda: self.client.get_run(run_id))

    def version(self, name: str, number: str) -> ModelVersion | None:
        """One model version; None if there is none."""
        return self._found("look up a model version", lambda: self.client.get_model_version(name, number))

    def version_by_alias(self, name: str, alias: str) -> ModelVersion | None:
        """The version that an alias points to; None if there is none."""
        found = self._found("look up an alias", lambda: self.client.get_model_version_by_alias(name, alias))
        return found and self.version(found.name, str(found.version))

    @cache  # noqa: B019
    def artifact(self, run_id: str, path: str) -> bytes:
        """The content of an artifact of a run. Raises TrackerError if it cannot be had."""
        with self._downloaded(run_id, path) as file:
            return file.read_bytes()

    @cache  # noqa: B019
    def artifact_hashes(self, run_id: str, path: str) -> Hashed:
        """The hashes of an artifact of a run, however large it is. Raises TrackerError if it cannot be had."""
        with self._downloaded(run_id, path) as file:
            return hash_file(file, path)

    @contextmanager
    def _downloaded(self, run_id: str, path: str) -> Iterator[Path]:
        """An artifact of a run in a folder that goes with the block: MLflow would leave it, with the ids in it."""
        with self.asked(f"read {path} of run {run_id}"), tempfile.TemporaryDirectory() as scratch:
            yield Path(self.client.download_artifacts(run_id, path, scratch))

    def places(self, version: ModelVersion) -> tuple[str, str]:
        """Where the registry hands a version out from, and where the model that the version points to is kept."""
        with self.asked(f"look up where {version.name} {version.version} is kept"):
            served = self.client.get_model_version_download_uri(version.name, version.version)
            model_id = version.source.removeprefix("models:/")
            kept = self.client.get_logged_model(model_id).artifact_location
        return (str(kept) if served == version.source else str(served)), str(kept)

    @cache  # noqa: B019
    def registered(self, model_id: str) -> RegisteredFiles:
        """Everything that the registry hands out for a model. Raises TrackerError if it cannot be read."""
        from .artifact import read_artifact

        with self.asked("read the registered model"):
            if not isinstance(self.client, SharedClient):
                use_store(self.uri)  # another one may have been opened since
            return read_artifact(self.client, model_id)

    def _found(self, what: str, ask: Callable[[], Any]) -> Any:
        with self.asked(what):
            try:
                return ask()
            except Exception as error:  # of MLflow, here or in the shared process
                if getattr(error, "error_code", None) in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                raise
