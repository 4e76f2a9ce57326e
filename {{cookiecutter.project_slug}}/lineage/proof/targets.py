"""What a person may name: a version, a run, a hash, a revision, an experiment, a path; and the models it leads to."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError, TrackerError
from ..base.strict_json import parse
from ..chain.facts import EXECUTION, ROLE
from ..contract import Role
from ..dvc.hashes import hash_path
from ..git.tree import LINEAGE
from ..tracking.candidate import ALIAS
from .case import Evidence, ModelCase
from .git_models import GitModel
from .stores import Stores
from .whose import Whose

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

HEX = re.compile(r"[0-9a-f]{32}(\.dir)?|[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{4,40}")
OF_PIPELINE = re.compile(r"(arn:aws[a-z-]*:sagemaker:\S+:pipeline/\S+/execution/)?(?P<id>[a-z0-9]{12})")
VERSION = re.compile(r"models:/(?P<name>[^/@]+)(/(?P<number>\d+)|@(?P<alias>.+))")
HASHES = (
    "model_identity",
    "dvc_raw_md5",
    "dvc_consent_md5",
    "dvc_data_md5",
    "data_sha256",
    "dvc_model_md5",
    "model_sha256",
    "dvc_run_md5",
    "artifact_sha256",
    "environment_md5",
)


@dataclass
class Target:
    """What was named, and the models that belong to it."""

    asked: str
    kind: str  # "model version", "run", "hash", "commit", "experiment", "file", "execution"
    cases: list[ModelCase] = field(default_factory=list)
    related: list[ModelCase] = field(
        default_factory=list
    )  # for a commit: models of others, made from the dataset it records
    commit: str | None = None
    hash: str | None = None
    execution: str | None = None  # of a pipeline, that a run was a step of


def resolve(evidence: Evidence, asked: str) -> Target:
    """Finds what `asked` names. Raises LineageError if it names nothing, TrackerError if MLflow cannot be asked."""
    if asked.startswith("models:"):
        return Target(asked, "model version", [ModelCase(evidence, _version(evidence, asked))])
    path = Path(asked)
    if path.exists():
        return _file(evidence, asked, path)
    if HEX.fullmatch(asked):
        run = evidence.store.run(asked) if len(asked) == 32 else None
        if run is not None:
            cases = [ModelCase(evidence, version) for version in _of_run(evidence, asked, run)]
            return Target(asked, "run", cases, execution=run.data.tags.get(EXECUTION))
        return _hash(evidence, asked, "hash")
    experiment = evidence.history.experiment(asked)
    if experiment is not None:
        return _commit(evidence, asked, "experiment", experiment)
    commit = evidence.history.resolve(asked) or evidence.history.resolve(f"data/{asked}")
    if commit is not None:
        return _commit(evidence, asked, "commit", commit)
    if (of_pipeline := OF_PIPELINE.fullmatch(asked)) and (found := _execution(evidence, asked, of_pipeline["id"])):
        return found
    hint = ""
    if COMMIT.fullmatch(asked) and evidence.history.is_shallow:
        hint = " This clone is shallow: `git fetch --unshallow` brings older commits."
    raise LineageError(
        f"{asked!r} is no model version (models:/NAME/NUMBER or models:/NAME@ALIAS), run id, hash, Git revision, "
        f"experiment or path here.{hint}"
    )


def _execution(evidence: Evidence, asked: str, identity: str) -> Target | None:
    """What an execution of a pipeline has led to; None if no run belongs to it."""
    runs = [run for run in evidence.store.runs.values() if run.data.tags.get(EXECUTION) == identity]
    trained = [run for run in runs if run.data.tags.get(ROLE) == Role.MODEL]
    versions = [version for run in trained for version in _of_run(evidence, run.info.run_id, run)]
    cases = [ModelCase(evidence, version) for version in versions]
    return Target(asked, "execution", cases, execution=identity) if runs else None


def _of_run(evidence: Evidence, run_id: str, run: Run) -> list[ModelVersion]:
    """The versions that a training led to; for a run of another stage, those of its training or of its dataset."""
    training = run.data.tags.get("training_run_id") or run_id
    data = run.data.tags.get("dvc_data_md5")
    versions = evidence.store.versions
    trained = [version for version in versions if version.tags.get("training_run_id") == training]
    of_data = run.data.tags.get(ROLE) == Role.DATASET
    return [version for version in versions if version.tags.get("dvc_data_md5") == data] if of_data else trained


def scope_of(evidence: Evidence, cases: list[ModelCase], *, every: bool) -> str:
    """Which store and which project an answer is about, and with `every` what it therefore leaves out."""
    project = f"project {evidence.project_id}"
    if cases and all(case.version is None for case in cases):
        return f"Git and DVC, without MLflow, {project}"
    if not every:
        return f"{evidence.store.shown_uri}, {project}{_of_the_alias(evidence, cases)}"
    others, stores = _whose(evidence).left_out, _stores(evidence)
    left_out = [f"versions of other projects under the same names, not looked at: {others}"] if others else []
    left_out += [
        f"versions of this project at {store.shown_uri}, not proved here: {len(store.versions)}"
        for store in stores.asked[1:]
    ]
    models = evidence.git_models.models.values()
    trained = sum(model.is_trained for model in models)
    results = f", and results of other stages: {len(models) - trained}" if trained < len(models) else ""
    held = f"models in Git: {trained}{results}"
    described = "; ".join([f"{evidence.store.shown_uri}, {project}", held, *left_out, *stores.not_asked])
    return described + _of_the_alias(evidence, cases)


def _of_the_alias(evidence: Evidence, cases: list[ModelCase]) -> str:
    """What to know where the alias `candidate` names one of the models, and not that of this checkout."""
    here = evidence.history.at("HEAD").recorded.identity
    if here is None:
        return ""
    for version in (case.version for case in cases if case.version is not None):
        if version.tags.get("model_identity") == here:
            continue
        if ALIAS in evidence.store.aliases(version.name).get(str(version.version), ()):
            return f"; models:/{version.name}@{ALIAS} is version {version.version}, not the model of this checkout"
    return ""


def all_versions(evidence: Evidence) -> list[ModelCase]:
    """Every version of this project in its store, also what is its own under other names or marks, or may be."""
    _ = evidence.store.every  # so that the store is asked once
    strangers = [version for version, _ in _whose(evidence).versions]
    return [ModelCase(evidence, version) for version in (*evidence.store.versions, *strangers)]


def not_in_mlflow(evidence: Evidence, cases: list[ModelCase]) -> list[GitModel]:
    """The models that Git holds and of which none of these versions is."""
    known = {case.version.tags.get("model_identity") for case in cases if case.version is not None}
    for store in _stores(evidence).asked:
        known |= {version.tags.get("model_identity") for version in store.versions}
    models = evidence.git_models.models.values()
    return [model for model in models if model.is_trained and model.identity not in known]


def in_git_alone(evidence: Evidence, target: Target) -> list[ModelCase]:
    """The models of a hash, a run or a commit that a lineage.json of Git's history names, and MLflow does not have."""
    wanted = target.asked if target.kind == "run" else target.hash
    if any(case.version is None for case in target.cases):  # that is one, and MLflow was not asked
        return []
    try:
        known = {version.tags.get("model_identity") for version in evidence.store.versions}
    except TrackerError:
        return []
    found: dict[Any, ModelCase] = {}
    for document in evidence.git_models.documents:
        identity = document["model"].get("identity")
        if wanted and identity not in known and wanted in json.dumps(document):
            found[identity] = ModelCase(evidence, None, document)
    return list(found.values())


@cache
def _whose(evidence: Evidence) -> Whose:
    return Whose(evidence, evidence.store)


@cache
def _stores(evidence: Evidence) -> Stores:
    return Stores(evidence)


def _version(evidence: Evidence, asked: str) -> ModelVersion:
    match = VERSION.fullmatch(asked)
    if match is None:
        raise LineageError(f"{asked!r} is not of the form models:/NAME/NUMBER or models:/NAME@ALIAS.")
    name, number, alias = match["name"], match["number"], match["alias"]
    store = evidence.store
    version = store.version(name, number) if number else store.version_by_alias(name, alias)
    if version is None:
        raise LineageError(f"{store.shown_uri} has no {asked}.")
    project = version.tags.get("project_id")
    if project != evidence.project_id:
        owner = f"of another project ({project})" if project else "of no project: it has no tag project_id"
        raise LineageError(f"{asked} is {owner}; this project is {evidence.project_id}.")
    return version


def _file(evidence: Evidence, asked: str, path: Path) -> Target:
    if path.is_file() and path.name == LINEAGE:
        try:
            document = parse(path.read_bytes())
        except ValueError as error:
            raise LineageError(f"{asked} cannot be read: {error}. `git checkout {asked}` brings it back.") from None
        if not isinstance(document, dict) or not document.get("model"):
            raise LineageError(f"{asked} holds no model yet. `dvc repro` registers one.")
        case = ModelCase(evidence, None, document)
        case.path = path
        return Target(asked, "file", [case], hash=document["model"]["identity"])
    return _hash(evidence, asked, "file", hash_path(path).md5)


def _hash(evidence: Evidence, asked: str, kind: str, value: str | None = None) -> Target:
    wanted = {value or asked, f"{value or asked}.dir"}
    cases = [
        ModelCase(evidence, version)
        for version in evidence.store.versions
        if wanted & {version.tags.get(name) for name in HASHES} or _mentions(evidence, version, value or asked)
    ]
    commits = evidence.history.commits_holding(value or asked)
    if not cases and not commits:
        where = f"{evidence.store.shown_uri} nor a commit of this repository"
        raise LineageError(f"{value or asked} ({asked}) is unknown: neither {where} holds it.")
    return Target(asked, kind, cases, commit=commits[0] if commits else None, hash=value or asked)


def _mentions(evidence: Evidence, version: ModelVersion, value: str) -> bool:
    """Whether the version's lineage.json names a file of this hash: a shard, a raw file, a file of the model."""
    try:
        text = ModelCase(evidence, version).tree.read(LINEAGE) or b""
    except LineageError:
        return False
    return value.encode() in text


def _commit(evidence: Evidence, asked: str, kind: str, commit: str) -> Target:
    tree = evidence.history.at(commit)
    identity, data = tree.recorded.identity, tree.recorded.made(Role.DATASET)
    try:
        versions = evidence.store.versions
    except TrackerError:
        document = tree.document
        here = document is not None and document["model"].get("identity") == identity
        return Target(asked, kind, [ModelCase(evidence, None, document)] if here else [], commit=commit, hash=data)
    exact = [version for version in versions if version.tags.get("model_identity") == identity]
    made = [version for version in versions if data and version.tags.get("dvc_data_md5") == data]
    others = [version for version in made if version not in exact and kind == "commit"]
    cases, related = ([ModelCase(evidence, version) for version in chosen] for chosen in (exact, others))
    return Target(asked, kind, cases, related, commit=commit, hash=data)
