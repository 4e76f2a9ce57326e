"""The links that Git holds: commits, and what is recomputed from the tree of the result commit."""

from __future__ import annotations

import json

from ...compute.launch import belongs_to_torch
from ...errors import LineageError
from ...lineage.chain import model_parameters
from ...lineage.facts import CONSENT, DATA_TAGS, DATASET, MODEL, RAW, RUN_RECORD, made_dataset
from ...lineage.hashes import hash_bytes, hash_path
from ...lineage.installed import NOT_COMPARED
from ...lineage.packages import LOCK, pins
from ...pipeline.dvcfile import locked_hash, read_lock
from ...settings.model import PRETRAINED
from ..case import Case
from ..commits import holds_dataset, holds_model
from ..history import LINEAGE
from ..recompute import Tally, recompute_code, recompute_params
from ..together import last_result, mend_of
from .code_of_run import compare_code_of_run


def result_commit(case: Case) -> Tally:
    """The commit that holds data, code, parameters and model together: there, reachable, pushed."""
    tally = Tally()
    history = case.history
    if history.replaced:
        tally.note = f"; {history.replaced} objects have a replacement here (`git replace`, grafts): not followed"
    commit = case.tagged_commit or case.found_commit
    if commit is None or history.resolve(commit) is None:
        case.require_committed()
        if commit:
            tally.equal(f"commit {commit[:12]}", None, "there", "the version")
        else:
            _say_who_holds_it(case, tally)
        if tally.remedy:
            return tally
        tally.remedy = "`lineage link` writes down the commit that holds it now" if case.found_commit else case.gone
        return tally
    tally.equal(f"commit {commit[:12]}", "there", "there")
    reachable = history.is_reachable(commit)
    if not reachable:
        case.history.require_complete()
    tally.equal(f"commit {commit[:12]}", "reachable" if reachable else "in no ref", "reachable", "Git")
    if not reachable:
        tally.remedy = f"`git branch keep-{commit[:8]} {commit[:12]}` keeps the commit, before Git removes it"
    if history.remote and reachable:
        pushed = history.is_pushed(commit)
        if pushed is None:
            raise LineageError(
                f"{history.remote} has commits that this clone does not: it is not known whether "
                f"{commit[:12]} is pushed. `git fetch {history.remote}`, then ask again."
            )
        tally.looked_at += 1
        if not pushed:
            tally.faults.append(f"commit {commit[:12]} is here and not pushed to {history.remote} yet")
            push = "git push" if history.is_permanent(commit) else f"dvc exp push {history.remote} EXPERIMENT"
            tally.remedy = f"`{push}`: until then nobody else can follow the chain"
    return tally


def _say_who_holds_it(case: Case, tally: Tally) -> None:
    """A commit that was amended, rebased or dropped holds the model as long as the reflog does, and can be kept."""
    model = case.evidence.git_models.models.get(case.identity)
    held = next((commit for commit in (model.commits if model else []) if case.history.resolve(commit)), None)
    if held is None:
        tally.fault(
            "no commit holds this model. Commit after each `dvc repro`: what was never committed cannot be proved"
        )
        return
    tally.fault(f"commit {held[:12]} holds this model, and no branch or tag leads to it any more")
    tally.remedy = f"`git branch keep-{held[:8]} {held[:12]} && lineage link` keeps the commit, before Git removes it"


def dvc_lock(case: Case) -> Tally:
    """dvc.lock at the result commit holds exactly this model identity."""
    tally = Tally()
    commit = case.tagged_commit or case.found_commit
    if commit is None or case.history.resolve(commit) is None:
        case.require_committed()
        tally.fault(f"no dvc.lock that was committed holds model_identity {case.identity}")
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
    """Commands and every dependency that Git tracks, recomputed from the commit's tree; what else training ran."""
    tally = recompute_code(case.history, case.commit)
    document = case.history.document(case.commit) or {}
    record = document.get("training_run") or {}
    try:
        compare_code_of_run(case, record, tally)
    except LineageError as error:
        tally.unknown.append(str(error))
    dirty = record.get("started_from") or {}
    if tally.faults and dirty.get("git_dirty_files"):
        files = ", ".join(dirty["git_dirty_files"].splitlines())
        tally.faults.append(f"the run started with files that differ: {files}")
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
        on_disk, lock_here = hash_path(case.path).md5, read_lock(case.path.parent)
        recorded = locked_hash(lock_here.get("register"), "outs", LINEAGE)
        tally.equal(str(case.path), on_disk, recorded, "dvc.lock beside it")
        tally.equal(str(case.path), on_disk, at_commit, f"the commit {commit[:12]}")
    if case.path is not None and not holds_model(read_lock(case.path.parent), case.identity):
        tally.faults.insert(0, f"{case.path} is of another run than dvc.lock beside it. `{mend_of(case.history)}`")
    elif tally.faults and commit == last_result(case.history):
        tally.faults.insert(0, f"{commit[:12]} holds parts that are not of one run. `{mend_of(case.history)}`")
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
    consented = locked_hash(lock.get("preprocess"), "deps", CONSENT)
    tally.equal("its consent snapshot", (document["consent"] or {}).get("md5"), consented, where)
    pretrained, started = document.get("pretrained") or {}, locked_hash(lock["train"], "deps", PRETRAINED)
    tally.equal("its weights to start from", pretrained.get("md5"), started, where)
    loaded = document["training_run"].get("pretrained_sha256")
    tally.equal("the weights that training loaded", loaded, pretrained.get("sha256"), f"pretrained in {LINEAGE}")
    if pretrained:
        asked = document["parameters"].get("weights.sha256")
        tally.equal("the weights that were asked for", asked, pretrained.get("sha256"), f"pretrained in {LINEAGE}")
        url = document["parameters"].get("weights.url")
        tally.equal("their address", pretrained.get("url"), url, f"the parameters in {LINEAGE}")
    recorded_outs = {out["path"]: out["md5"] for entry in lock.values() for out in entry.get("outs") or []}
    for out in document["outputs"]:
        tally.equal(f"its output {out['path']}", out["md5"], recorded_outs.get(out["path"]), where)
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
    compared = "" if "packages_sha256" in record.get("started_from", {}) else f"; {NOT_COMPARED}"
    tally.note = compared
    if case.version is None or record.get("run_id") is None:
        tally.note = f" as the run saw it; the list of packages is in MLflow, which was not asked{compared}"
        return tally
    logged = case.evidence.store_at(record["tracking_uri"]).artifact(record["run_id"], "packages.txt")
    stated, found = record.get("packages_sha256"), hash_bytes(logged, "packages.txt").sha256
    tally.equal(f"packages.txt of run {record['run_id']}", f"SHA-256 {found}", f"SHA-256 {stated}", RUN_RECORD)
    lines = [line.partition("==") for line in logged.decode(errors="replace").splitlines()]
    malformed = [name for name, equals, version in lines if not (name and equals and version)]
    tally.equal(f"lines of packages.txt of run {record['run_id']} that name no package", malformed, [], "the run")
    packages = {name: version for name, _, version in lines}
    kept = record.get("job", {}).get("kept") or {}
    for name, version in kept.items():
        tally.equal(f"package {name} in packages.txt of run {record['run_id']}", packages.get(name), version, "the job")
    if kept:
        named = ", ".join(f"{name} {version}" for name, version in kept.items())
        tally.note = f"; torch and what belongs to it are the image's, not the lock's: {named}{compared}"
    for name, locked in pins(text.decode(), record.get("machine", {}).get("markers")).items():
        if kept and belongs_to_torch(name):
            continue
        installed = packages.get(name)
        # a lock without a local part (+cpu, +cu130) admits any
        if installed is not None and "+" not in locked:
            installed = installed.partition("+")[0]
        tally.equal(f"package {name} in packages.txt of run {record['run_id']}", installed, locked, LOCK)
    return tally


def data_commit(case: Case) -> Tally:
    """A commit that records the dataset version, and the Git tag of the data, are what the version says of them."""
    tally = Tally()
    tags = case.version.tags if case.version else {}
    commit = tags.get("data_git_commit_id") or case.commit
    if not case.history.is_reachable(commit):
        case.history.require_complete()
        found = "in no ref" if case.history.resolve(commit) else None
        tally.equal(f"commit {commit[:12]}", found, "there", "the version")
    compare_data_names(case, tally, {**tags, "data_git_commit_id": commit}, "the version")
    return tally


def compare_data_names(case: Case, tally: Tally, tags: dict[str, str], where: str) -> None:
    """The data commit and the Git tags of the data that `tags` name must record this model's dataset version.

    A commit that no ref leads to is left out: it may have been amended or moved, and a run's parameter stays as it is.
    """
    md5 = locked_hash(case.lock["train"], "deps", DATASET) or ""
    commit = tags.get("data_git_commit_id")
    if commit and case.history.is_reachable(commit):
        recorded = f"recorded at {commit[:12]}"
        there = recorded if holds_dataset(case.history, commit, md5) else "not there"
        tally.equal(f"dataset {md5}", there, recorded, where)
    for version in (tags.get("data_version") or "").split(", "):
        if not version:
            continue
        name = f"{DATA_TAGS}{version}"
        tagged = case.history.data_tags.get(name)
        # a tag can be moved, and then clones keep the old one
        pushed = case.history.tag_commit_on_remote(name) if case.history.remote else None
        if pushed is not None and (case.history.resolve(pushed) is None or tagged not in (None, pushed)):
            here = f"on {tagged[:12]}" if tagged else "not there"
            tally.unknown.append(
                f"the Git tag {name} is {here} in this clone, on another one ({pushed[:12]}) on {case.history.remote}"
            )
            tally.remedy = f"`git fetch {case.history.remote} --tags --force`, then ask again"
            continue
        if tagged is None and pushed is None:
            tally.unknown.append(f"the Git tag {name} is not in this clone (`git fetch --tags`, or `lineage link`)")
            continue
        there = "on this dataset" if made_dataset(case.history.lock(str(pushed or tagged))) == md5 else "on another one"
        tally.equal(f"the Git tag {name}", there, "on this dataset", f"{where} (`lineage link` withdraws the name)")
