"""The chain of a model as one document: what is known of each link, and where it was found. Nothing is proved here.

What cannot be found is None, and shown as unknown.
"""

from __future__ import annotations

from typing import Any

from ..base.errors import ProjectError, or_none
from ..chain.card import card
from ..contract import Role
from ..dvc.recorded import Recorded
from ..git.web import web_url
from ..settings import flatten
from .case import Evidence, ModelCase
from .dataset import describe
from .targets import Target, in_git_alone

PACKAGE = "sagemaker_package_arn"  # tag of a version: its package in SageMaker's Model Registry
MACHINE = ("device", "accelerator", "processor", "python", "torch", "threads")


def trace(evidence: Evidence, target: Target) -> dict[str, Any]:
    """What was asked for, and the chain of every model that belongs to it."""
    return document_of(evidence, target, [chain for _, chain in chains(evidence, target)])


def chains(evidence: Evidence, target: Target) -> list[tuple[ModelCase, dict[str, Any]]]:
    """Every model that belongs to what was asked for, and its chain: first those that were named, in their order."""
    known = [_known_to_mlflow(case) for case in (*target.cases, *target.related)]
    alone = in_git_alone(evidence, target)
    return [*((case, chain_of(case)) for case in known), *((case, _forgotten(case)) for case in alone)]


def document_of(evidence: Evidence, target: Target, models: list[dict[str, Any]]) -> dict[str, Any]:
    """What was asked for, with these chains."""
    return {
        "asked": target.asked,
        "kind": target.kind,
        "hash": target.hash,
        "commit": _commit(evidence, target.commit),
        "scope": {"tracking_uri": evidence.store.shown_uri, "project_id": evidence.project_id},
        "models": models,
    }


def _forgotten(case: ModelCase) -> dict[str, Any]:
    chain = chain_of(case)
    chain["gaps"] = [f"Git holds it, and {case.evidence.store.shown_uri} has no version of it.", *chain["gaps"]]
    return chain


def _known_to_mlflow(case: ModelCase) -> ModelCase:
    """For the model of a lineage.json its version, where the store that it names can be asked and has it."""
    if case.version is not None:
        return case
    model = case.claimed["model"]
    found = or_none(lambda: case.evidence.store.version(str(model.get("name")), str(model.get("version"))))
    mine = (case.evidence.project_id, model.get("identity"))
    if found is None or (found.tags.get("project_id"), found.tags.get("model_identity")) != mine:
        return case
    return ModelCase(case.evidence, found)


def chain_of(case: ModelCase) -> dict[str, Any]:
    """The chain of one model: version, training run, commits, dataset, raw data, places."""
    evidence, version = case.evidence, case.version
    tags = version.tags if version else {}
    commit = or_none(lambda: case.commit)
    document = or_none(lambda: case.document) or {}
    recorded = case.tree.recorded if commit else None
    data_md5 = (recorded and recorded.md5(Role.DATASET)) or tags.get("dvc_data_md5")
    raw_md5 = (recorded and recorded.md5(Role.RAW)) or tags.get("dvc_raw_md5")
    data_commit = tags.get("data_git_commit_id") or (case.history.data_commit(data_md5) if data_md5 else None)
    record = document.get("training_run") or {}
    run_id = tags.get("training_run_id") or record.get("run_id")
    return {
        "title": case.title,
        "identity": or_none(lambda: case.identity),
        "version": None if version is None else _version(evidence, version),
        "people": _people(evidence, version, record, commit),
        "gaps": _gaps(case, commit),
        "training_run": _training_run(case, run_id, record, recorded),
        "metrics": document.get("metrics"),
        "card": _card(case, document, commit),
        "result_commit": _commit(evidence, commit, "tag" if commit and commit == case.tagged_commit else "look-up"),
        "data_commit": _commit(evidence, data_commit, "tag" if "data_git_commit_id" in tags else "look-up"),
        "data_version": case.history.data_version(data_md5) if data_md5 else None,
        "dataset": _folder(evidence, data_md5, document.get("dataset"), described=True),
        "consent": (document.get("consent") or {}).get("md5"),
        "pretrained": _pretrained(document, tags),
        "subjects_root": ((document.get("dataset") or {}).get("subjects") or {}).get("root"),
        "raw": _folder(evidence, raw_md5, document.get("raw")),
        "model": {key: (document.get("model") or {}).get(key) for key in ("md5", "sha256", "size")},
        "environment": (document.get("environment") or {}).get("md5"),
        "places": _places(evidence, data_md5, tags.get("dvc_model_md5")),
        "repository": web_url(evidence.history.git.url()),
    }


def _people(evidence: Evidence, version: Any, record: dict[str, Any], commit: str | None) -> dict[str, str | None]:
    """Who trained, committed and registered the model, as each place has it; None where it says nothing."""
    info = evidence.history.info(commit) if commit else None
    return {
        "trained": (record.get("started_from") or {}).get("mlflow.user"),
        "committed": info.author if info else None,
        "registered": version.tags.get("registered_by") if version else None,
    }


def _gaps(case: ModelCase, commit: str | None) -> list[str]:
    """Why parts of the chain are unknown, with the command that may bring them."""
    if commit is not None:
        return []
    tagged = case.tagged_commit
    if tagged and case.history.resolve(tagged) is None:
        return [f"its result commit {tagged[:12]} is not in this clone: `git fetch --all`, then ask again."]
    try:
        _ = case.commit
    except ProjectError as error:
        return [f"{error}{f' What to do: {error.fix}.' if error.fix else ''}"]
    return []


def _version(evidence: Evidence, version: Any) -> dict[str, Any]:
    # what lists versions returns none of their aliases
    aliases = or_none(lambda: evidence.store.aliases(version.name).get(str(version.version), ()))
    return {
        "name": version.name,
        "number": str(version.version),
        "aliases": None if aliases is None else list(aliases),
        "registered": version.creation_timestamp,
        "status": version.tags.get("lineage_status", "unknown"),
        "source": version.source,
        "package": version.tags.get(PACKAGE),  # as somebody has set it; `lineage aws registry status` asks AWS
    }


def _training_run(
    case: ModelCase, run_id: str | None, record: dict[str, Any], recorded: Recorded | None
) -> dict[str, Any]:
    run = None
    if case.version is not None and run_id:
        uri = case.version.tags.get("training_tracking_uri") or case.evidence.store.shown_uri
        run = or_none(lambda: case.evidence.store_at(uri).run(run_id))
    machine = record.get("machine") or {}
    started = record.get("started_from") or {}
    return {
        "id": run_id,
        "tracking_uri": record.get("tracking_uri"),
        "elsewhere": _runs_elsewhere(record),
        "experiment_id": run.info.experiment_id if run else None,
        "state": run and (run.info.status if run.info.lifecycle_stage == "active" else "deleted"),
        "started": run and run.info.start_time,
        "dvc_experiment": started.get("dvc_exp_name"),
        "started_from": started.get("mlflow.source.git.commit"),
        "dirty_files": (started.get("git_dirty_files") or "").splitlines(),
        "parameters": flatten(recorded.params(Role.MODEL)) if recorded else {},
        "data_parameters": flatten(recorded.params(Role.DATASET)) if recorded else {},
        "job": _job(record, run.data.tags if run else {}),
        "interruptions": [one for one in record.get("interruptions") or [] if isinstance(one, dict)],
        "machine": {key: machine.get(key) for key in MACHINE if key in machine},
    }


def _runs_elsewhere(record: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The run of the training in each other tracker, by the tracker's name: `run_id`, and what leads to it there."""
    parts = {name: part for name, part in (record.get("callbacks") or {}).items() if "run_id" in part}
    return {
        name: {key: str(value) for key, value in part.items() if isinstance(value, str | int | float)}
        for name, part in parts.items()
    }


def _pretrained(document: dict[str, Any], tags: dict[str, str]) -> dict[str, str | None] | None:
    """The weights that training started from; None if these were random."""
    stated = document.get("pretrained") or {key: tags.get(f"pretrained_{key}") for key in ("url", "sha256")}
    return {key: stated[key] for key in ("url", "sha256")} if stated["sha256"] else None


def _job(record: dict[str, Any], tags: dict[str, str]) -> dict[str, str] | None:
    """The job that trained, as its run record and the run's tags say; None if it was trained without one."""
    job = {key: value for key, value in (record.get("job") or {}).items() if isinstance(value, str)}
    if not job:
        return None
    prefix = next(iter(job)).partition("_")[0]  # what a backend reports of a job begins alike
    return {**{key: value for key, value in tags.items() if key.startswith(f"{prefix}_")}, **job}


def _commit(evidence: Evidence, commit: str | None, source: str = "asked") -> dict[str, Any] | None:
    if commit is None or evidence.history.resolve(commit) is None:
        return {"id": commit, "source": source, "found": False} if commit else None
    info = evidence.history.info(commit)
    return {
        "id": info.id,
        "date": info.date,
        "author": info.author,
        "subject": info.subject,
        "refs": list(evidence.history.refs(commit)),
        "reachable": evidence.history.is_reachable(commit),
        "source": source,  # "tag": written down by `lineage link`; "look-up": found by hash just now
        "found": True,
    }


def _folder(
    evidence: Evidence, md5: str | None, document: dict[str, Any] | None, *, described: bool = False
) -> dict[str, Any]:
    document = document if document and document.get("md5") == md5 else {}
    folder = {"md5": md5, "sha256": document.get("sha256"), "size": document.get("size")}
    if described:
        known = or_none(lambda: describe(evidence.objects, str(md5))) if md5 else None
        for key in ("records", "subjects", "classes", "shards"):
            folder[key] = (known or {}).get(key)
    return folder


def _places(evidence: Evidence, *hashes: str | None) -> dict[str, Any]:
    """Where the bytes lie: the DVC remote, and the address of each object there."""
    places = evidence.places
    return {
        "remote": or_none(lambda: places.remote_url),
        "objects": {md5: or_none(lambda md5=md5: places.url(md5)) for md5 in hashes if md5},  # type: ignore[misc]
        "cached": {md5: evidence.objects.cached(md5) is not None for md5 in hashes if md5},
    }


def _card(case: ModelCase, document: dict[str, Any], commit: str | None) -> dict[str, Any] | None:
    """The parts of the model card; None where no lineage.json is known."""
    number = str(case.version.version) if case.version is not None else None
    return card(document, number, commit) if document else None
