"""What is known about an execution, under the names of the chain. What cannot be known yet is absent, never guessed."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..base.env import DVC_EXP_BASELINE_REV, DVC_EXP_NAME
from ..base.errors import LineageError, ProjectError
from ..chain.facts import NAMES, ROLE, subjects_of, system_user
from ..chain.installed import NOT_COMPARED, changed_since, packages_folder, stamp_file
from ..chain.packages import LOCK, differences
from ..contract import Role
from ..dvc.dvcfile import PARAMS_FILE, locked_hash, locked_params, read_lock
from ..dvc.hashes import Content, hash_path
from ..git.anchor import experiment_variables, main_root
from ..git.code import RUN_FROM, changed_code, cut, is_code
from ..git.history import History
from ..git.repository import Repository
from ..records.layout import read_description
from ..settings import read_params, select
from .callbacks import Execution

# what the record of a training keeps of all that is known at its start
KEPT = (
    "mlflow.source.git.commit",
    "git_dirty",
    "git_dirty_files",
    "git_dirty_code",
    "git_branch",
    "git_repo_url",
    "dvc_repo_url",
    "mlflow.user",
    "dvc_exp_name",
    "dvc_exp_baseline_rev",
    "data_git_commit_id",
    "data_version",
    "environment_differs",
    "packages_sha256",
)


@dataclass
class Facts:
    """Tags and parameters of a run, and the contents they were taken from."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    contents: dict[Role, tuple[str, Content]] = field(default_factory=dict)

    def add_content(self, root: Path, role: Role, path: str, content: Content) -> None:
        """Names the hashes of a file or folder that has a role."""
        self.contents[role] = (path, content)
        if role is Role.DATASET:
            self.tags["subjects_root"] = subjects_of(root / path, content.md5)["root"]
        md5_name, sha256_name = NAMES[role]
        self.tags[md5_name] = content.md5
        if sha256_name:
            self.tags[sha256_name] = content.sha256


def facts_at_start(execution: Execution) -> Facts:
    """What is known before the work: what the run starts from, its inputs by hash, its parameters.

    Gathered once, however many callbacks ask. Raises LineageError if an input on disk is not what dvc.lock says its
    stage made.
    """
    facts: Facts = execution.known.get("at start") or _gather(execution)
    execution.known["at start"] = facts
    return facts


def _gather(execution: Execution) -> Facts:
    facts = Facts(tags={"project_id": execution.settings.project_id, "dvc_stage": execution.stage.name})
    if role := role_of(execution):
        facts.tags[ROLE] = role
    facts.tags.update(experiment_facts(execution.root))
    facts.tags.update(git_facts(execution))
    lock = read_lock(execution.root)
    facts.params = recorded_params(execution, lock)
    for path, role in _named(execution, execution.stage.deps):
        facts.add_content(execution.root, role, path, verified_content(execution, lock, path))
    if Role.PRETRAINED in facts.contents:
        facts.tags["pretrained_url"] = str(facts.params["weights.url"])
    _add_upstream_hashes(facts, execution, lock)
    if LOCK in execution.stage.deps and not execution.is_dispatched:
        facts.tags.update(environment_facts(execution.root, execution.job.get("image_packages")))
        if not {"packages_sha256", "environment_differs"} & facts.tags.keys():
            print(f"warning: {NOT_COMPARED}. `lineage doctor --environment` compares them.", file=sys.stderr)
    facts.tags.update(data_commit_facts(execution, facts.tags.get("dvc_data_md5")))
    return facts


def role_of(execution: Execution) -> Role | None:
    """What a stage makes, for the audit of its run; None for a stage of one's own."""
    made = {execution.pipeline.role(path) for path in execution.stage.outs}
    return next((role for role in (Role.MODEL, Role.DATASET, Role.SCORES, Role.CHAIN) if role in made), None)


def facts_at_end(execution: Execution) -> Facts:
    """The hashes of what the stage has made; they are made once, however many callbacks ask."""
    facts: Facts | None = execution.known.get("at end")
    if facts is None:
        facts = execution.known["at end"] = Facts()
        for path, role in _named(execution, execution.stage.outs):
            facts.add_content(execution.root, role, path, hash_path(execution.root / path))
    return facts


def started_from(facts: Facts) -> dict[str, str]:
    """What the record of a training keeps of where it started, by whom, and in which environment."""
    return {name: facts.tags[name] for name in KEPT if name in facts.tags}


def counts_of(dataset: Path) -> dict[str, float]:
    """Records and subjects of a dataset version, by split."""
    description = read_description(dataset)
    counted = {"records": description.records, "subjects": description.subjects}
    return {f"{split}_{kind}": count for kind, counts in counted.items() for split, count in counts.items()}


def without_ids(error: BaseException) -> str:
    """What went wrong, and where, for a store in which it stays. Whom it is about, only the terminal says."""
    kind = type(error).__name__
    said = error.without_ids if isinstance(error, ProjectError) else None
    if isinstance(error, KeyboardInterrupt):
        said = str(error)  # our own words
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror  # the file may be called after somebody
    if said is not None:
        return f"{kind}: {said}"
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
    return f"{kind}{place}: the terminal, or the log of the job, says more"


def _named(execution: Execution, paths: Iterable[str]) -> list[tuple[str, Role]]:
    """Those of `paths` that have a role with a name in MLflow."""
    roles = ((path, execution.pipeline.role(path)) for path in paths)
    return [(path, role) for path, role in roles if role and role in NAMES]


def environment_facts(root: Path, kept: dict[str, str] | None = None) -> dict[str, str]:
    """The lock that is installed, or what is installed otherwise than the lock in `root` says.

    `kept` are the torch packages of a job's image, by version, that take the place of those in the lock.
    """
    packages, changed = changed_since(packages_folder(), stamp_file())
    wrong = [*(others := differences(root / LOCK, kept=bool(kept))), *changed]
    if not wrong:
        named = {"environment_kept": ", ".join(f"{name} {version}" for name, version in kept.items())} if kept else {}
        compared = {"packages_sha256": packages} if packages else {}
        return {"environment_md5": hash_path(root / LOCK).md5, **compared, **named}
    fix = "make setup" if others else "rm -r .venv && make setup"  # what was edited would not be installed again
    print(f"warning: this environment is not as {LOCK} says ({wrong[0]}, ...). `{fix}` fixes it.", file=sys.stderr)
    return {"environment_differs": "\n".join(wrong)[:5000]}


def experiment_facts(root: Path) -> dict[str, str]:
    """The DVC experiment that runs in `root`, if one does."""
    names = {DVC_EXP_NAME: "dvc_exp_name", DVC_EXP_BASELINE_REV: "dvc_exp_baseline_rev"}
    return {names[variable]: value for variable, value in experiment_variables(root).items()}


def git_facts(execution: Execution) -> dict[str, str]:
    """Where the run starts, and by whom: commit, branch, repository, whether the code differs from that commit.

    Raises LineageError if Git cannot say.

    An untracked file under the stage's code or conf/ counts as a difference: it takes part and no commit has it.
    So does untracked code elsewhere in the package or beside it. A job that is a step of a pipeline was told: it has
    no repository.
    """
    if execution.started_from is not None:
        return dict(execution.started_from)
    here, main = Repository(execution.root), Repository(main_root(execution.root))
    (commit,), changed = here.must("rev-parse", "--verify", "HEAD"), here.changed_files()
    if changed is None:
        raise LineageError("Git cannot compare the code with the commit it started from. `git status` says more.")
    watched = (*execution.pipeline.sources(execution.stage), "conf")
    dirty = sorted({*changed, *here.untracked_files(watched), *filter(is_code, here.untracked_files(RUN_FROM))})
    facts = {"mlflow.source.git.commit": commit, "git_dirty": str(bool(dirty)).lower()}
    facts["mlflow.user"] = main.identity() or system_user()
    if dirty:
        facts["git_dirty_files"] = cut(dirty)
    # a hash for each: what was changed, committed afterwards and is still the same took part as the commit has it
    declared = {dep for stage in execution.pipeline.stages.values() for dep in execution.pipeline.sources(stage)}
    if code := changed_code(execution.root, dirty, declared):
        facts["git_dirty_code"] = code
    # a temporary experiment has neither branch nor remotes; the project that it was started from has
    branch = here.branch() or (main.branch() if main.head() == commit else None)
    if branch:
        facts["git_branch"] = branch
    if url := main.url():
        facts["git_repo_url"] = facts["dvc_repo_url"] = url
    return facts


def data_commit_facts(execution: Execution, data_md5: str | None) -> dict[str, str]:
    """The commit that records the dataset version, and the Git tags of the data on it, if they exist already."""
    if data_md5 is None or execution.started_from is not None:  # there is no repository to ask
        return {}
    history = History(main_root(execution.root))
    commit = history.data_commit(data_md5)
    if commit is None or not history.is_on_branch(commit):  # others go when their experiment is removed
        return {}
    version = history.data_version(data_md5)
    return {"data_git_commit_id": commit, **({"data_version": version} if version else {})}


def recorded_params(execution: Execution, lock: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The settings that the stage and the stages upstream of it depend on, by dotted key, as dvc records them."""
    document = read_params(execution.root / PARAMS_FILE)
    upstream = reversed(execution.pipeline.upstream(execution.stage))
    # upstream, what was run counts: params.yaml may have been composed again since
    recorded = {key: value for stage in upstream for key, value in locked_params(lock.get(stage.name)).items()}
    return {**recorded, **{key: select(document, key) for key in execution.stage.params}}


def verified_content(execution: Execution, lock: dict[str, dict[str, Any]], path: str) -> Content:
    """The content of an input, which must be what dvc.lock records as the output of the stage that makes it."""
    content = execution.given.content(path)
    producer = execution.pipeline.producer(path)
    if producer is not None:
        recorded = locked_hash(lock.get(producer.name), "outs", path)
        if recorded != content.md5:
            raise LineageError(
                f"{path} is not what stage {producer.name} made (in dvc.lock {recorded}, on disk {content.md5}). "
                f"`dvc repro` recreates it; `dvc checkout {path}` brings the recorded one back."
            )
    return content


def _add_upstream_hashes(facts: Facts, execution: Execution, lock: dict[str, dict[str, Any]]) -> None:
    """Names the hashes further up the chain: what each stage upstream read, by its entry in dvc.lock."""
    for stage in execution.pipeline.upstream(execution.stage):
        for path, role in _named(execution, stage.deps):
            if recorded := locked_hash(lock.get(stage.name), "deps", path):
                facts.tags.setdefault(NAMES[role][0], recorded)
