"""The links that MLflow holds: the version, its training run, the registered files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ...base.errors import LineageError
from ...chain.facts import CONTEXTS, NAMES, ROLE
from ...contract import Role
from ...dvc.dvcfile import locked_hash
from ...git.tree import LINEAGE
from ..case import ModelCase
from ..recompute import CheckResult
from ..result_commits import holds_model
from ..stage_runs import store_of_training
from .commit import compare_data_names

if TYPE_CHECKING:
    from mlflow.entities import Run

HASHES = {"pretrained_url", *(name for names in NAMES.values() for name in names if name)}
LINKED_LATER = ("data_git_commit_id", "data_version")  # `lineage link` may know better than the run did


def version(case: ModelCase) -> CheckResult:
    """The registry's own record: the version, what it points to, and its tags."""
    result = CheckResult()
    found, document = case.version, case.document
    assert found is not None
    result.equal("its status", found.status, "READY", "a whole version")
    result.equal("its name", found.name, document["model"]["name"], LINEAGE)
    result.equal("its number", str(found.version), document["model"]["version"], LINEAGE)
    result.equal("its source", found.source, f"models:/{document['artifact']['model_id']}", LINEAGE)
    served = case.evidence.store.places(found)
    result.equal("the folder that it hands out", served[0], served[1], "the model it points to")
    training = document["training_run"].get("run_id")
    elsewhere = training is None or case.evidence.store.run(training) is None
    result.equal("its run", found.run_id, found.tags.get("register_run_id") if elsewhere else training, LINEAGE)
    expected = _expected_tags(document)
    for tag, value in expected.items():
        result.equal(f"its tag {tag}", found.tags.get(tag), value, LINEAGE)
    _compare_more_tags(found.tags, expected, result)
    return result


def _compare_more_tags(tags: dict[str, str], expected: Iterable[str], result: CheckResult) -> None:
    """Nothing may be named by hash, or as where weights came from, that the chain does not have."""
    for tag in sorted((HASHES - {*expected}) & {*tags}):
        result.equal(f"its tag {tag}", tags[tag], None, LINEAGE)


def training_run(case: ModelCase) -> CheckResult:
    """The MLflow run that trained the model, in any lifecycle stage."""
    result = CheckResult()
    document = case.document
    record = document["training_run"]
    store, run_id = store_of_training(case), record["run_id"]
    run = store.run(run_id)
    result.equal(f"run {run_id}", "there" if run else None, "there", "lineage.json")
    if run is None:
        return result
    result.equal(f"run {run_id}", run.info.lifecycle_stage, "active", "a run that nobody deleted")
    result.equal("its status", run.info.status, "FINISHED", "a run that left a model")
    result.equal("its stage", run.data.tags.get("dvc_stage"), case.training.name, f"dvc.yaml at {case.commit[:12]}")
    result.equal("its role", run.data.tags.get(ROLE), Role.MODEL, "a training")
    hashes = {**_expected_tags(document), "environment_md5": document["environment"]["md5"]}
    for tag in ("model_identity", "training_run_id", "training_tracking_uri", "artifact_sha256"):
        hashes.pop(tag, None)
    if "environment_differs" in record.get("started_from", {}):
        hashes.pop("environment_md5")  # the link `environment` says more
    hashes |= {tag: value for tag, value in record.get("job", {}).items() if tag != "image_packages"}
    for tag, value in hashes.items():
        result.equal(f"its tag {tag}", run.data.tags.get(tag), value, LINEAGE)
    _compare_more_tags(run.data.tags, {*hashes, "environment_md5", "artifact_sha256"}, result)
    linked = run.data.tags.get("result_git_commit_id")
    if linked is not None:
        if case.history.resolve(linked) is None:
            case.history.require_complete()
        holds = "with this model" if holds_model(case.history.at(linked).lock, case.identity) else "gone or without it"
        result.equal(f"its result commit {linked[:12]}", holds, "with this model", "the version")
    compare_dataset_inputs(case, run, CONTEXTS[Role.MODEL], result)
    compare_data_names(case, result, run.data.tags, "the run")
    for path, md5 in _logged_files(case):
        content = store.artifact_hashes(run_id, path)
        result.equal(f"its artifact {path}", f"MD5 {content.md5}", f"MD5 {md5}")
    return result


def compare_dataset_inputs(case: ModelCase, run: Run, context: str, result: CheckResult) -> None:
    """The inputs of a run: the dataset version of the model, and no other."""
    document, what = case.document["dataset"], f"the dataset of run {run.info.run_id}"
    inputs = run.inputs.dataset_inputs
    result.equal(what, [entry.dataset.digest for entry in inputs], [document["md5"]], LINEAGE)
    for entry in inputs[:1]:
        stated = json.loads(entry.dataset.source)
        kind = entry.dataset.source_type
        result.equal(f"the kind of {what}", kind, "dvc", "the pipeline")
        for key in ("path", "md5", "sha256", "size"):
            result.equal(f"{key} in the source of {what}", stated.get(key), document[key], LINEAGE)
        used = {tag.key: tag.value for tag in entry.tags}.get("mlflow.data.context")
        result.equal(f"what {what} was for", used, context, "its stage")


def _logged_files(case: ModelCase) -> list[tuple[str, str]]:
    """What the training logs of its outputs, by the path among the artifacts of its run, with the hash in dvc.lock."""
    record = str(case.recorded.pipeline.path(Role.RUN))
    # the folder of a report is the first of its path: see the callback
    places = {record: PurePosixPath(record).name}
    places |= {path: f"{path.split('/')[0]}/{PurePosixPath(path).name}" for path in case.training.reports}
    locked = {path: locked_hash(case.recorded.trained, "outs", path) for path in places}
    return [(place, str(locked[path])) for path, place in places.items() if locked[path]]


def artifact(case: ModelCase) -> CheckResult:
    """What the registry hands out is what register made: weights, code, requirements, nothing more and nothing less."""
    result = CheckResult()
    assert case.version is not None
    document = case.document
    handed_out = case.evidence.store.registered(case.version.source.removeprefix("models:/"))
    content = handed_out.content
    found = {file.path: file.sha256 for file in content.files}
    made = {file["path"]: file["sha256"] for file in document["artifact"]["files"]}
    for path in sorted({*found, *made}):
        result.equal(f"{path} of {case.version.source}", found.get(path), made.get(path), LINEAGE)
    weights = [file.sha256 for file in content.files if file.path.endswith(".safetensors")]
    result.equal(f"the weights of {case.version.source}", weights, [document["model"]["sha256"]], LINEAGE)
    if handed_out.foreign and not result.faults:
        raise LineageError(
            f"{handed_out.foreign[0]} of {case.version.source} was compiled by another Python than this one: it "
            "cannot be checked. Ask again with that Python, or delete the file."
        )
    return result


def _expected_tags(document: dict[str, Any]) -> dict[str, str]:
    record = document["training_run"]
    started = {key: value for key, value in (record.get("started_from") or {}).items() if key not in LINKED_LATER}
    consent, pretrained = document["consent"], document.get("pretrained")
    return {
        "project_id": document["project_id"],
        "subjects_root": document["dataset"]["subjects"]["root"],
        **({"dvc_consent_md5": consent["md5"]} if consent else {}),
        **(_pretrained_tags(pretrained) if pretrained else {}),
        "model_identity": document["model"]["identity"],
        "dvc_raw_md5": document["raw"]["md5"],
        "dvc_data_md5": document["dataset"]["md5"],
        "data_sha256": document["dataset"]["sha256"],
        "dvc_model_md5": document["model"]["md5"],
        "model_sha256": document["model"]["sha256"],
        "dvc_run_md5": record["md5"],
        "environment_md5": document["environment"]["md5"],
        "artifact_sha256": document["artifact"]["sha256"],
        "training_run_id": record.get("run_id") or "unknown",
        "training_tracking_uri": record.get("tracking_uri") or "unknown",
        **started,
    }


def _pretrained_tags(pretrained: dict[str, Any]) -> dict[str, str]:
    names = {"dvc_pretrained_md5": "md5", "pretrained_sha256": "sha256", "pretrained_url": "url"}
    return {tag: pretrained[key] for tag, key in names.items()}
