"""Code: the commits between, the files that stages depend on, the framework, and what was never committed."""

from __future__ import annotations

import difflib
import shlex
from typing import Any

from ...base.errors import LineageError
from ...base.printable import some
from ...dvc.dvcfile import DVC_LOCK, DVC_YAML, PARAMS_FILE, locked_hash
from ...git.code import FOLDERS, is_below, takes_part
from ...git.tree import LINEAGE
from .section import counted, section
from .sides import Side, commits_between

FRAMEWORK, VERSION = "lineage", "lineage/VERSION"
ELSEWHERE = ("requirements.lock", PARAMS_FILE, DVC_LOCK, LINEAGE)  # in sections of their own
SHOWN = 30  # commits
LARGEST = 2**20  # bytes of a file of which a patch is made


def code(a: Side, b: Side, *, patch: bool = False) -> dict[str, Any]:
    """What differs in the code of all stages; with `patch`, line by line."""
    unknown: list[str] = []
    stages = _stages_by_dependency(a, b)
    before, after = (_files(side, stages, unknown) for side in (a, b))
    files: list[dict[str, Any]] = [
        {"path": path, "change": _change(path, before, after), "stages": _stages_of(path, stages)}
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]
    framework = _framework(a, b, unknown)
    looked_at = counted(len({*before, *after}), "file")
    commits, uncommitted = _commits(a, b, unknown), _uncommitted(a, b, unknown)
    return section(
        compared=f"{looked_at} that stages depend on, and those of the framework",
        unknown=unknown,
        differs=bool(files or any(framework.values()) or uncommitted["files"] or uncommitted["outdated"]),
        commits=commits,
        files=files,
        framework=framework,
        uncommitted=uncommitted,
        patch=_patches(a, b, [file["path"] for file in files]) if patch else None,
    )


def _stages_by_dependency(a: Side, b: Side) -> dict[str, list[str]]:
    """The stages of either side by what they depend on of what Git keeps."""
    found: dict[str, list[str]] = {DVC_YAML: []}
    for side in (a, b):
        for stage in side.pipeline.stages.values():
            named = [word for word in shlex.split(stage.cmd) if "/" in word and side.read(word) is not None]
            for dep in (*side.sources(stage), *named):
                if dep not in ELSEWHERE and stage.name not in found.setdefault(dep, []):
                    found[dep].append(stage.name)
    return found


def _files(side: Side, stages: dict[str, list[str]], unknown: list[str]) -> dict[str, str]:
    """MD5 by path."""
    found: dict[str, str] = {}
    for dep in stages:
        try:
            files = {path: file.md5 for path, file in side.files(dep).items()}
            if not files:  # what lies outside of the repository is known by its hash alone
                hashes = (locked_hash(entry, "deps", dep) for entry in side.recorded.lock.values())
                known = next(filter(None, hashes), None)
                files = {dep: known} if known else {}
            found |= files
        except LineageError as error:
            unknown.append(f"{side.title}: {error}")
    return found


def _change(path: str, before: dict[str, str], after: dict[str, str]) -> str:
    return "changed" if path in before and path in after else "removed" if path in before else "added"


def _stages_of(path: str, stages: dict[str, list[str]]) -> list[str]:
    named = [names for dep, names in stages.items() if path == dep or path.startswith(f"{dep}/")]
    return list(dict.fromkeys(name for names in named for name in names))


def _framework(a: Side, b: Side, unknown: list[str]) -> dict[str, Any]:
    """Its version where that differs, and how many of its files do."""
    versions = [(side.read(VERSION) or b"").decode(errors="replace").strip() or None for side in (a, b)]
    try:
        before, after = ({path: file.md5 for path, file in side.files(FRAMEWORK).items()} for side in (a, b))
    except LineageError as error:
        unknown.append(f"the framework: {error}")
        before, after = {}, {}
    files = sum(before.get(path) != after.get(path) for path in {*before, *after})
    return {"version": versions if versions[0] != versions[1] else None, "files": files}


def _commits(a: Side, b: Side, unknown: list[str]) -> dict[str, Any]:
    """The commits of both, and those that one has and the other has not. The workspace has those of HEAD."""
    history = a.evidence.history
    ends = [side.commit or history.resolve("HEAD") for side in (a, b)]
    found: dict[str, Any] = {"a": ends[0], "b": ends[1], "only_a": [], "only_b": [], "more_a": 0, "more_b": 0}
    if None in ends:
        unknown.append("commits between: the workspace has none yet.")
        return found
    if ends[0] == ends[1]:
        return found
    if history.is_shallow:
        unknown.append("commits between: this clone is shallow, and more may lie there. `git fetch --unshallow`.")
    for key, commits in zip("ab", commits_between(history, str(ends[0]), str(ends[1])), strict=True):
        infos = [history.info(commit) for commit in commits[:SHOWN]]
        found[f"only_{key}"] = [{"id": info.id, "date": info.date, "subject": info.subject} for info in infos]
        found[f"more_{key}"] = len(commits) - len(infos)
    return found


def _uncommitted(a: Side, b: Side, unknown: list[str]) -> dict[str, Any]:
    """What of the workspace no commit holds, what its dvc.lock was not made with, and what trainings began with."""
    found: dict[str, Any] = {"files": [], "outdated": [], "trained_with": {}}
    for key, side in (("a", a), ("b", b)):
        declared = (*FOLDERS, *(dep for stage in side.pipeline.stages.values() for dep in side.sources(stage)))
        if side.commit is None:
            changed = side.evidence.history.git.changed_files()
            if changed is None:
                unknown.append("uncommitted changes: Git has no commit to compare with.")
            untracked = side.evidence.history.git.untracked_files(declared, ignored=False)
            found["files"] = sorted({*(changed or []), *untracked})
        try:
            if side.commit is None:
                found["outdated"] = side.outdated
            else:
                unknown += [f"{side.title}: the commit does not hold what ran: {each}" for each in side.outdated]
            found["trained_with"] |= {key: files} if (files := _dirty(side, unknown)) else {}
        except LineageError as error:
            unknown.append(f"{side.title}: whether its code is what was trained with: {error}")
    return found


def _dirty(side: Side, unknown: list[str]) -> list[str]:
    """The files that were changed and not committed when the training started.

    Those that stages depend on are known by their hash. What ran of the others may be in no commit.
    """
    started = side.run_record.get("started_from") or {}
    if "git_dirty" not in started:
        unknown.append(f"{side.title}: its training did not write down whether there were uncommitted changes.")
    if started.get("git_dirty") != "true":
        return []
    files = (started.get("git_dirty_files") or "files that are not named").splitlines()
    declared = [dep for stage in side.pipeline.stages.values() for dep in side.sources(stage)]
    if others := [path for path in files if takes_part(path) and not is_below(path, declared)]:
        unknown.append(
            f"{side.title}: uncommitted when it was trained: {some(others)}; `lineage verify` compares them."
        )
    return files


def _patches(a: Side, b: Side, paths: list[str]) -> str:
    """The files line by line, as `git diff` writes them."""
    return "".join(_patch(path, a.read(path), b.read(path)) for path in paths)


def _patch(path: str, before: bytes | None, after: bytes | None) -> str:
    heads = [f"diff --git a/{path} b/{path}\n"]
    heads += ["new file mode 100644\n"] * (before is None) + ["deleted file mode 100644\n"] * (after is None)
    if any(b"\0" in data or len(data) > LARGEST for data in (before, after) if data is not None):
        return "".join([*heads, "Binary files differ, or are too large to show.\n"])
    names = (f"a/{path}" if before is not None else "/dev/null", f"b/{path}" if after is not None else "/dev/null")
    # not splitlines: Git knows no other end of a line
    texts = [(data or b"").decode(errors="replace").split("\n") for data in (before, after)]
    lines = [[f"{line}\n" for line in text[:-1]] + ([text[-1]] if text[-1] else []) for text in texts]
    found = difflib.unified_diff(lines[0], lines[1], *names)
    last = "\n\\ No newline at end of file\n"
    return "".join([*heads, *(line if line.endswith("\n") else line + last for line in found)])
