"""The links that MLflow holds: the version, its training run, the registered files."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ...errors import LineageError
from ...lineage.facts import NAMES, RUN_RECORD
from ...lineage.hashes import hash_bytes
from ...pipeline.dvcfile import locked_hash
from ..case import Case
from ..commits import holds_model
from ..history import LINEAGE
from ..recompute import Tally
from ..stage_runs import store_of_training
from .commit import compare_data_names

if TYPE_CHECKING:
    from mlflow.entities import Run

HASHES = {"pretrained_url", *(name for names in NAMES.values() for name in names if name)}
LINKED_LATER = ("data_git_commit_id", "data_version")  # `lineage link` may know better than the run did


def version(case: Case) -> Tally:
    """The registry's own record: the version, what it points to, and its tags."""
    tally = Tally()
    found, document = case.version, case.document
    assert found is not None
    tally.equal("its status", found.status, "READY", "a whole version")
    tally.equal("its name", found.name, document["model"]["name"], LINEAGE)
    tally.equal("its number", str(found.version), document["model"]["version"], LINEAGE)
    tally.equal("its source", found.source, f"models:/{document['artifact']['model_id']}", LINEAGE)
    served = case.evidence.store.places(found)
    tally.equal("the folder that it hands out", served[0], served[1], "the model it points to")
    training = document["training_run"].get("run_id")
    elsewhere = training is None or case.evidence.store.run(training) is None
    tally.equal("its run", found.run_id, found.tags.get("register_run_id") if elsewhere else training, LINEAGE)
    expected = _expected_tags(document)
    for tag, value in expected.items():
        tally.equal(f"its tag {tag}", found.tags.get(tag), value, LINEAGE)
    _compare_more_tags(found.tags, expected, tally)
    return tally


def _compare_more_tags(tags: dict[str, str], expected: Iterable[str], tally: Tally) -> None:
    """Nothing may be named by hash, or as where weights came from, that the chain does not have."""
    for tag in sorted((HASHES - {*expected}) & {*tags}):
        tally.equal(f"its tag {tag}", tags[tag], None, LINEAGE)


def training_run(case: Case) -> Tally:
    """The MLflow run that trained the model, in any lifecycle stage."""
    tally = Tally()
    document = case.document
    record = document["training_run"]
    store, run_id = store_of_training(case), record["run_id"]
    run = store.run(run_id)
    tally.equal(f"run {run_id}", "there" if run else None, "there", "lineage.json")
    if run is None:
        return tally
    tally.equal(f"run {run_id}", run.info.lifecycle_stage, "active", "a run that nobody deleted")
    tally.equal("its status", run.info.status, "FINISHED", "a run that left a model")
    tally.equal("its stage", run.data.tags.get("dvc_stage"), "train", LINEAGE)
    hashes = {**_expected_tags(document), "environment_md5": document["environment"]["md5"]}
    for tag in ("model_identity", "training_run_id", "training_tracking_uri", "artifact_sha256"):
        hashes.pop(tag, None)
    if "environment_differs" in record.get("started_from", {}):
        hashes.pop("environment_md5")  # the link `environment` says more
    if record.get("job"):
        hashes |= {"sagemaker_job_name": record["job"]["name"], "sagemaker_job_arn": record["job"]["arn"]}
    for tag, value in hashes.items():
        tally.equal(f"its tag {tag}", run.data.tags.get(tag), value, LINEAGE)
    _compare_more_tags(run.data.tags, {*hashes, "environment_md5", "artifact_sha256"}, tally)
    linked = run.data.tags.get("result_git_commit_id")
    if linked is not None:
        if case.history.resolve(linked) is None:
            case.history.require_complete()
        holds = "with this model" if holds_model(case.history.lock(linked), case.identity) else "gone or without it"
        tally.equal(f"its result commit {linked[:12]}", holds, "with this model", "the version")
    compare_dataset_inputs(case, run, "training", tally)
    compare_data_names(case, tally, run.data.tags, "the run")
    for path, md5 in _logged_files(case):
        content = hash_bytes(store.artifact(run_id, path), path)
        tally.equal(f"its artifact {path}", f"MD5 {content.md5}", f"MD5 {md5}")
    return tally


def compare_dataset_inputs(case: Case, run: Run, context: str, tally: Tally) -> None:
    """The inputs of a run: the dataset version of the model, and no other."""
    document, what = case.document["dataset"], f"the dataset of run {run.info.run_id}"
    inputs = run.inputs.dataset_inputs
    tally.equal(what, [entry.dataset.digest for entry in inputs], [document["md5"]], LINEAGE)
    for entry in inputs[:1]:
        stated = json.loads(entry.dataset.source)
        kind = entry.dataset.source_type
        tally.equal(f"the kind of {what}", kind, "dvc", "the pipeline")
        for key in ("path", "md5", "sha256", "size"):
            tally.equal(f"{key} in the source of {what}", stated.get(key), document[key], LINEAGE)
        used = {tag.key: tag.value for tag in entry.tags}.get("mlflow.data.context")
        tally.equal(f"what {what} was for", used, context, "its stage")


def _logged_files(case: Case) -> list[tuple[str, str]]:
    """What train logs of its outputs, by the path among the artifacts of its run, with the hash in dvc.lock."""
    reports = case.history.pipeline(case.commit).stage("train").reports
    # the folder of a report is the first of its path: see the callback
    places = {RUN_RECORD: PurePosixPath(RUN_RECORD).name}
    places |= {path: f"{path.split('/')[0]}/{PurePosixPath(path).name}" for path in reports}
    locked = {path: locked_hash(case.lock["train"], "outs", path) for path in places}
    return [(place, str(locked[path])) for path, place in places.items() if locked[path]]


def artifact(case: Case) -> Tally:
    """What the registry hands out is what register made: weights, code, requirements, nothing more and nothing less."""
    tally = Tally()
    assert case.version is not None
    document = case.document
    handed_out = case.evidence.store.registered(case.version.source.removeprefix("models:/"))
    content = handed_out.content
    found = {file.path: file.sha256 for file in content.files}
    made = {file["path"]: file["sha256"] for file in document["artifact"]["files"]}
    for path in sorted({*found, *made}):
        tally.equal(f"{path} of {case.version.source}", found.get(path), made.get(path), LINEAGE)
    weights = [file.sha256 for file in content.files if file.path.endswith(".safetensors")]
    tally.equal(f"the weights of {case.version.source}", weights, [document["model"]["sha256"]], LINEAGE)
    if handed_out.foreign and not tally.faults:
        raise LineageError(
            f"{handed_out.foreign[0]} of {case.version.source} was compiled by another Python than this one: it "
            "cannot be checked. Ask again with that Python, or delete the file."
        )
    return tally


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
