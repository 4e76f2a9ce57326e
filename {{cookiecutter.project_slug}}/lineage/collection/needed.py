"""Why an object stays: everything that rests on it, or may. What cannot be looked at is said, and then nothing goes.

kept   rests on it: versions, tags, branches, experiments, stashes, decisions, what lies here, what is going on
audits the dataset versions that any model or run of this project rests on, and whom they were allowed to use: an audit
       looks into all of them, shards too, and one that is gone would make every later answer INCONCLUSIVE
past   only a commit of the history names it, or a run: nothing above would miss it, but its model is proved by it
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..audit.scope import Scope
from ..base.errors import LineageError, ProjectError
from ..contract import Role
from ..dvc.hashes import NAME
from ..proof.case import Evidence, ModelCase
from ..proof.erased import FOLDER as ERASURES
from ..proof.retired import retirement_of
from .certificates import Certificates, missing
from .folders import Folders
from .git_names import GitNames, Named
from .others import lacks
from .pending import Pending

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

    from ..proof.git_models import GitModel
    from ..tracking.store import Store

ALWAYS = (Role.RUN, Role.CONSENT)  # small: which run made a model, and whom it was allowed to use


@dataclass(frozen=True)
class Reason:
    """Why an object stays, in words."""

    text: str
    is_past: bool = False  # only the history names it


class Needed:
    """What is needed of this project, and of others whose objects lie in the same places.

    `unknown` says what could not be looked at: nothing may go then. `lost` says what no place here has, so that
    nobody knows which objects belonged to it.
    """

    def __init__(
        self, evidence: Evidence, others: Iterable[GitNames], since: float, shown: Iterable[Path] = ()
    ) -> None:
        """What commits after `since`, in seconds since 1970, name counts as what is being worked on.

        `shown` are certificates that lie outside of Git.
        """
        self._evidence = evidence
        self._git = GitNames(evidence.root)
        self._others = list(others)
        self._since, self._shown = since, list(shown)
        self._scope = Scope(evidence)
        self._folders = Folders(evidence)
        self._reasons: dict[str, Reason] = {}
        self._made: set[str] = set()
        self._opened: dict[str, list[str]] = {}  # the files of each folder
        self.unknown: list[str] = []
        self.lost: list[str] = []
        self.identities: set[str] = set()  # of the models that are kept
        self._collect()
        self._open_folders()

    def why(self, md5: str) -> Reason | None:
        """Why an object stays; None if nothing names it."""
        plain = md5.removesuffix(".dir")  # whatever it is taken for: a file or a listing
        found = [each for name in (plain, f"{plain}.dir") if (each := self._reasons.get(name))]
        return min(found, key=lambda each: each.is_past, default=None)

    def _keep(self, names: Iterable[str], text: str, *, is_past: bool = False) -> None:
        for name in names:
            before = self._reasons.get(name)
            if before is None or (before.is_past and not is_past):
                self._reasons[name] = Reason(text, is_past)

    def _keep_named(self, named: Named, text: str = "") -> None:
        self._made |= named.made
        for name, where in named.where.items():
            self._keep([name], text or where)

    def _collect(self) -> None:
        evidence, history = self._evidence, self._evidence.history
        elsewhere = self._scope.holdings.git.elsewhere  # other dvc.lock: here their names are looked at, too
        self.unknown += [each for each in self._scope.unknown if each not in elsewhere]
        if history.replaced:
            self.unknown.append(f"{history.replaced} objects of Git have a stand-in here (`git replace --list`)")
        pending = Pending(evidence)
        self.unknown += pending.unknown
        self._keep(pending.names, "what an execution of a pipeline has reported")
        for git in (self._git, *self._others):
            self._of_git(git, is_other=git is not self._git)
            self._of_certificates(git)
        self._of_decisions()
        self._of_mlflow()
        self._of_audits()

    def _of_git(self, git: GitNames, *, is_other: bool) -> None:
        whose = f"{git.git.folder}: " if is_other else ""
        try:
            self.unknown += lacks(git.git) if is_other else []
            if gone := [str(tree) for tree in git.git.worktrees() if not tree.is_dir()]:
                self.unknown.append(f"the worktree {gone[0]} is not there: `git worktree prune` forgets it")
                return
            self._keep_named(git.here)
            for commit, text in git.tips.items():
                self._keep_named(git.of_commit(commit), f"{whose}{text}")
            for commit in git.since(self._since):
                self._keep_named(git.of_commit(commit), f"{whose}commit {commit[:12]}, a new one")
            for name, where in git.ever.where.items():
                self._keep([name], f"{whose}{where}", is_past=not is_other)
            self._made |= git.ever.made
        except OSError as error:
            self.unknown.append(f"what lies in a worktree cannot be read: {error}")
            return
        if not git.is_whole:
            self.lost.append(f"{whose}the reflog names commits that Git does not have any more")

    def _of_certificates(self, git: GitNames) -> None:
        """A certificate is checked against the dataset versions that it names, whoever rests on them by now."""
        found = Certificates(git, self._shown)
        self._made |= found.datasets.keys()
        for name, where in found.datasets.items():
            self._keep([name], where)
        self.lost += missing(found.unread)

    def _of_decisions(self) -> None:
        commits, identities = self._git.promoted
        for commit, path in commits.items():
            if self._evidence.history.resolve(commit):
                self._keep_named(self._git.of_commit(commit), path)
        for identity, path in identities.items():
            self._keep_model(identity, path)

    def _keep_model(self, identity: str, text: str) -> bool:
        """Keeps all that the commits with a model name. False if Git does not hold it."""
        model = self._evidence.git_models.models.get(identity)
        if model is None:
            return False
        self.identities.add(identity)
        for commit in model.commits:
            self._keep_named(self._git.of_commit(commit), text)
        return True

    def _of_mlflow(self) -> None:
        holdings, evidence = self._scope.holdings, self._evidence
        for store in holdings.stores.asked:
            for version in store.every:  # those of others name objects that may lie here as well
                title = f"models:/{version.name}/{version.version}"
                self._keep(_hashes(version.tags), title)
                if version.tags.get("project_id") == evidence.project_id:
                    self._of_version(store, version, title)
            for version, origin in holdings.whose[store.uri].versions:
                if origin.model is not None:
                    self._keep_model(origin.model.identity, f"models:/{version.name}/{version.version}")
            for run_id, run in store.runs.items():
                is_new = (run.info.end_time or run.info.start_time or 0) / 1000 >= self._since
                is_going_on = run.info.status not in ("FINISHED", "FAILED", "KILLED")
                is_past = not (is_new or is_going_on)
                self._keep(_hashes(run.data.tags), f"run {run_id}", is_past=is_past)

    def _of_version(self, store: Store, version: ModelVersion, title: str) -> None:
        case = ModelCase(self._evidence, version)
        identity = version.tags.get("model_identity")
        is_known = bool(identity) and self._keep_model(str(identity), title)
        try:
            commit = case.commit
        except ProjectError:
            if not is_known and retirement_of(case) is None:
                self.lost.append(
                    f"{title} at {store.shown_uri}: no commit here holds it, so nobody knows all that it needs. Fetch "
                    "the commit, or `lineage retire` the version"
                )
            return
        self._keep_named(self._git.of_commit(commit), title)

    def _of_audits(self) -> None:
        self._keep(self._scope.datasets, "audits: a model or a run rests on this dataset version")
        roles = self._evidence.history.roles
        paths = frozenset[str]().union(*map(roles.paths, ALWAYS))
        self._keep(self._git.of_paths(paths), "audits: the record of a run, or who might be used")
        self._keep(self._git.below(ERASURES), "an erasure: what is left of manifests")

    def _open_folders(self) -> None:
        """What a folder consists of stays for the reason for which the folder does."""
        folders = [name for name in self._reasons if name.endswith(".dir")]
        for name, listing in self._folders.listed(folders).items():
            reason = self._reasons[name]
            files = self._folders.documented.get(name) if isinstance(listing, LineageError) else listing
            if files is None and isinstance(listing, LineageError):
                self._say_unlisted(name, reason, listing)
            self._opened[name] = files or []
            self._keep(self._opened[name], reason.text, is_past=reason.is_past)

    def _say_unlisted(self, name: str, reason: Reason, error: LineageError) -> None:
        if not self._folders.is_nowhere(name):
            self.unknown.append(f"what the folder {name} consists of ({reason.text}): {error}")
        elif name in self._made and self._evidence.collections.of_object(name) is None:
            self.lost.append(f"{name} ({reason.text}) is nowhere here: nobody knows which objects belonged to it")

    def ends(self, going: Collection[str]) -> list[GitModel]:
        """The models that nobody can prove any more without these objects.

        Each of the commits that hold such a model names one of the objects.
        """
        gone = set(going)
        models = self._evidence.git_models.models.values()
        past = [model for model in models if model.commits and model.identity not in self.identities]
        return [model for model in past if all(gone & self._objects_of(commit) for commit in model.commits)]

    @cache  # noqa: B019  lives as long as one command
    def _objects_of(self, commit: str) -> frozenset[str]:
        """What a commit names, with the files of its folders."""
        names = set(self._git.of_commit(commit).where)
        return frozenset(names.union(*(self._opened.get(name, ()) for name in names)))


def _hashes(tags: dict[str, str]) -> list[str]:
    """What the tags of a version or a run name that DVC may keep."""
    return [value for key, value in tags.items() if key.startswith("dvc_") and NAME.fullmatch(value)]
