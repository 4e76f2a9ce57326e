"""Whether the last result was committed whole, and whether a merge or the like is under way."""

from __future__ import annotations

from pathlib import Path

from ..base.finding import Finding
from ..base.printable import some
from ..git.repository import WRITTEN_BY_RUNS, Repository

# what Git leaves in its folder while something is going on, and how to go back to before it
UNDER_WAY = {
    "rebase-merge": ("rebase", "git rebase"),
    "rebase-apply": ("rebase", "git rebase"),
    "MERGE_HEAD": ("merge", "git merge"),
    "CHERRY_PICK_HEAD": ("cherry-pick", "git cherry-pick"),
    "REVERT_HEAD": ("revert", "git revert"),
}
MARKER = "<<<<<<< "
LOOKED_BACK = 20  # commits of these files, for one without the marks of a conflict


def check_conflict(root: Path) -> Finding | None:
    """The merge, rebase or the like that is going on or left its marks; None if none is, or it touches no result."""
    git = Repository(root)
    unmerged = git.run("ls-files", "--unmerged", "-z", "--", ".") or ""
    paths = list(dict.fromkeys(entry.partition("\t")[2] for entry in unmerged.split("\0") if entry))
    marked = [name for name in WRITTEN_BY_RUNS if _is_marked(root / name)]
    places = git.lines("rev-parse", *(word for name in UNDER_WAY for word in ("--git-path", name)))
    found = [doing for place, doing in zip(places, UNDER_WAY.values(), strict=False) if (root / place).exists()]
    if not found and not paths and not marked:
        return _rejected(git)
    what, command = found[0] if found else ("conflict", "")
    where = list(dict.fromkeys([*paths, *marked]))
    touched = [name for name in WRITTEN_BY_RUNS if name in where]
    proceed = f"{command} --continue" if command and what != "merge" else "git commit"
    back = f" `{command} --abort` goes back to before it." if command else ""
    if not where:
        text = f"a {what} is going on, all its conflicts are resolved. Before you end it: `dvc repro`.{back}"
        return Finding("merge", "unknown", text, f"dvc repro && git add {' '.join(WRITTEN_BY_RUNS)} && {proceed}")
    text = (
        f"a {what} is in conflict in {some(where)}: until it is ended, nothing else can be said of this checkout. "
        f"Take {', '.join(WRITTEN_BY_RUNS)} whole from one side (HEAD, as below, or the other), resolve the rest, then "
        f"`dvc repro`, `git add --all`, `{proceed}`: docs/merging.md.{back}"
    )
    return Finding("merge", "wrong", text, _whole(git) if touched else "git status")


def _rejected(git: Repository) -> Finding | None:
    """What `cruft update` could not merge lies beside the file, as `FILE.rej`."""
    files = git.lines("ls-files", "--others", "--exclude-standard", "--", "*.rej")
    if not files:
        return None
    text = (
        f"an update of the template could not change {some([name.removesuffix('.rej') for name in files])}: what it "
        "wanted there is in the .rej file beside it. Make these changes by hand, then delete the .rej files."
    )
    return Finding("merge", "wrong", text, f"cat {files[0]}")


def check_commit(root: Path) -> Finding:
    """Whether dvc.lock, code, params.yaml and lineage.json of the last result are of one run."""
    from ..git.history import History
    from ..proof.result_commits import completed
    from ..proof.together import completing_command, is_unregistered, last_result, left_out, mixed_parts

    git = Repository(root)
    if git.head() is None:
        return Finding("last result", "unknown", "nothing is committed yet.", "git add --all && git commit")
    history = History(root)
    commit = last_result(history)
    if staged := _half_staged(git):
        text = (
            f"not committed yet, and `git commit` without --all would leave out {some(staged)}: that commit would "
            "prove no model."
        )
        return Finding("last result", "unknown", text, f"git add {' '.join(staged)}")
    if commit is None or not history.at(commit).lock:
        return Finding("last result", "right", "no commit holds one yet")
    faults = mixed_parts(history, commit)
    if faults and completed(history, commit) == commit:
        text = f"{history.info(commit).id[:12]} holds parts that do not belong together: {'; '.join(faults[:2])}"
        text += f" (and {len(faults) - 2} more)." if len(faults) > 2 else "."
        if paths := left_out(history):
            text += f" Left out of it: {some(paths)}."
        return Finding("last result", "wrong", text, completing_command(history))
    if is_unregistered(history, commit):
        text = f"the training that dvc.lock records at {commit[:12]} was not registered."
        return Finding("last result", "unknown", text, completing_command(history))
    return Finding("last result", "right", f"{commit[:12]} holds all parts of one run")


def _whole(git: Repository) -> str:
    """The command that takes the files of a run from the last commit that holds them without marks of a conflict."""
    commits = git.lines("log", f"--max-count={LOOKED_BACK}", "--format=%h", "HEAD", "--", *WRITTEN_BY_RUNS)
    for commit in ("HEAD", *commits):
        found = [(git.run("show", f"{commit}:./{name}") or "").splitlines() for name in WRITTEN_BY_RUNS]
        if not any(line.startswith(MARKER) for lines in found for line in lines):
            return f"git checkout {commit} -- {' '.join(WRITTEN_BY_RUNS)} && dvc checkout"
    return "git status"


def _half_staged(git: Repository) -> list[str]:
    """What runs write and Git's index has not, though it has a new dvc.lock or lineage.json."""
    staged = git.lines("diff", "--cached", "--name-only", "--relative", "--", *WRITTEN_BY_RUNS)
    if not {"dvc.lock", "lineage.json"} & {*staged}:
        return []
    return git.lines("diff", "--name-only", "--relative", "--", *WRITTEN_BY_RUNS)


def _is_marked(path: Path) -> bool:
    return path.is_file() and any(line.startswith(MARKER) for line in path.read_text(errors="replace").splitlines())
