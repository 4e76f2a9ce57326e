"""The code that a run worked with beside what dvc hashes: the framework, and whatever else lay in its way."""

from __future__ import annotations

from typing import Any

from ...git.code import GONE, MORE, is_below, read_changed_code, takes_part
from ..case import ModelCase
from ..recompute import CheckResult
from ..result_commits import result_commits


def compare_code_of_run(case: ModelCase, record: dict[str, Any], result: CheckResult) -> None:
    """What the training run loaded, and what was changed when it started, against the commit.

    `record` is models/run.json. A file that was changed and put back before the commit differs; one that was committed
    as it ran does not. Where the result was committed twice with different frameworks, as after an update while `train`
    came from the cache, the other commit counts as well.
    """
    loaded: dict[str, str] = record.get("code") or {}
    if not loaded:
        result.unknown.append("models/run.json does not say what code the run had loaded")
    ran, left_out = _of_run(case, record)
    result.unknown.extend(left_out)
    commit = case.commit
    if _differing(case, commit, ran):
        others = result_commits(case.history, case.identity, case.identity_text)
        commit = next((other for other in others if not _differing(case, other, ran)), commit)
    if commit != case.commit:
        result.note += f"; the framework that trained it is that of commit {commit[:12]}"
    for path, sha256 in ran.items():
        found = _sha256(case, commit, path)
        result.equal(f"{path} in the commit", _shown(found), _shown(sha256), "the training run")


def compare_changed(case: ModelCase, tags: dict[str, str], result: CheckResult, run: str) -> None:
    """What was changed when a run of another stage started. What Git does not hold as it ran is unknown."""
    ran, left_out = changed_when_started(case, tags)
    result.looked_at += len(ran)
    different = _differing(case, case.commit, ran)
    result.unknown.extend(f"{path} had other content when {run} started" for path in different)
    result.unknown.extend(f"{sentence} ({run})" for sentence in left_out)


def changed_when_started(case: ModelCase, tags: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """SHA-256 by path of changed code that dvc does not hash; and a sentence for each of which none was kept."""
    changed, whole = read_changed_code(tags.get("git_dirty_code") or "")
    pipeline = case.tree.pipeline
    declared = {dep for stage in pipeline.stages.values() for dep in pipeline.sources(stage)}
    named = [path for path in (tags.get("git_dirty_files") or "").splitlines() if path != MORE]
    unknown = [path for path in named if takes_part(path) and not is_below(path, declared) and path not in changed]
    sentences = [f"{path} was changed when the run started, and how is not known" for path in unknown]
    if not whole:
        sentences.append("more files were changed when the run started than it could write down")
    return changed, sentences


def _of_run(case: ModelCase, record: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    changed, left_out = changed_when_started(case, record.get("started_from") or {})
    return {**(record.get("code") or {}), **changed}, left_out


def _differing(case: ModelCase, commit: str, ran: dict[str, str]) -> list[str]:
    return [path for path, sha256 in ran.items() if _shown(_sha256(case, commit, path)) != _shown(sha256)]


def _sha256(case: ModelCase, commit: str, path: str) -> str | None:
    content = case.history.at(commit).content(path)
    return content[0].sha256 if content is not None and len(content) == 1 else None


def _shown(sha256: str | None) -> str:
    return "absent" if sha256 in (None, GONE) else f"SHA-256 {sha256}"
