"""Model versions: one for each model identity, with its chain in the tags and in lineage.json."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from ..base.env import DVC_EXP_NAME
from ..base.errors import LineageError
from ..chain.card import card, to_markdown
from ..chain.document import Chain, build_chain, scores_by_name
from ..chain.facts import system_user
from ..chain.packages import LOCK, locked
from ..chain.reproduction import Reproduction
from ..compute.job_spec import spec_of_this_job
from ..contract import ROOT, Role, Servable, package_name
from ..dvc.hashes import Content, hash_file, sha256_of_json
from ..dvc.recorded import Recorded
from ..git.anchor import experiment_variables, main_root
from ..git.repository import Repository
from ..run.imports import every_import
from ..run.interrupts import uninterrupted
from ..run.outputs import Inputs
from ..settings import Settings, flatten
from ..tracking.candidate import ALIAS, is_shared, why_not_here
from ..tracking.registry import Packed, Registered
from ..tracking.shared import Runs, open_tracker
from . import loader, trial

if TYPE_CHECKING:
    from .runner import Report


def register(settings: Settings, inputs: Inputs, lineage_file: Path, report: Report, serving: Servable) -> None:
    """Makes sure that the trained model is a version in the registry, and writes its chain to `lineage_file`.

    `serving` is the module of the project that makes a registered model of the weights, and loads it.

    A model identity that has a version keeps it. The version gets the alias `candidate` outside experiments, on a
    branch that may give it, in a store of this project alone; in one that others share `lineage link` gives it, after
    the commit. Raises LineageError if what lies on disk is not what dvc.lock records.
    """
    root = Path.cwd()
    if Reproduction.of(root) is not None:
        raise LineageError(f"{root} was made by `lineage reproduce`: nothing is registered from there.")
    if spec_of_this_job() is not None:
        raise LineageError("this is a job: it cannot ask who has consented, so nothing is registered from there.")
    main = main_root(root)
    recorded = Recorded.here(root)
    chain = build_chain(root, settings, recorded, report.content)
    name = settings.tracking.model_name
    tracker = open_tracker(settings.tracking, main)
    # two experiments that share a cached training would both find no version and both make one
    with FileLock(main / ".dvc" / "tmp" / "register.lock"), tempfile.TemporaryDirectory() as scratch:
        version = tracker.find_version(name, {"model_identity": chain.identity, "project_id": chain.project_id})
        if made := version is None:
            profile = recorded.pipeline.profile_of(recorded.pipeline.path(Role.DATASET) or "")
            beside = [profile] if profile and profile in inputs else []
            model = _pack(inputs, chain, beside, name, serving, Path(scratch))
            version, artifact = _create_version(tracker, settings, model, chain, report.run.get("run_id"), main)
        else:
            artifact = _checked_artifact(tracker, version)
        document = chain.to_json(tracker.shown_uri, version, artifact)
        if made or DVC_EXP_NAME not in experiment_variables(root):  # else it is another's, and is shown as that has it
            _show(tracker, version, json.loads(document), report.run.get("run_id"))
        why_not = _why_not_yet(root, settings)
        if not why_not:
            with uninterrupted():
                tracker.move_candidate(version, chain.identity)
    lineage_file.write_text(document, encoding="utf-8", newline="\n")
    uri = f"models:/{version.name}/{version.version}"
    pointed = f"was not moved: {why_not}" if why_not else "points to it"
    print(f"{uri} {'registered' if made else 'was registered before'}; the alias {ALIAS} {pointed}.")


def _show(tracker: Runs, version: Registered, document: dict[str, Any], run_id: str | None) -> None:
    """What people see of a version: its card, and its scores beside the registered files.

    MLflow keeps such scores only together with a run: without callbacks there is none, and the card alone has them.
    """
    text = to_markdown(card(document, version.version, version.tags.get("result_git_commit_id")))
    if not tracker.describe(version, text):
        print(f"models:/{version.name}/{version.version}: somebody has edited its description, so it stays as it is.")
    if run_id:
        # the name that the runs log it under
        of = str(flatten(document["parameters"]).get("data.source.name")), document["dataset"]["md5"]
        tracker.show_scores(version.model_id, run_id, scores_by_name(document["metrics"]), of)


def _why_not_yet(root: Path, settings: Settings) -> str:
    """Why the alias stays where it is; empty if it may be moved now."""
    if experiment := experiment_variables(root).get(DVC_EXP_NAME):
        return f"{experiment} is an experiment"
    if why_not := why_not_here(root, settings.tracking):
        return f"{why_not} (tracking.candidate_branches)" if "default branch" in why_not else why_not
    if is_shared(settings.tracking):
        return "others use this registry, so `lineage link` moves it when the result is committed"
    return ""


def _create_version(
    tracker: Runs, settings: Settings, model: Packed, chain: Chain, run_id: str | None, main: Path
) -> tuple[Registered, Content]:
    """The new version, and everything that the registry hands out for it."""
    model_id = tracker.log_model(model, run_id)
    artifact = tracker.registered_files(model_id)
    # the version leads to the training run, or where that is in another store, to the run that registered it
    training = chain.training_run.get("run_id")
    tags = {
        **chain.tags(),
        "artifact_sha256": artifact.sha256,
        "registered_by": Repository(main).identity() or system_user(),
        **({"register_run_id": run_id} if run_id else {}),
    }
    leading = training if tracker.has_run(training) else run_id
    with uninterrupted():  # it goes on in the process that has MLflow, and nobody else may make one meanwhile
        version = tracker.create_version(model.name, settings.project_id, model_id, leading, tags)
    return version, artifact


def _checked_artifact(tracker: Runs, version: Registered) -> Content:
    """Raises LineageError if what the registry holds is not what was registered as this version."""
    artifact = tracker.registered_files(version.model_id)
    if version.tags.get("artifact_sha256") != artifact.sha256:
        raise LineageError(
            f"the files of models:/{version.name}/{version.version} at {tracker.shown_uri} are no longer those that "
            "were registered. Delete that version, then run this again."
        )
    return artifact


def _pack(inputs: Inputs, chain: Chain, beside: Iterable[str], name: str, serving: Servable, scratch: Path) -> Packed:
    """The model as it is registered, in `scratch`, and files beside it. Raises LineageError if it cannot be served."""
    data, weights = scratch / "model", inputs[chain.contents[Role.MODEL][0]]
    data.mkdir()
    shutil.copyfile(weights, data / serving.WEIGHTS)
    for each in beside:
        shutil.copyfile(inputs[each], data / Path(each).name)
    model = Packed(
        name=name,
        loader=copy_code(serving, scratch / "code"),
        data=data,
        requirements=_requirements(inputs[LOCK], serving.packages(weights)),
        signature=serving.signature(weights),
        example=serving.example_input(weights),
        card=to_markdown(card(chain.document(name))),
    )
    sides = model.signature.values() if isinstance(model.signature, dict) else [None]
    if not all(isinstance(columns, list) for columns in sides):
        raise LineageError(f"{serving.__name__}.signature must return lists of columns by `inputs` and `outputs`.")
    _require_prediction(model, scratch / "trial")
    return model


def _require_prediction(model: Packed, scratch: Path) -> None:
    """Lets copies of what is registered predict the example, in a process that finds nothing else of the project.

    Raises LineageError if they cannot. All packages of this environment are there, asked for or not.
    """
    scratch.mkdir()
    shutil.copytree(model.data, scratch / "data")  # loading may write beside what it loads
    shutil.copytree(model.loader, scratch / model.loader.name)
    (scratch / "example").write_bytes(pickle.dumps(model.example))
    command = [sys.executable, "-I", "-c", trial.SOURCE, str(ROOT), model.loader.name]
    done = subprocess.run(command, cwd=scratch, capture_output=True, encoding="utf-8", errors="replace", check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
        raise LineageError(
            f"the model cannot be served, so it was not registered: on its own example it fails with {said[-1][:700]}. "
            "Mend that, then `dvc repro`."
        )


def copy_code(serving: Servable, folder: Path) -> Path:
    """What serving imports of the project, at any depth, and the packages around it; nothing else of the project.

    In a package that is named by what is in it, so that versions with different code do not get in each other's way:
    see loader.py.
    """
    modules = every_import(ROOT, Path(str(serving.__file__)))
    around = {above / "__init__.py" for file in modules for above in file.parents if above.is_relative_to(ROOT)}
    # without __init__.py a folder would give way to a package of the same name, such as an installed project's
    files = sorted(modules | {file for file in around if file.is_file()})
    named = {file.relative_to(ROOT).as_posix(): hash_file(file, file.name).sha256 for file in files}
    package = folder / f"{package_name()}_{sha256_of_json(named)[:12]}"
    for file in files:
        target = package / loader.SOURCE / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    (package / loader.SOURCE / "__init__.py").touch()
    shutil.copyfile(loader.__file__, package / "__init__.py")
    (package / loader.SERVABLE).write_text(f"{serving.__name__}\n", encoding="utf-8", newline="\n")
    return package


def _requirements(lock: Path, needed: tuple[str, ...]) -> list[str]:
    """What the registered model needs, as the lock pins it."""
    pins = locked(lock)
    missing = [name for name in needed if name not in pins]
    if missing:
        raise LineageError(
            f"{LOCK} does not pin {', '.join(missing)}, which the registered model needs. Run `make lock`."
        )
    return [f"{name}=={pins[name]}" for name in needed]
