"""What is known about an execution, under the names of the chain. What cannot be known yet is absent, never guessed."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..env import DVC_EXP_BASELINE_REV, DVC_EXP_NAME
from ..errors import LineageError
from ..pipeline.callbacks import Execution
from ..pipeline.dvcfile import PARAMS_FILE, Lock, locked_hash, locked_params, read_lock
from ..pipeline.yaml12 import parse_yaml
from ..settings import read_params, select
from ..settings.model import PRETRAINED
from .anchor import experiment_variables, main_root
from .code import RUN_FROM, changed_code, cut, is_code
from .git import Repository
from .hashes import Content, hash_path
from .installed import NOT_COMPARED, changed_since, packages_folder, stamp_file
from .packages import LOCK, differences

RAW = "data/raw"
DATASET = "data/processed"
MODEL = "models/model.safetensors"
RUN_RECORD = "models/run.json"
CONSENT = "data/consent.csv"

DATA_TAGS = "data/"  # what the name of a Git tag of the data begins with

# Under which names a file or folder of the pipeline is known in MLflow.
NAMES = {
    RAW: ("dvc_raw_md5", None),
    CONSENT: ("dvc_consent_md5", None),
    DATASET: ("dvc_data_md5", "data_sha256"),
    PRETRAINED: ("dvc_pretrained_md5", "pretrained_sha256"),
    MODEL: ("dvc_model_md5", "model_sha256"),
    RUN_RECORD: ("dvc_run_md5", None),  # holds the run's id, so no two trainings have it in common
}


@dataclass
class Facts:
    """Tags and parameters of a run, and the contents they were taken from."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)

    def add_content(self, root: Path, path: str, content: Content) -> None:
        """Names the hashes of a file or folder of the pipeline."""
        self.contents[path] = content
        if path == DATASET:
            self.tags["subjects_root"] = subjects_of(root / path, content.md5)["root"]
        md5_name, sha256_name = NAMES[path]
        self.tags[md5_name] = content.md5
        if sha256_name:
            self.tags[sha256_name] = content.sha256


def facts_at_start(execution: Execution) -> Facts:
    """What is known before the work: what the run starts from, its inputs by hash, its parameters.

    Raises LineageError if an input on disk is not what dvc.lock says its stage made.
    """
    facts = Facts(tags={"project_id": execution.settings.project_id, "dvc_stage": execution.stage.name})
    facts.tags.update(experiment_facts(execution.root))
    facts.tags.update(git_facts(execution))
    lock = read_lock(execution.root)
    facts.params = recorded_params(execution, lock)
    for path in NAMES:
        if path in execution.stage.deps:
            facts.add_content(execution.root, path, verified_content(execution, lock, path))
    if PRETRAINED in facts.contents:
        facts.tags["pretrained_url"] = str(facts.params["weights.url"])
    _add_upstream_hashes(facts, execution, lock)
    if LOCK in execution.stage.deps and not execution.is_sent_away:
        facts.tags.update(environment_facts(execution.root))
        if not {"packages_sha256", "environment_differs"} & facts.tags.keys():
            print(f"warning: {NOT_COMPARED}. `lineage doctor --environment` compares them.", file=sys.stderr)
    facts.tags.update(data_commit_facts(execution, facts.tags.get("dvc_data_md5")))
    return facts


def facts_at_end(execution: Execution) -> Facts:
    """The hashes of what the stage has made."""
    facts = Facts()
    for path in NAMES:
        if path in execution.stage.outs:
            facts.add_content(execution.root, path, hash_path(execution.root / path))
    return facts


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
    mend = "make setup" if others else "rm -r .venv && make setup"  # what was edited would not be installed again
    print(f"warning: this environment is not as {LOCK} says ({wrong[0]}, ...). `{mend}` mends it.", file=sys.stderr)
    return {"environment_differs": "\n".join(wrong)[:5000]}


def subjects_of(dataset: Path, md5: str) -> dict[str, Any]:
    """The Merkle tree over the subjects of a dataset version of that hash, as its manifest states it: root and salt.

    Raises LineageError if the manifest cannot be read or states none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..data.dataset import MANIFEST, ROOT_KEY, SALT_KEY
    from ..data.merkle import root_of_dataset

    try:
        metadata = pq.read_schema(dataset / MANIFEST).metadata or {}
        return {"root": root_of_dataset(md5, metadata[ROOT_KEY].decode()), "salt": metadata[SALT_KEY].decode()}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise LineageError(f"{dataset / MANIFEST} is no manifest of this pipeline: {error!r}. `dvc repro`.") from None


def experiment_facts(root: Path) -> dict[str, str]:
    """The DVC experiment that runs in `root`, if one does."""
    names = {DVC_EXP_NAME: "dvc_exp_name", DVC_EXP_BASELINE_REV: "dvc_exp_baseline_rev"}
    return {names[variable]: value for variable, value in experiment_variables(root).items()}


def git_facts(execution: Execution) -> dict[str, str]:
    """Where the run starts, and by whom: commit, branch, repository, whether the code differs from that commit.

    Raises LineageError if Git cannot say.

    An untracked file under the stage's code or conf/ counts as a difference: it takes part and no commit has it.
    So does untracked code elsewhere in the package or beside it.
    """
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


def system_user() -> str:
    """Who is logged in, where Git knows no name; `unknown` in a container without users."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def data_commit_facts(execution: Execution, data_md5: str | None) -> dict[str, str]:
    """The commit that records the dataset version, and the Git tags of the data on it, if they exist already."""
    git = Repository(main_root(execution.root))
    commit = git.first_commit_holding(data_md5) if data_md5 else None
    if commit is None:
        return {}
    facts = {"data_git_commit_id": commit}
    tags = git.tags_holding(str(data_md5), DATA_TAGS)
    if versions := join_versions(tag for tag in tags if made_dataset(_lock_at(git, tag)) == data_md5):
        facts["data_version"] = versions
    return facts


def made_dataset(lock: Lock) -> str | None:
    """The dataset version that a dvc.lock records as made: models beside it may have been trained on an older one."""
    return next(filter(None, (locked_hash(entry, "outs", DATASET) for entry in lock.values())), None)


def _lock_at(git: Repository, tag: str) -> Lock:
    document = parse_yaml(git.run("show", f"refs/tags/{tag}:./dvc.lock") or "") or {}
    stages: Lock = document.get("stages") or {}
    return stages


def join_versions(tags: Iterable[str]) -> str | None:
    """Tags of the data as the value of `data_version`; None if there are none."""
    return ", ".join(sorted(tag.removeprefix(DATA_TAGS) for tag in tags)) or None


def recorded_params(execution: Execution, lock: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The settings that the stage and the stages upstream of it depend on, by dotted key, as dvc records them."""
    document = read_params(execution.root / PARAMS_FILE)
    upstream = reversed(execution.pipeline.upstream(execution.stage))
    # upstream, what was run counts: params.yaml may have been composed again since
    recorded = {key: value for stage in upstream for key, value in locked_params(lock.get(stage.name)).items()}
    return {**recorded, **{key: select(document, key) for key in execution.stage.params}}


def verified_content(execution: Execution, lock: dict[str, dict[str, Any]], path: str) -> Content:
    """The content of an input, which must be what dvc.lock records as the output of the stage that makes it."""
    content = hash_path(execution.root / path)
    execution.given.has_md5(path, content.md5)
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
        for path, (md5_name, _) in NAMES.items():
            recorded = locked_hash(lock.get(stage.name), "deps", path)
            if recorded:
                facts.tags.setdefault(md5_name, recorded)


def read_run_record(root: Path) -> dict[str, Any]:
    """models/run.json: which execution trained the model that lies beside it."""
    record: dict[str, Any] = json.loads((root / RUN_RECORD).read_text(encoding="utf-8"))
    return record
