"""The link that is lineage.json itself: each of its statements against what it was made from."""

from __future__ import annotations

import json
from typing import Any

from ...base.errors import LineageError
from ...chain.document import model_parameters
from ...chain.packages import LOCK
from ...contract import Role
from ...dvc.dvcfile import locked_hash, read_lock
from ...dvc.hashes import hash_path
from ...dvc.recorded import Recorded
from ...git.tree import LINEAGE
from ..case import ModelCase
from ..dataset import describe
from ..recompute import CheckResult
from ..result_commits import holds_model
from ..together import completing_command, last_result

SECTIONS = (  # of lineage.json, what a message calls them, and what they are in dvc.yaml
    ("dataset", "its dataset", Role.DATASET),
    ("model", "its model", Role.MODEL),
    ("training_run", "its training_run", Role.RUN),
    ("raw", "its raw data", Role.RAW),
    ("consent", "its consent snapshot", Role.CONSENT),
    ("pretrained", "its weights to start from", Role.PRETRAINED),
)


def lineage_file(case: ModelCase) -> CheckResult:
    """lineage.json at the result commit says the same as dvc.lock there."""
    result = CheckResult()
    recorded, document, at = case.recorded, case.tree.document, case.commit[:12]
    _compare_files(case, recorded, result)
    _say_if_mixed(case, result)
    if document is None:
        result.equal(f"{LINEAGE} at {at}", None, "the chain of a model", "its stage")
        return result
    _compare_names(case, document, result)
    _compare_sections(recorded, document, at, result)
    _compare_environment(recorded, document, at, result)
    _compare_weights(document, result)
    _compare_outputs(recorded, document, at, result)
    _compare_parameters(recorded, document, at, result)
    _compare_training_run(case, document, result)
    _compare_listings(case, document, result)
    return result


def _compare_files(case: ModelCase, recorded: Recorded, result: CheckResult) -> None:
    """The file at the commit, and the one on disk if one was named: as a whole, by hash."""
    at_commit = case.tree.md5(LINEAGE)
    result.equal(LINEAGE, at_commit, recorded.made(Role.CHAIN), f"dvc.lock at {case.commit[:12]}")
    if case.path is not None:
        on_disk, beside = hash_path(case.path).md5, Recorded.here(case.path.parent)
        result.equal(str(case.path), on_disk, beside.made(Role.CHAIN), "dvc.lock beside it")
        result.equal(str(case.path), on_disk, at_commit, f"the commit {case.commit[:12]}")


def _say_if_mixed(case: ModelCase, result: CheckResult) -> None:
    """Says, before what differs, that the file and dvc.lock are not of one run, and which command makes them so."""
    if case.path is not None and not holds_model(read_lock(case.path.parent), case.identity):
        mixed = f"{case.path} is of another run than dvc.lock beside it"
    elif result.faults and case.commit == last_result(case.history):
        mixed = f"{case.commit[:12]} holds parts that are not of one run"
    else:
        return
    result.faults.insert(0, f"{mixed}. `{completing_command(case.history)}`")


def _compare_names(case: ModelCase, document: dict[str, Any], result: CheckResult) -> None:
    """The project and the model that it says it is about."""
    result.equal("its project", document["project_id"], case.evidence.project_id, "params.yaml")
    result.equal("its model identity", document["model"]["identity"], case.identity, "the version")


def _compare_sections(recorded: Recorded, document: dict[str, Any], at: str, result: CheckResult) -> None:
    """What has a role in the pipeline: its hash, and its path where one is stated."""
    for section, what, role in SECTIONS:
        stated, path = document.get(section) or {}, recorded.pipeline.path(role)
        result.equal(what, stated.get("md5"), recorded.md5(role), f"dvc.lock at {at}")
        if "path" in stated:
            result.equal(f"the path of {what}", stated["path"], path, f"dvc.yaml at {at}")


def _compare_environment(recorded: Recorded, document: dict[str, Any], at: str, result: CheckResult) -> None:
    """The lock of the environment that the training depended on."""
    locked = locked_hash(recorded.trained, "deps", LOCK)
    result.equal("its environment", document["environment"]["md5"], locked, f"dvc.lock at {at}")


def _compare_weights(document: dict[str, Any], result: CheckResult) -> None:
    """The weights to start from: those that training loaded, and those that the parameters ask for."""
    pretrained, where = document.get("pretrained") or {}, f"pretrained in {LINEAGE}"
    loaded = document["training_run"].get("pretrained_sha256")
    result.equal("the weights that training loaded", loaded, pretrained.get("sha256"), where)
    if pretrained:
        asked = document["parameters"].get("weights.sha256")
        result.equal("the weights that were asked for", asked, pretrained.get("sha256"), where)
        url = document["parameters"].get("weights.url")
        result.equal("their address", pretrained.get("url"), url, f"the parameters in {LINEAGE}")


def _compare_outputs(recorded: Recorded, document: dict[str, Any], at: str, result: CheckResult) -> None:
    """Every output that it names, of whichever stage."""
    outs = {out["path"]: out["md5"] for entry in recorded.lock.values() for out in entry.get("outs") or []}
    for out in document["outputs"]:
        result.equal(f"its output {out['path']}", out["md5"], outs.get(out["path"]), f"dvc.lock at {at}")


def _compare_parameters(recorded: Recorded, document: dict[str, Any], at: str, result: CheckResult) -> None:
    """Every parameter that it states, and every one that made the model."""
    params, stated = model_parameters(recorded), document["parameters"]
    for key in sorted({*params, *stated}):
        result.equal(f"its parameter {key}", stated.get(key), params.get(key), f"dvc.lock at {at}")


def _compare_training_run(case: ModelCase, document: dict[str, Any], result: CheckResult) -> None:
    """What it says of the training run, against the object that the run wrote."""
    section = document["training_run"]
    record = json.loads(case.evidence.objects.read(section["md5"]))
    stated = {key: value for key, value in section.items() if key != "md5"}
    for key in sorted({*record, *stated}):
        result.equal(f"its training_run.{key}", stated.get(key), record.get(key), "what the run wrote")


def _compare_listings(case: ModelCase, document: dict[str, Any], result: CheckResult) -> None:
    """The files of the dataset and of the raw data."""
    for section in ("dataset", "raw"):
        listing = case.evidence.objects.listing(document[section]["md5"])
        listed = {file["path"]: file["md5"] for file in document[section]["files"]}
        for path in sorted({*listing, *listed}):
            result.equal(f"its {section} file {path}", listed.get(path), listing.get(path), "the listing in DVC")
    dataset = document["dataset"]
    try:
        described = describe(case.evidence.objects, dataset["md5"])
    except LineageError:  # the link `dataset` says more
        result.note += "; the counts of the dataset cannot be had"
        return
    for key, name in (("classes", "classes"), ("records", "records"), ("subjects_by_split", "subjects")):
        result.equal(f"its {name} of the dataset", dataset.get(key), described[name], "the dataset")
