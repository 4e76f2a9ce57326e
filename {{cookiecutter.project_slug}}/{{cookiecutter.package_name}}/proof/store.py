"""What MLflow holds of this project: versions and runs, all pages, in every lifecycle stage. Nothing is created."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TrackerError
from ..lineage.git import strip_user
from ..lineage.tracking import SQLITE, absolute_uri, quiet, require_answer, saying

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from ..lineage.registry import HandedOut

PAGE = 1000
WITHOUT = "`lineage verify lineage.json` proves what Git and DVC hold."


class Store:
    """One MLflow store. Raises TrackerError where it cannot be reached; what it does not hold is None or missing."""

    def __init__(self, uri: str, main: Path, project_id: str) -> None:
        self.uri = absolute_uri(uri, main)
        self.shown_uri = strip_user(uri)
        self.project_id = project_id

    @cached_property
    def client(self) -> MlflowClient:
        """MLflow's own client, opened at the first question."""
        if self.uri.startswith(SQLITE) and not Path(self.uri.removeprefix(SQLITE)).exists():
            raise TrackerError(f"there is no MLflow store at {self.uri}. {WITHOUT}")
        require_answer(self.uri, f"or go on without: {WITHOUT}")
        quiet()
        with self.asked("open the store"):
            import mlflow

            mlflow.set_tracking_uri(self.uri)
            mlflow.set_registry_uri(self.uri)
            return mlflow.MlflowClient(self.uri, self.uri)

    def asked(self, what: str) -> AbstractContextManager[None]:
        """Turns MLflow's errors into a TrackerError that says what was asked, and where."""
        return saying(what, self.shown_uri)

    @cached_property
    def versions(self) -> list[ModelVersion]:
        """All model versions of this project, by name and number."""
        wanted = f"tags.project_id = '{self.project_id}'"
        with self.asked("list the model versions"):
            pages = _pages(lambda token: self.client.search_model_versions(wanted, max_results=PAGE, page_token=token))
            return sorted(pages, key=lambda version: (version.name, int(version.version)))

    @cache  # noqa: B019
    def aliases(self, name: str) -> dict[str, tuple[str, ...]]:
        """The aliases of a registered model by version: lists of versions come without them."""
        with self.asked(f"look up the aliases of {name}"):
            pointed = self.client.get_registered_model(name).aliases
        numbers = {str(number) for number in pointed.values()}
        return {number: tuple(sorted(a for a, n in pointed.items() if str(n) == number)) for number in numbers}

    @cached_property
    def neighbours(self) -> list[ModelVersion]:
        """Versions that are not marked as this project's, under the names of this project's models."""
        models = f"tags.project_id = '{self.project_id}'"
        with self.asked("list the registered models"):
            pages = _pages(
                lambda token: self.client.search_registered_models(models, max_results=PAGE, page_token=token)
            )
            found: list[ModelVersion] = []
            for model in pages:
                wanted = f"name = '{model.name}'"
                found += _pages(
                    lambda token, wanted=wanted: self.client.search_model_versions(  # type: ignore[misc]
                        wanted, max_results=PAGE, page_token=token
                    )
                )
        return [version for version in found if version.tags.get("project_id") != self.project_id]

    @cached_property
    def runs(self) -> dict[str, Run]:
        """All runs of this project by id, deleted ones too."""
        from mlflow.entities import ViewType

        wanted = f"tags.project_id = '{self.project_id}'"
        with self.asked("list the runs"):
            experiments = _pages(
                lambda token: self.client.search_experiments(ViewType.ALL, max_results=PAGE, page_token=token)
            )
            ids = [experiment.experiment_id for experiment in experiments]
            found = _pages(
                lambda token: self.client.search_runs(ids, wanted, ViewType.ALL, max_results=PAGE, page_token=token)
            )
            return {run.info.run_id: run for run in found}

    @cache  # noqa: B019  lives as long as one command
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
        with self.asked(f"read {path} of run {run_id}"):
            return Path(self.client.download_artifacts(run_id, path)).read_bytes()

    def places(self, version: ModelVersion) -> tuple[str, str]:
        """Whence the registry hands out a version, and where the model that the version points to is kept."""
        with self.asked(f"look up where {version.name} {version.version} is kept"):
            served = self.client.get_model_version_download_uri(version.name, version.version)
            model_id = version.source.removeprefix("models:/")
            kept = self.client.get_logged_model(model_id).artifact_location
        return (str(kept) if served == version.source else str(served)), str(kept)

    @cache  # noqa: B019
    def registered(self, model_id: str) -> HandedOut:
        """Everything that the registry hands out for a model. Raises TrackerError if it cannot be read."""
        import mlflow

        from ..lineage.registry import read_artifact

        with self.asked("read the registered model"):
            mlflow.set_tracking_uri(self.uri)  # another store may have been opened since
            return read_artifact(self.client, model_id)

    def _found(self, what: str, ask: Callable[[], Any]) -> Any:
        with self.asked(what):
            from mlflow.exceptions import MlflowException

            try:
                return ask()
            except MlflowException as error:
                if error.error_code in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                    return None
                raise


def _pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return
