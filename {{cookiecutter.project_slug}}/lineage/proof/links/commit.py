"""The links that Git holds: commits, and what is recomputed from the tree of the result commit."""

from __future__ import annotations

from ...base.errors import LineageError
from ...contract import Role
from ...git.history import DATA_TAGS
from ..case import ModelCase
from ..recompute import CheckResult, recompute_code, recompute_params
from ..result_commits import holds_dataset, holds_model
from .code_of_run import compare_code_of_run


def result_commit(case: ModelCase) -> CheckResult:
    """The commit that holds data, code, parameters and model together: there, reachable, pushed."""
    result = CheckResult()
    history = case.history
    if history.replaced:
        result.note = f"; {history.replaced} objects have a replacement here (`git replace`, grafts): not followed"
    commit = case.tagged_commit or case.found_commit
    if commit is None or history.resolve(commit) is None:
        case.require_committed()
        if commit:
            result.equal(f"commit {commit[:12]}", None, "there", "the version")
        else:
            _say_who_holds_it(case, result)
        if result.fix:
            return result
        result.fix = "`lineage link` writes down the commit that holds it now" if case.found_commit else case.gone
        return result
    result.equal(f"commit {commit[:12]}", "there", "there")
    reachable = history.is_reachable(commit)
    if not reachable:
        case.history.require_complete()
    result.equal(f"commit {commit[:12]}", "reachable" if reachable else "in no ref", "reachable", "Git")
    if not reachable:
        result.fix = f"`git branch keep-{commit[:8]} {commit[:12]}` keeps the commit, before Git removes it"
    remote = history.remote
    if remote.name and reachable:
        pushed = remote.has_commit(commit)
        if pushed is None:
            raise LineageError(
                f"{remote.name} has commits that this clone does not: it is not known whether "
                f"{commit[:12]} is pushed. `git fetch {remote.name}`, then ask again."
            )
        result.looked_at += 1
        if not pushed:
            result.faults.append(f"commit {commit[:12]} is here and not pushed to {remote.name} yet")
            push = "git push" if history.is_permanent(commit) else f"dvc exp push {remote.name} EXPERIMENT"
            result.fix = f"`{push}`: until then nobody else can follow the chain"
    return result


def _say_who_holds_it(case: ModelCase, result: CheckResult) -> None:
    """A commit that was amended, rebased or dropped holds the model as long as the reflog does, and can be kept."""
    model = case.evidence.git_models.models.get(case.identity)
    held = next((commit for commit in (model.commits if model else []) if case.history.resolve(commit)), None)
    if held is None:
        result.fault(
            "no commit holds this model. Commit after each `dvc repro`: what was never committed cannot be proved"
        )
        return
    result.fault(f"commit {held[:12]} holds this model, and no branch or tag leads to it any more")
    result.fix = f"`git branch keep-{held[:8]} {held[:12]} && lineage link` keeps the commit, before Git removes it"


def dvc_lock(case: ModelCase) -> CheckResult:
    """dvc.lock at the result commit holds exactly this model identity."""
    result = CheckResult()
    commit = case.tagged_commit or case.found_commit
    if commit is None or case.history.resolve(commit) is None:
        case.require_committed()
        result.fault(f"no dvc.lock that was committed holds model_identity {case.identity}")
        return result
    holds = holds_model(case.history.at(commit).lock, case.identity)
    result.equal(
        f"the entry of the training in dvc.lock at {commit[:12]}",
        f"model_identity {case.identity}" if holds else "another model or none",
        f"model_identity {case.identity}",
        "the version",
    )
    return result


def code(case: ModelCase) -> CheckResult:
    """Commands and every dependency that Git tracks, recomputed from the commit's tree; what else training ran."""
    result = recompute_code(case.tree)
    agrees = not result.faults
    document = case.tree.document or {}
    record = document.get("training_run") or {}
    try:
        compare_code_of_run(case, record, result)
    except LineageError as error:
        result.unknown.append(str(error))
    if agrees and result.faults:  # no stage depends on it, so that `dvc repro` alone would not train again
        result.fix = (
            "commit the code as it is to be, then "
            f"`dvc repro --force --single-item {case.training.name} && dvc repro`, and commit the result"
        )
    dirty = record.get("started_from") or {}
    if result.faults and dirty.get("git_dirty_files"):
        files = ", ".join(dirty["git_dirty_files"].splitlines())
        result.faults.append(f"the run started with files that differ: {files}")
    return result


def parameters(case: ModelCase) -> CheckResult:
    """Every parameter that dvc.lock records, against params.yaml of the commit."""
    return recompute_params(case.tree)


def data_commit(case: ModelCase) -> CheckResult:
    """A commit that records the dataset version, and the Git tag of the data, are what the version says of them."""
    result = CheckResult()
    tags = case.version.tags if case.version else {}
    commit = tags.get("data_git_commit_id") or case.commit
    if not case.history.is_reachable(commit):
        case.history.require_complete()
        found = "in no ref" if case.history.resolve(commit) else None
        result.equal(f"commit {commit[:12]}", found, "there", "the version")
    compare_data_names(case, result, {**tags, "data_git_commit_id": commit}, "the version")
    return result


def compare_data_names(case: ModelCase, result: CheckResult, tags: dict[str, str], where: str) -> None:
    """The data commit and the Git tags of the data that `tags` name must record this model's dataset version.

    A commit that no ref leads to is left out: it may have been amended or moved, and a run's parameter stays as it is.
    """
    md5 = case.dataset
    commit = tags.get("data_git_commit_id")
    if commit and case.history.is_reachable(commit):
        recorded = f"recorded at {commit[:12]}"
        there = recorded if holds_dataset(case.history, commit, md5) else "not there"
        result.equal(f"dataset {md5}", there, recorded, where)
    for version in (tags.get("data_version") or "").split(", "):
        if not version:
            continue
        name = f"{DATA_TAGS}{version}"
        tagged, remote = case.history.data_tags.get(name), case.history.remote
        # a tag can be moved, and then clones keep the old one
        pushed = remote.commit_of_tag(name) if remote.name else None
        if pushed is not None and (case.history.resolve(pushed) is None or tagged not in (None, pushed)):
            here = f"on {tagged[:12]}" if tagged else "not there"
            result.unknown.append(
                f"the Git tag {name} is {here} in this clone, on another one ({pushed[:12]}) on {remote.name}"
            )
            result.fix = f"`git fetch {remote.name} --tags --force`, then ask again"
            continue
        if tagged is None and pushed is None:
            result.unknown.append(f"the Git tag {name} is not in this clone (`git fetch --tags`, or `lineage link`)")
            continue
        made = case.history.at(str(pushed or tagged)).recorded.made(Role.DATASET)
        there = "on this dataset" if made == md5 else "on another one"
        result.equal(f"the Git tag {name}", there, "on this dataset", f"{where} (`lineage link` withdraws the name)")
