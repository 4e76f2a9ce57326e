"""Whether the parts of a commit are of one run: dvc.lock, and beside it the code, params.yaml and lineage.json.

`git commit -a` leaves out what is not tracked, `core.autostage` stages dvc.lock alone, and a merge can take each file
from another side. Then no model is proved by that commit, though each file by itself is in order.
"""

from __future__ import annotations

import shlex

from ..base.errors import LineageError
from ..chain.composition import CONF
from ..contract import Role
from ..dvc.dvcfile import DVC_LOCK, DVC_YAML, PARAMS_FILE
from ..git.history import History
from ..git.repository import WRITTEN_BY_RUNS
from ..git.tree import LINEAGE
from .recompute import recompute_code, recompute_params

LOOKED_BACK = 50  # commits of settings alone between HEAD and the last result
NAMED = 6  # files in a command; more are called `--all`


def mixed_parts(history: History, commit: str) -> list[str]:
    """What in a commit is not of the run that its dvc.lock records, a sentence each.

    Only the stages that the commit itself gave another entry have to agree with its code and settings: those of the
    others are proved by an earlier commit. In a merge all have to, at the edge of a shallow clone none.
    """
    tree = history.at(commit)
    lock, parents = tree.lock, history.git.lines("rev-list", "--parents", "--max-count=1", commit)[0].split()
    faults = []
    registered = tree.recorded.made(Role.CHAIN)
    if registered is not None and tree.md5(LINEAGE) != registered:
        faults.append(f"{LINEAGE} is not the one that {DVC_LOCK} records")
    before = history.at(parents[1]).lock if len(parents) == 2 else {}
    new = frozenset(name for name, entry in lock.items() if entry != before.get(name))
    if commit in history.boundary:  # nobody can say what it brought
        new = frozenset()
    if tree.recorded.trained and new:
        faults += recompute_params(tree, only=new).faults
        try:
            faults += recompute_code(tree, only=new).faults
        except LineageError as error:  # a submodule in the way of the code: what it held then, nobody can say
            faults.append(str(error).rstrip("."))
    return faults


def last_result(history: History) -> str | None:
    """The commit of HEAD's history that brought the present dvc.lock or lineage.json; None if none did.

    A merge of different settings counts as well: nothing has run with what it makes of them.
    """
    files = (DVC_LOCK, LINEAGE, PARAMS_FILE)
    found = history.git.lines("log", f"--max-count={LOOKED_BACK}", "--format=%H %P", "HEAD", "--", *files)
    for commit, *parents in map(str.split, found):
        if len(parents) != 1 or any(_differ(history, commit, parents[0], file) for file in (DVC_LOCK, LINEAGE)):
            return commit
    return None


def is_unregistered(history: History, commit: str) -> bool:
    """Whether dvc.lock of a commit records a training that was not registered: `dvc repro` did not go to the end."""
    tree = history.at(commit)
    identity, document = tree.recorded.identity, tree.document
    return bool(identity and document and document["model"].get("identity") != identity)


def left_out(history: History) -> list[str]:
    """Parts of a run that lie here and are not in the last commit as they are here; in Git's index does not count."""
    pipeline = history.at("HEAD").pipeline
    sources = {source for stage in pipeline.stages.values() for source in pipeline.sources(stage)}
    parts = {*WRITTEN_BY_RUNS, DVC_YAML, CONF, *sources, *(f"{source}.dvc" for source in sources)}
    changed = history.git.run("diff", "HEAD", "--name-only", "--relative", "-z", "--", *sorted(parts)) or ""
    new = history.git.run("ls-files", "--others", "--exclude-standard", "-z", "--", *sorted(parts)) or ""
    return [path for path in (changed + new).split("\0") if path]


def completing_command(history: History) -> str:
    """The command that makes one run of the last result again: it commits what was left out, or runs what differs."""
    if paths := left_out(history):
        named = shlex.join(paths) if len(paths) <= NAMED else "--all"
        return f"git add {named} && git commit -m 'What was left out' && lineage link"
    return f"dvc repro && git add {' '.join(WRITTEN_BY_RUNS)} && git commit -m 'One run again'"


def _differ(history: History, commit: str, other: str, path: str) -> bool:
    return history.git.run("rev-parse", "--verify", "-q", f"{commit}:./{path}") != history.git.run(
        "rev-parse", "--verify", "-q", f"{other}:./{path}"
    )
