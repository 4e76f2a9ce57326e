"""Model versions: one for each model identity, with its chain in the tags and in lineage.json."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock

from ..compute.ticket import ticket_of_this_job
from ..env import DVC_EXP_NAME
from ..errors import LineageError
from ..pipeline.dvcfile import read_lock, read_pipeline
from ..pipeline.outputs import Inputs
from ..settings import Settings
from .anchor import experiment_variables, main_root
from .bytecode import ForeignBytecodeError, is_compiled_from_source
from .candidate import ALIAS, MOVED_TO, is_shared, why_not_here
from .chain import Chain, build_chain
from .facts import MODEL, system_user
from .git import Repository
from .hashes import Content, folder_content, hash_tree
from .packages import LOCK, locked
from .reproduction import Reproduction
from .tracking import Tracker, local_path

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion


def register(settings: Settings, inputs: Inputs, lineage_file: Path, run: dict[str, Any]) -> None:
    """Makes sure that the trained model is a version in the registry, and writes its chain to `lineage_file`.

    A model identity that has a version keeps it. The version gets the alias `candidate` outside experiments, on a
    branch that may give it, in a store of this project alone; in one that others share `lineage link` gives it, after
    the commit. Raises LineageError if what lies on disk is not what dvc.lock records.
    """
    root = Path.cwd()
    if Reproduction.of(root) is not None:
        raise LineageError(f"{root} was made by `lineage reproduce`: nothing is registered from there.")
    if ticket_of_this_job() is not None:
        raise LineageError("this is a job: it cannot ask who has consented, so nothing is registered from there.")
    main = main_root(root)
    chain = build_chain(root, settings, read_pipeline(root), read_lock(root))
    tracker = Tracker(settings.tracking, main)
    # two experiments that share a cached training would both find no version and both make one
    with FileLock(main / ".dvc" / "tmp" / "register.lock"), tracker.asked("register the model"):
        version = _find_version(tracker, settings.tracking.model_name, chain.project_id, chain.identity)
        made = version is None
        if version is None:
            version = _create_version(tracker, settings, inputs, chain, run)
        artifact = _checked_artifact(tracker, version)
        why_not = _why_not_yet(root, settings)
        if not why_not:
            tracker.client.set_registered_model_alias(version.name, ALIAS, version.version)
            tracker.client.set_registered_model_tag(version.name, MOVED_TO, chain.identity)
    lineage_file.write_text(chain.to_json(tracker.shown_uri, version, artifact), encoding="utf-8", newline="\n")
    uri = f"models:/{version.name}/{version.version}"
    pointed = f"was not moved: {why_not}" if why_not else "points to it"
    print(f"{uri} {'registered' if made else 'was registered before'}; the alias {ALIAS} {pointed}.")


def _why_not_yet(root: Path, settings: Settings) -> str:
    """Why the alias stays where it is; empty if it may be moved now."""
    if experiment := experiment_variables(root).get(DVC_EXP_NAME):
        return f"{experiment} is an experiment"
    if why_not := why_not_here(root, settings.tracking):
        return f"{why_not} (tracking.candidate_branches)" if "default branch" in why_not else why_not
    if is_shared(settings.tracking):
        return "others use this registry, so `lineage link` moves it when the result is committed"
    return ""


def _find_version(tracker: Tracker, name: str, project_id: str, identity: str) -> ModelVersion | None:
    """The oldest version of `name` made of this model identity by this project."""
    wanted = {"model_identity": identity, "project_id": project_id}
    found = [version for version in _all_versions(tracker, name) if wanted.items() <= version.tags.items()]
    return min(found, key=lambda version: int(version.version), default=None)


def _all_versions(tracker: Tracker, name: str) -> Iterator[ModelVersion]:
    token = None
    while True:
        page = tracker.client.search_model_versions(f"name = '{name}'", page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _create_version(
    tracker: Tracker, settings: Settings, inputs: Inputs, chain: Chain, run: dict[str, Any]
) -> ModelVersion:
    from mlflow.exceptions import MlflowException

    name = settings.tracking.model_name
    try:
        tracker.client.create_registered_model(name, tags={"project_id": settings.project_id})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    run_id = run.get("run_id")
    model = _log_model(inputs, name, run_id)
    artifact = read_artifact(tracker.client, model.model_id).content
    # the version leads to the training run, or where that is in another store, to the run that registered it
    training = chain.training_run.get("run_id")
    return tracker.client.create_model_version(
        name,
        source=model.model_uri,
        run_id=training if tracker.has_run(training) else run_id,
        model_id=model.model_id,
        tags={
            **chain.tags(),
            "artifact_sha256": artifact.sha256,
            "registered_by": Repository(tracker.main).identity() or system_user(),
            **({"register_run_id": run_id} if run_id else {}),
        },
    )


class HandedOut(NamedTuple):
    """What the registry hands out for a model; `foreign` are files of it that only another Python can judge."""

    content: Content
    foreign: list[str]


def read_artifact(client: MlflowClient, model_id: str) -> HandedOut:
    """Everything that the registry hands out for a model, by content.

    Left out is what loading a model adds where the store is a local folder: `registered_model_meta`, which MLflow
    writes, and `__pycache__`, which Python writes.
    """
    from mlflow.artifacts import download_artifacts

    location = client.get_logged_model(model_id).artifact_location
    foreign: list[str] = []

    def is_left_by_loading(folder: Path, path: str) -> bool:
        try:
            return path == "registered_model_meta" or (path.endswith(".pyc") and is_compiled_from_source(folder / path))
        except ForeignBytecodeError:
            foreign.append(path)
            return True

    with tempfile.TemporaryDirectory() as scratch:
        local = local_path(location)
        folder = local if local is not None else Path(download_artifacts(artifact_uri=location, dst_path=scratch))
        kept = [file for file in hash_tree(folder).files if not is_left_by_loading(folder, file.path)]
        return HandedOut(folder_content(kept), foreign)


def _checked_artifact(tracker: Tracker, version: ModelVersion) -> Content:
    """Raises LineageError if what the registry holds is not what was registered as this version."""
    artifact = read_artifact(tracker.client, version.source.removeprefix("models:/")).content
    if version.tags.get("artifact_sha256") != artifact.sha256:
        raise LineageError(
            f"the files of models:/{version.name}/{version.version} at {tracker.shown_uri} are no longer those that "
            "were registered. Delete that version, then run this again."
        )
    return artifact


def _log_model(inputs: Inputs, name: str, run_id: str | None) -> Any:
    """Stores the model as an MLflow pyfunc under the run of `register`, or under none if nobody keeps runs."""
    import mlflow

    from .. import serving

    package = Path(serving.__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "model"
        data.mkdir()
        shutil.copyfile(inputs[MODEL], data / serving.WEIGHTS)
        example = serving.example_input(inputs[MODEL])
        arguments: dict[str, Any] = {
            "name": name,
            "loader_module": serving.__name__,
            "data_path": str(data),
            "code_paths": [str(package)],
            "pip_requirements": _requirements(inputs[LOCK], serving.packages(inputs[MODEL])),
            "signature": serving.signature(inputs[MODEL]),
            "input_example": example,
        }
        if run_id is None:
            return mlflow.pyfunc.log_model(**arguments)
        with mlflow.start_run(run_id=run_id):
            return mlflow.pyfunc.log_model(**arguments)


def _requirements(lock: Path, needed: tuple[str, ...]) -> list[str]:
    """What the registered model needs, as the lock pins it."""
    pins = locked(lock)
    missing = [name for name in needed if name not in pins]
    if missing:
        raise LineageError(
            f"{LOCK} does not pin {', '.join(missing)}, which the registered model needs. Run `make lock`."
        )
    return [f"{name}=={pins[name]}" for name in needed]
