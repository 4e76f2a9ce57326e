"""Everything that an audit looks at: each version, run and model of this project, and the dataset versions it rests on.

Versions come first, then runs, then what only Git holds; in every lifecycle stage, all pages, of every store that Git
names. What a version rests on is what Git records; MLflow only claims it, and what it has forgotten counts as well.
What is unknown is written down with each, and an answer that depends on it is INCONCLUSIVE.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import psutil

from ..errors import LineageError
from ..lineage.facts import DATASET, MODEL
from ..lineage.tracking import source_tags
from ..pipeline.dvcfile import Pipeline, locked_hash, read_pipeline
from ..printable import some
from ..proof.case import Case, Evidence
from ..proof.git_models import GitModel
from ..proof.locks import Entry
from ..proof.moments import contradictions, moment_of
from ..proof.store import Store
from ..proof.stores import Stores
from ..proof.whose import Whose
from ..settings.model import PRETRAINED
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

    from .manifests import Manifests

STAGES = ("preprocess", "train", "evaluate")  # those of the template that work with records
BY_HASH = "register"  # it handles records by hash
ENDED_WITHOUT_MODEL = ("FAILED", "KILLED")
ANCESTORS = {"pretrained_sha256", "parent_model_sha256"}  # tags that name the weights a training started from
LAST = datetime.max.replace(tzinfo=UTC)
ENDPOINT = "endpoint"  # tag of a version: the names of the endpoints that serve it, separated by commas
BASE = "mlflow.source.git.commit"
GOING_ON = "it is still going on; if nobody follows it, `lineage jobs` closes it where it was begun"


class Scope:
    """What this project has in Git and in its stores."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.git = evidence.git_models

    @cached_property
    def stores(self) -> Stores:
        return Stores(self.evidence)

    @cached_property
    def _whose(self) -> dict[str, Whose]:
        return {store.uri: Whose(self.evidence, store) for store in self.stores.asked}

    @cached_property
    def times(self) -> dict[str, int]:
        return self.evidence.history.times

    @property
    def description(self) -> str:
        """Which stores and which project: what others have there was not looked at."""
        return f"{self.stores.title}, project {self.evidence.project_id}"

    @cached_property
    def unknown(self) -> list[str]:
        """What may hold more of this project and was not looked at."""
        return [*self.stores.not_asked, *self.git.unreadable, *self._not_here, *self.git.elsewhere]

    @property
    def _not_here(self) -> Iterator[str]:
        """What this clone lacks of the history."""
        history = self.evidence.history
        if history.is_shallow:
            yield "this clone is shallow: models of older commits are not known. `git fetch --unshallow` brings them"
        if history.remote:
            try:
                refs = history.not_fetched
            except LineageError as error:
                yield f"whether {history.remote} has commits that this clone does not: {error}"
                return
            if refs:
                fetch = f"git fetch {history.remote} '+refs/heads/*:refs/remotes/{history.remote}/*' --tags"
                exps = " '+refs/exps/*:refs/exps/*'" * any(ref.startswith("refs/exps/") for ref in refs)
                yield f"this clone lacks {some(refs)} of {history.remote}. `{fetch}{exps}` brings them"

    @cached_property
    def uses(self) -> list[Use]:
        """All versions, then all runs of stages that work with records, then what is in neither."""
        return [*self.versions, *self.runs, *self.logged_models, *self.only_in_git]

    @cached_property
    def versions(self) -> list[Use]:
        found: dict[tuple[object, ...], Use] = {}
        for store in self.stores.asked:
            placed = [(version, self._version(store, version)) for version in store.versions]
            for version, origin in self._whose[store.uri].versions:
                use = _version(version)
                use.datasets |= origin.datasets
                use.unknown += origin.unknown
                self._add_git(use, origin.model)
                placed.append((version, use))
            for version, use in placed:
                use.aliases = store.aliases(version.name).get(str(version.version), ())
                tags = tuple(sorted(version.tags.items()))
                key = (version.name, str(version.version), version.source, version.creation_timestamp, tags)
                if store is not self.evidence.store:
                    use.name += f" at {store.shown_uri}"
                found.setdefault(key, use)  # a store that was copied holds the same ones
        return list(found.values())

    @cached_property
    def runs(self) -> list[Use]:
        found: list[Use] = []
        for store in self.stores.asked:
            own = (self._run(store, run) for run in store.runs.values())
            found += [use for use in own if use is not None]
            found += [self._stranger(store, run) for run in self._whose[store.uri].runs.values()]
        if len(self.stores.asked) > 1:  # one may be a copy of another
            found = list({_key(use): use for use in reversed(found)}.values())
        return sorted(found, key=lambda use: use.started or LAST)

    @cached_property
    def logged_models(self) -> list[Use]:
        """The models that were logged, and are neither registered nor in any commit."""
        found: dict[str, Use] = {}
        for store in self.stores.asked:
            for model_id, origin in self._whose[store.uri].unregistered.items():
                logged = self._whose[store.uri].logged_models[model_id]
                use = Use("logged model", model_id, "train", logged.source_run_id or "", state=str(logged.status.value))
                use.registered = moment_of(logged.creation_timestamp)
                use.datasets, use.unknown = set(origin.datasets), list(origin.unknown)
                self._add_git(use, origin.model)
                found.setdefault(model_id, use)
        return list(found.values())

    @cached_property
    def only_in_git(self) -> list[Use]:
        """The models that Git holds, and of which no store has a version."""
        known = {use.identity for use in self.versions}
        found = []
        for identity, model in self.git.models.items():
            if identity not in known:
                use = Use(
                    "model in Git", model.title, model.stage, state="committed" if model.commits else "not committed"
                )
                self._add_git(use, model)
                use.commit = model.commits[0] if model.commits else None
                found.append(use)
        return found

    def count_equal_weights(self, manifests: Manifests) -> None:
        """Adds the dataset versions of models with the same weights as another, where training has seen other records.

        Weights that are equal although it has are not what their entry says: nobody can tell which data they come from.
        Where only the test split differs, equal weights are what a training gives.
        """
        for use in self.uses:
            model = self.git.models.get(use.identity or "")
            weights = model.out(MODEL) if model and use.kind != "run" else None
            alike = self.git.by_weights.get(weights, []) if weights else []
            more = {md5 for other in alike for md5 in other.datasets} - use.datasets
            if more and model:
                seen = {manifests.seen_by_training(md5) for md5 in model.datasets}
                use.datasets |= {md5 for md5 in more if manifests.seen_by_training(md5) not in (None, *seen)}

    @property
    def differences(self) -> list[str]:
        """What Git holds and MLflow does not, in sentences."""
        if not self.stores.asked:
            return []
        missing = [use for use in self.only_in_git if use.stage == "train"]
        return [f"MLflow has no version of {use.title}, which Git holds" for use in missing]

    @cached_property
    def _by_weights(self) -> dict[str, list[tuple[Store, ModelVersion]]]:
        """The versions by the SHA-256 of their weights."""
        found: dict[str, list[tuple[Store, ModelVersion]]] = {}
        for store in self.stores.asked:
            for version in store.versions:
                found.setdefault(version.tags.get("model_sha256", ""), []).append((store, version))
        return found

    @cached_property
    def datasets(self) -> list[str]:
        """The dataset versions that any of them rests on."""
        return sorted({md5 for use in self.uses for md5 in use.datasets})

    def run(self, run_id: str) -> tuple[Store, Run] | None:
        """A run by id, with the store that has it."""
        return next(((store, store.runs[run_id]) for store in self.stores.asked if run_id in store.runs), None)

    def _add_git(self, use: Use, model: GitModel | None) -> None:
        """What Git says of the model: what it rests on, and when it was first held."""
        if model is not None:
            use.identity, use.committed = model.identity, model.first
            use.datasets |= model.datasets
            use.unknown += [reason for reason in model.unknown if reason not in use.unknown]

    def _version(self, store: Store, version: ModelVersion) -> Use:
        use = self._recorded(version)
        if pointed := self._whose[store.uri].pointed_to(version):
            more = pointed.datasets - use.datasets
            if use.identity is None:
                self._add_git(use, pointed.model)
            use.datasets |= more
            use.unknown += [
                f"its tags and what it points to are of different models: it leads to {md5}" for md5 in more
            ]
        found = self.run(use.run_id)
        tags = found[1].data.tags if found else {}
        self._add_ancestors(use, {**version.tags, **tags})
        if not use.datasets and not use.unknown:
            use.unknown.append("nothing says which dataset version it was trained on")
        bases = (version.tags.get(BASE), tags.get(BASE), *self._bases(use))
        use.contradictions = contradictions(
            self.times,
            bases,
            started=use.started,
            registered=use.registered,
            committed=use.committed,
        )
        return use

    def _bases(self, use: Use) -> list[str]:
        """The commits that the training of a model started from, as its run has written down into Git."""
        return self._bases_in_git.get(use.identity or "", [])

    @cached_property
    def _bases_in_git(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for document in self.git.documents:
            started = (document.get("training_run") or {}).get("started_from") or {}
            found.setdefault(str(document["model"].get("identity")), []).append(str(started.get(BASE)))
        return found

    def _recorded(self, version: ModelVersion) -> Use:
        """A version and what it was trained on itself, by Git, MLflow, and its training run."""
        use = _version(version)
        model = self.git.models.get(version.tags.get("model_identity", ""))
        self._add_git(use, model)
        claimed = version.tags.get("dvc_data_md5")
        use.datasets |= {claimed} if claimed else set()
        try:
            use.commit, entry = self._proving(version, model)
            recorded = locked_hash(entry, "deps", DATASET)
            if locked_hash(entry, "deps", PRETRAINED) and not any(tag in version.tags for tag in ANCESTORS):
                use.unknown.append("Git says it started from other weights, MLflow says from none")
        except LineageError as error:
            use.unknown.append(f"no commit proves what it was trained on ({error})")
            recorded = None
        else:
            use.datasets |= {recorded} if recorded else set()
            if recorded != claimed:
                use.unknown.append(f"MLflow says it was trained on {claimed}, Git says on {recorded}")
        if found := self.run(str(version.tags.get("training_run_id"))):
            self._add_training(use, found[1])
        return use

    def _proving(self, version: ModelVersion, model: GitModel | None) -> tuple[str, Entry]:
        """The commit that proves a version, with the entry of train. Raises LineageError if there is none."""
        case = Case(self.evidence, version)
        tagged = case.tagged_commit
        if model and tagged in model.commits and "deps" in model.entry and self.evidence.history.resolve(str(tagged)):
            return str(tagged), model.entry  # without reading the whole of dvc.lock again
        return case.commit, case.lock["train"]

    def _add_training(self, use: Use, run: Run) -> None:
        use.started, use.ended = moment_of(run.info.start_time), moment_of(run.info.end_time)
        logged = _inputs(run)
        use.datasets |= logged
        if len(use.datasets) > 1 and not use.unknown:
            use.unknown.append(f"its training run {run.info.run_id} has read {', '.join(sorted(logged))}")

    def _run(self, store: Store, run: Run) -> Use | None:
        """A run that is marked as this project's; None if its stage does not work with records."""
        tags, logged = run.data.tags, _inputs(run)  # each is asked once: there are thousands of runs
        stage = tags.get("dvc_stage") or "no stage"
        if stage == BY_HASH and self._is_known(tags, logged):
            return None
        use = _use_of_run(run, stage)
        use.root = tags.get("subjects_root")
        claimed = tags.get("dvc_data_md5")
        use.datasets = logged | {claimed} if claimed else logged
        if stage not in STAGES:
            use.datasets |= self._whose[store.uri].read_by(run)
            if not use.datasets and self._is_without_records(stage):
                return None
        if record := tags.get("dvc_run_md5"):
            for model in self.git.by_run_record.get(record, []):
                self._add_git(use, model)
        if (base := tags.get(BASE)) or use.committed:
            committed = use.committed if stage == "train" else None
            bases = (base, *self._bases(use))
            use.contradictions = contradictions(self.times, bases, started=use.started, committed=committed)
        if use.state in ENDED_WITHOUT_MODEL or (use.state == "RUNNING" and _was_killed(tags)):
            if stage != "train" or not tags.get("dvc_model_md5"):
                use.left_no_model = True
                return use
            use.unknown.append(f"it has left a model, and its state is {use.state.lower()}")
        elif use.state != "FINISHED":
            use.unknown.append(GOING_ON)
        elif not claimed and (stage in STAGES or not use.datasets):
            use.unknown.append("it does not say which dataset version it worked with")
        elif stage in ("train", "evaluate") and logged != {claimed}:
            use.unknown.append(f"its tag says {claimed}, its logged input {', '.join(sorted(logged)) or 'nothing'}")
        self._add_ancestors(use, tags)
        return use

    def _stranger(self, store: Store, run: Run) -> Use:
        """A run of the project's experiments without its mark, or one of others that has read its data."""
        use = _use_of_run(run, run.data.tags.get("dvc_stage") or "no stage")
        use.datasets = self._whose[store.uri].read_by(run)
        if use.state in ENDED_WITHOUT_MODEL:
            use.left_no_model = True
        elif use.state != "FINISHED":
            use.unknown.append(GOING_ON)
        elif not use.datasets:
            use.unknown.append(
                "it is in this project's experiment, and does not say what it is or which records it read"
            )
        return use

    def _is_known(self, tags: dict[str, str], logged: set[str]) -> bool:
        """Whether a run of `register` handled a model that is looked at anyway, and read no other dataset."""
        record, read = tags.get("dvc_run_md5"), {*logged, *filter(None, [tags.get("dvc_data_md5")])}
        if not record:
            return False
        known = set().union(*(model.datasets for model in self.git.by_run_record.get(record, [])))
        return read <= known | self._registered_records.get(record, set())

    @cached_property
    def _registered_records(self) -> dict[str | None, set[str]]:
        """The dataset versions of the registered versions, by the hash of their models/run.json."""
        found: dict[str | None, set[str]] = {}
        for version in (version for store in self.stores.asked for version in store.versions):
            found.setdefault(version.tags.get("dvc_run_md5"), set()).add(version.tags.get("dvc_data_md5", ""))
        return found

    def _is_without_records(self, name: str) -> bool:
        """Whether dvc.yaml has this stage and gives it no records."""
        stages = {stage.module: stage for stage in self._pipeline.stages.values()}
        return name in stages and not any(dep.startswith("data/") for dep in stages[name].deps)

    @cached_property
    def _pipeline(self) -> Pipeline:
        return read_pipeline(self.evidence.root)

    def _add_ancestors(self, use: Use, tags: dict[str, str]) -> None:
        """What a model rests on that started from another one: the data of that one too, if it is known here."""
        if not tags.keys() & ANCESTORS:
            return
        waiting, seen = [tags], set[str]()
        while waiting:
            named = waiting.pop()
            for sha256 in {named[tag] for tag in ANCESTORS if named.get(tag)} - seen:
                seen.add(sha256)
                held = self.git.by_weights.get(sha256, [])
                use.datasets |= {md5 for model in held for md5 in model.datasets}
                if sha256 not in self._by_weights and not held:
                    use.unknown.append(f"it started from weights whose data are unknown (SHA-256 {sha256[:12]}...)")
                for _, ancestor in self._by_weights.get(sha256, []):
                    its = self._recorded(ancestor)
                    use.datasets |= its.datasets
                    use.unknown += [f"it started from {its.name}: {reason}" for reason in its.unknown]
                    found = self.run(its.run_id)
                    waiting.append({**ancestor.tags, **(found[1].data.tags if found else {})})


def _version(version: ModelVersion) -> Use:
    endpoints = (version.tags.get(ENDPOINT) or "").split(",")
    return Use(
        kind="version",
        name=f"models:/{version.name}/{version.version}",
        stage="train",
        run_id=version.tags.get("training_run_id") or "",
        registered=moment_of(version.creation_timestamp),
        state=version.status,
        aliases=tuple(version.aliases),
        endpoints=tuple(name.strip() for name in endpoints if name.strip()),
    )


def _use_of_run(run: Run, stage: str) -> Use:
    info = run.info
    use = Use("run", info.run_id, stage, info.run_id, state=info.status)
    use.started, use.ended = moment_of(info.start_time), moment_of(info.end_time)
    use.is_deleted = info.lifecycle_stage != "active"
    return use


def _key(use: Use) -> tuple[object, ...]:
    """What two records of one run have in common, in a store and in a copy of it."""
    return (use.name, use.stage, use.state, use.started, use.ended, *sorted(use.datasets))


def _inputs(run: Run) -> set[str]:
    datasets = (entry.dataset for entry in run.inputs.dataset_inputs)
    return {dataset.digest for dataset in datasets if dataset.source_type == "dvc"}


def _was_killed(tags: dict[str, str]) -> bool:
    """Whether a run that nobody has closed can be going on no more: its process on this machine is gone."""
    if "sagemaker_job_name" in tags or tags.get("host") != source_tags()["host"]:
        return False
    return not psutil.pid_exists(int(tags.get("pid") or 0))
