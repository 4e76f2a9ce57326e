"""The links of the chain, each proved by itself: a function a link, in the order of the chain.

Nothing is believed because it was logged. What Git holds at the result commit is computed anew; MLflow and the DVC
remote are compared with it. A link that cannot be looked at raises LineageError and is then INCONCLUSIVE.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ..errors import LineageError
from ..lineage.chain import SCORES, model_parameters
from ..lineage.facts import DATASET, MODEL, RAW, RUN_RECORD
from ..lineage.hashes import hash_bytes, hash_path
from ..lineage.packages import LOCK, pins
from ..pipeline.dvcfile import locked_hash, read_lock
from ..settings import flatten
from .case import Case
from .commits import holds_dataset, holds_model
from .dataset import compare_manifest
from .history import LINEAGE
from .recompute import Tally, added, recompute_code, recompute_params, stages_of_model

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
    for tag, value in _expected_tags(document).items():
        tally.equal(f"its tag {tag}", found.tags.get(tag), value, LINEAGE)
    return tally


def training_run(case: Case) -> Tally:
    """The MLflow run that trained the model, in any lifecycle stage."""
    tally = Tally()
    document = case.document
    record = document["training_run"]
    run_id = record.get("run_id")
    if run_id is None:
        raise LineageError("the model was trained without a tracker: no run was ever logged.")
    run = case.evidence.store_at(record["tracking_uri"]).run(run_id)
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
    for tag, value in hashes.items():
        tally.equal(f"its tag {tag}", run.data.tags.get(tag), value, LINEAGE)
    linked = run.data.tags.get("result_git_commit_id")
    if linked is not None:
        if case.history.resolve(linked) is None:
            _raise_if_not_fetched(case)
        holds = "with this model" if holds_model(case.history.lock(linked), case.identity) else "gone or without it"
        tally.equal(f"its result commit {linked[:12]}", holds, "with this model", "the version")
    digests = [entry.dataset.digest for entry in run.inputs.dataset_inputs if entry.dataset.source_type == "dvc"]
    tally.equal("its dataset", digests, [document["dataset"]["md5"]], LINEAGE)
    return tally


def logged_parameters(case: Case) -> Tally:
    """The parameters of the training run in MLflow against those of dvc.lock."""
    tally = Tally()
    record = case.document["training_run"]
    run = case.evidence.store_at(record["tracking_uri"]).run(record["run_id"]) if record.get("run_id") else None
    if run is None:
        raise LineageError("there is no training run to compare with.")
    locked = model_parameters(case.history.pipeline(case.commit), case.lock)
    expected = {key: str(value) for key, value in flatten(locked).items()}
    groups = {key.partition(".")[0] for key in expected}
    logged = {key: value for key, value in run.data.params.items() if key.partition(".")[0] in groups}
    for key in sorted({*expected, *logged}):
        tally.equal(f"{key} of run {record['run_id']}", logged.get(key), expected.get(key))
    return tally


def result_commit(case: Case) -> Tally:
    """The commit that holds data, code, parameters and model together: there, reachable, pushed."""
    tally = Tally()
    history = case.history
    commit = case.tagged_commit or case.found_commit
    if commit is None or history.resolve(commit) is None:
        _raise_if_not_fetched(case)
        what = f"commit {commit[:12]}" if commit else "a commit that holds this model"
        tally.equal(what, None, "there", "the version")
        return tally
    tally.equal(f"commit {commit[:12]}", "there", "there")
    reachable = history.is_reachable(commit)
    if not reachable:
        _raise_if_not_fetched(case)
    tally.equal(f"commit {commit[:12]}", "reachable" if reachable else "in no ref", "reachable", "Git")
    if history.remote and reachable:
        pushed = history.is_pushed(commit)
        if pushed is None:
            raise LineageError(
                f"{history.remote} has commits that this clone does not: whether {commit[:12]} is pushed cannot be "
                f"told. `git fetch {history.remote}`, then ask again."
            )
        where = f"{history.remote} as it must be (`git push`, or `dvc exp push` for an experiment)"
        tally.equal(f"commit {commit[:12]}", "pushed" if pushed else "not pushed", "pushed", where)
    return tally


def dvc_lock(case: Case) -> Tally:
    """dvc.lock at the result commit holds exactly this model identity."""
    tally = Tally()
    commit = case.tagged_commit or case.found_commit
    if commit is None or case.history.resolve(commit) is None:
        _raise_if_not_fetched(case)
        tally.equal("a dvc.lock with this model identity", None, case.identity[:12], "the version")
        return tally
    holds = holds_model(case.history.lock(commit), case.identity)
    tally.equal(
        f"the entry of train in dvc.lock at {commit[:12]}",
        f"model_identity {case.identity}" if holds else "another model or none",
        f"model_identity {case.identity}",
        "the version",
    )
    return tally


def code(case: Case) -> Tally:
    """Commands and every dependency that Git tracks, computed anew from the commit's tree."""
    tally = recompute_code(case.history, case.commit)
    dirty = ((case.history.document(case.commit) or {}).get("training_run") or {}).get("started_from") or {}
    if tally.faults and dirty.get("git_dirty_files"):
        tally.faults.append(f"the run started with files that differ: {', '.join(dirty['git_dirty_files'].split())}")
    return tally


def parameters(case: Case) -> Tally:
    """Every parameter that dvc.lock records, against params.yaml of the commit."""
    return recompute_params(case.history, case.commit)


def lineage_file(case: Case) -> Tally:
    """lineage.json at the result commit says the same as dvc.lock there."""
    tally = Tally()
    commit, lock, document = case.commit, case.lock, case.history.document(case.commit)
    where = f"dvc.lock at {commit[:12]}"
    at_commit = case.history.md5(commit, LINEAGE)
    tally.equal(LINEAGE, at_commit, locked_hash(lock.get("register"), "outs", LINEAGE), where)
    if case.path is not None:
        on_disk, beside = hash_path(case.path).md5, read_lock(case.path.parent)
        recorded = locked_hash(beside.get("register"), "outs", LINEAGE)
        tally.equal(str(case.path), on_disk, recorded, "dvc.lock beside it")
        tally.equal(str(case.path), on_disk, at_commit, f"the commit {commit[:12]}")
    if document is None:
        tally.equal(f"{LINEAGE} at {commit[:12]}", None, "the chain of a model", "register")
        return tally
    tally.equal("its project", document["project_id"], case.evidence.project_id, "params.yaml")
    tally.equal("its model identity", document["model"]["identity"], case.identity, "the version")
    for path, section in ((DATASET, "dataset"), (LOCK, "environment")):
        tally.equal(f"its {section}", document[section]["md5"], locked_hash(lock["train"], "deps", path), where)
    for path, section in ((MODEL, "model"), (RUN_RECORD, "training_run")):
        tally.equal(f"its {section}", document[section]["md5"], locked_hash(lock["train"], "outs", path), where)
    tally.equal("its raw data", document["raw"]["md5"], locked_hash(lock.get("preprocess"), "deps", RAW), where)
    locked = model_parameters(case.history.pipeline(commit), lock)
    for key in sorted({*locked, *document["parameters"]}):
        tally.equal(f"its parameter {key}", document["parameters"].get(key), locked.get(key), where)
    record = json.loads(case.evidence.objects.read(document["training_run"]["md5"]))
    stated = {key: value for key, value in document["training_run"].items() if key != "md5"}
    for key in sorted({*record, *stated}):
        tally.equal(f"its training_run.{key}", stated.get(key), record.get(key), RUN_RECORD)
    for section in ("dataset", "raw"):
        listing = case.evidence.objects.listing(document[section]["md5"])
        listed = {file["path"]: file["md5"] for file in document[section]["files"]}
        for path in sorted({*listing, *listed}):
            tally.equal(f"its {section} file {path}", listed.get(path), listing.get(path), "the listing in DVC")
    return tally


def environment(case: Case) -> Tally:
    """The environment lock is the commit's, and the packages that the training run found installed are the lock's."""
    tally = Tally()
    document = case.document
    record, text = document["training_run"], case.history.read(case.commit, LOCK) or b""
    tally.equal(LOCK, document["environment"]["md5"], case.history.md5(case.commit, LOCK), "the commit")
    differs = record.get("started_from", {}).get("environment_differs")
    tally.equal("the environment", differs, None, LOCK)
    if case.version is None or record.get("run_id") is None:
        tally.not_asked = " as the run saw it; the list of packages is in MLflow, which was not asked"
        return tally
    logged = case.evidence.store_at(record["tracking_uri"]).artifact(record["run_id"], "packages.txt")
    lines = [line.partition("==") for line in logged.decode(errors="replace").splitlines()]
    malformed = [name for name, equals, version in lines if not (name and equals and version)]
    tally.equal(f"lines of packages.txt of run {record['run_id']} that name no package", malformed, [], "the run")
    packages = {name: version for name, _, version in lines}
    for name, locked in pins(text.decode(), record.get("machine", {}).get("markers")).items():
        installed = packages.get(name)
        # a lock without a local part (+cpu, +cu130) admits any
        if installed is not None and "+" not in locked:
            installed = installed.partition("+")[0]
        tally.equal(f"package {name} in packages.txt of run {record['run_id']}", installed, locked, LOCK)
    return tally


def data_commit(case: Case) -> Tally:
    """A commit that records the dataset version, and the Git tag of the data, are what the version says of them."""
    tally = Tally()
    md5 = locked_hash(case.lock["train"], "deps", DATASET) or ""
    tags = case.version.tags if case.version else {}
    commit = tags.get("data_git_commit_id") or case.commit
    if case.history.resolve(commit) is None:
        _raise_if_not_fetched(case)
    holds = case.history.resolve(commit) is not None and holds_dataset(case.history, commit, md5)
    tally.equal(f"dataset {md5}", f"recorded at {commit[:12]}" if holds else "not there", f"recorded at {commit[:12]}")
    if "data_version" in tags:
        name = f"data/{tags['data_version']}"
        tagged = case.history.data_tags.get(name)
        if tagged is None:
            raise LineageError(f"the Git tag {name} is not in this clone. `git fetch --tags`, or `lineage link`.")
        there = "on this dataset" if holds_dataset(case.history, tagged, md5) else "on another one"
        tally.equal(f"the Git tag {name}", there, "on this dataset", "the version")
    return tally


def metrics(case: Case) -> Tally:
    """The scores in lineage.json are those that evaluate wrote for this model."""
    tally = Tally()
    document = case.document
    evaluated = locked_hash(case.lock.get("evaluate"), "deps", MODEL)
    tally.equal("the model that was scored", evaluated, document["model"]["md5"], LINEAGE)
    md5 = locked_hash(case.lock.get("evaluate"), "outs", SCORES)
    if md5 is None:
        tally.equal(SCORES, None, "recorded")
        return tally
    stated, scores = flatten(document["metrics"]), flatten(json.loads(case.evidence.objects.read(md5)))
    for key in sorted({*stated, *scores}):
        tally.equal(key, stated.get(key), scores.get(key), f"object {md5}")
    return tally


def remote_objects(case: Case, *, rehash: bool) -> Tally:
    """Every object of the chain is in the DVC remote, whole.

    Its content is read where the cache has no copy to read, and with `rehash` in any case.
    """
    tally = Tally()
    objects = case.evidence.objects
    wanted = {md5: (path, sizes) for md5, path, sizes in _objects(case)}
    for md5, held in objects.held(wanted).items():
        path, size = wanted[md5]
        what = f"{path} ({objects.url(md5)})"
        if held.size is None or not held.is_file:
            tally.equal(what, "a folder" if not held.is_file else None, "an object")
        else:
            tally.equal(what, f"{held.size} bytes", f"{size if size is not None else held.size} bytes")
    there = [md5 for md5, held in objects.held(wanted).items() if held.size is not None and held.is_file]
    sha256 = _known_sha256(case)
    # listings are small, and everything else is found through them: always read
    read = [md5 for md5 in there if rehash or md5.endswith(".dir") or objects.hash_cached(md5) is None]
    if len(read) < len(there):
        tally.not_asked = f"; the content of {len(there) - len(read)} was read in the cache only (--rehash)"
    for md5, found in objects.rehash_all(read).items():
        what = f"the content of {wanted[md5][0]} ({objects.url(md5)})"
        tally.equal(what, f"MD5 {found.md5}", f"MD5 {md5.removesuffix('.dir')}")
        if md5 in sha256:
            tally.equal(what, f"SHA-256 {found.sha256}", f"SHA-256 {sha256[md5]}", LINEAGE)
    return tally


def cached_objects(case: Case) -> Tally:
    """Every object of the chain that the cache holds has the bytes that its name promises."""
    tally = Tally()
    for md5, path, _ in _objects(case):
        found = case.evidence.objects.hash_cached(md5)
        if found is not None:
            what = f"{path} (object {md5} of the cache)"
            tally.equal(what, f"MD5 {found.md5}", f"MD5 {md5.removesuffix('.dir')}")
    return tally


def dataset(case: Case) -> Tally:
    """The manifest equals the id columns of the shards, and both belong to the dataset by its listing."""
    tally = Tally()
    md5 = locked_hash(case.lock["train"], "deps", DATASET) or ""
    rows, faults = compare_manifest(case.evidence.objects, md5)
    tally.looked_at += rows
    tally.faults.extend(faults)
    record = case.document["training_run"]
    if case.version is not None and record.get("run_id"):
        logged = case.evidence.store_at(record["tracking_uri"]).artifact(record["run_id"], "manifest.parquet")
        listed = case.evidence.objects.listing(md5).get("manifest.parquet")
        what = f"manifest.parquet of run {record['run_id']}"
        tally.equal(what, hash_bytes(logged, what).md5, listed, f"the dataset {md5}")
    return tally


def artifact(case: Case) -> Tally:
    """What the registry hands out is what register made: weights, code, requirements, nothing more and nothing less."""
    tally = Tally()
    assert case.version is not None
    document = case.document
    content = case.evidence.store.registered(case.version.source.removeprefix("models:/"))
    found = {file.path: file.sha256 for file in content.files}
    made = {file["path"]: file["sha256"] for file in document["artifact"]["files"]}
    for path in sorted({*found, *made}):
        tally.equal(f"{path} of {case.version.source}", found.get(path), made.get(path), LINEAGE)
    weights = [file.sha256 for file in content.files if file.path.endswith(".safetensors")]
    tally.equal(f"the weights of {case.version.source}", weights, [document["model"]["sha256"]], LINEAGE)
    return tally


def _expected_tags(document: dict[str, Any]) -> dict[str, str]:
    record = document["training_run"]
    started = {key: value for key, value in (record.get("started_from") or {}).items() if key not in LINKED_LATER}
    return {
        "project_id": document["project_id"],
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


def _objects(case: Case) -> Iterator[tuple[str, str, int | None]]:
    """Every object of the chain: its hash, the path it belongs to, its size in bytes where that is known."""
    pipeline, lock = case.history.pipeline(case.commit), case.lock
    sizes = {
        file["md5"]: file["size"] for section in ("dataset", "raw") for file in case.document[section].get("files", [])
    }
    kept: dict[str, tuple[str, int | None]] = {
        path: (md5, None) for path, md5 in added(case.history, case.commit).items()
    }
    for stage in stages_of_model(pipeline, lock):
        for out in (lock.get(stage.name) or {}).get("outs") or []:
            if out.get("md5") and out["path"] not in stage.uncached:
                kept[out["path"]] = out["md5"], out.get("size")
    for path, (md5, size) in kept.items():
        if not md5.endswith(".dir"):
            yield md5, path, size
            continue
        yield md5, f"{path}/", None
        for name, file in case.evidence.objects.listing(md5).items():
            yield file, f"{path}/{name}", sizes.get(file)


def _known_sha256(case: Case) -> dict[str, str]:
    document = case.document
    known = {file["md5"]: file["sha256"] for section in ("dataset", "raw") for file in document[section]["files"]}
    return {**known, document["model"]["md5"]: document["model"]["sha256"]}


def _raise_if_not_fetched(case: Case) -> None:
    """A commit that is not here is not gone where this clone does not have all commits."""
    if case.history.is_shallow:
        raise LineageError(
            "this clone is shallow: older commits are not here. `git fetch --unshallow`, then ask again."
        )
    if case.history.remote and not case.history.knows_all_tips:
        raise LineageError(
            f"{case.history.remote} has commits that this clone does not. `git fetch {case.history.remote}`, "
            "then ask again."
        )
