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

from ..base.errors import LineageError
from ..base.printable import some
from ..contract import Role
from ..proof.case import Evidence
from ..proof.moments import moment_of
from .ancestors import Ancestors
from .holdings import Holdings
from .runs import Runs
from .trained import TRAINING
from .use import Use
from .versions import Versions

if TYPE_CHECKING:
    from .manifests import Manifests

LAST = datetime.max.replace(tzinfo=UTC)


class Scope:
    """All that is looked at, and in words what is not."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.holdings = Holdings(evidence)
        ancestors = Ancestors(self.holdings)
        self._versions = Versions(self.holdings, ancestors)
        self._runs = Runs(self.holdings, ancestors)

    @property
    def description(self) -> str:
        """Which stores and which project: what others have there was not looked at."""
        return f"{self.holdings.stores.title}, project {self.evidence.project_id}"

    @cached_property
    def unknown(self) -> list[str]:
        """What may hold more of this project and was not looked at."""
        git = self.holdings.git
        return [*self.holdings.stores.not_asked, *git.unreadable, *self._not_here, *git.elsewhere]

    @property
    def _not_here(self) -> Iterator[str]:
        """What this clone lacks of the history."""
        history = self.evidence.history
        if history.is_shallow:
            yield "this clone is shallow: models of older commits are not known. `git fetch --unshallow` brings them"
        if remote := history.remote.name:
            try:
                refs = history.remote.not_fetched
            except LineageError as error:
                yield f"whether {remote} has commits that this clone does not: {error}"
                return
            if refs:
                yield f"this clone lacks {some(refs)} of {remote}. `{history.remote.fetch(refs)}` brings them"

    @cached_property
    def uses(self) -> list[Use]:
        """All versions, then all runs of stages that work with records, then what is in neither."""
        return [*self.versions, *self.runs, *self.logged_models, *self.only_in_git]

    @cached_property
    def versions(self) -> list[Use]:
        """The versions of all stores."""
        found: dict[tuple[object, ...], Use] = {}
        for store in self.holdings.stores.asked:
            placed = [(version, self._versions.own(store, version)) for version in store.versions]
            strangers = self.holdings.whose[store.uri].versions
            placed += [(version, self._versions.stranger(version, origin)) for version, origin in strangers]
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
        """The runs of stages that work with records, in the order of their start."""
        found: list[Use] = []
        for store in self.holdings.stores.asked:
            own = (self._runs.own(store, run) for run in store.runs.values())
            found += [use for use in own if use is not None]
            found += [self._runs.stranger(store, run) for run in self.holdings.whose[store.uri].runs.values()]
        if len(self.holdings.stores.asked) > 1:  # one may be a copy of another
            found = list({_key(use): use for use in reversed(found)}.values())
        return sorted(found, key=lambda use: use.started or LAST)

    @cached_property
    def logged_models(self) -> list[Use]:
        """The models that were logged, and are neither registered nor in any commit."""
        found: dict[str, Use] = {}
        for store in self.holdings.stores.asked:
            whose = self.holdings.whose[store.uri]
            for model_id, origin in whose.unregistered.items():
                logged = whose.logged_models[model_id]
                state = str(logged.status.value)
                use = Use("logged model", model_id, TRAINING, Role.MODEL, logged.source_run_id or "", state=state)
                use.registered = moment_of(logged.creation_timestamp)
                use.datasets, use.unknown = set(origin.datasets), list(origin.unknown)
                use.add_git(origin.model)
                found.setdefault(model_id, use)
        return list(found.values())

    @cached_property
    def only_in_git(self) -> list[Use]:
        """The models that Git holds, and of which no store has a version."""
        known = {use.identity for use in self.versions}
        found = []
        for identity, model in self.holdings.git.models.items():
            if identity not in known:
                role = Role.MODEL if model.is_trained else None
                state = "committed" if model.commits else "not committed"
                use = Use("model in Git", model.title, model.stage, role, state=state)
                use.add_git(model)
                use.commit = model.commits[0] if model.commits else None
                found.append(use)
        return found

    def count_equal_weights(self, manifests: Manifests) -> None:
        """Adds the dataset versions of models with the same weights as another, where training has seen other records.

        Weights that are equal although it has are not what their entry says: nobody can tell which data they come from.
        Where only the test split differs, equal weights are what a training gives.
        """
        git = self.holdings.git
        for use in (use for use in self.uses if use.identity and use.kind != "run"):
            model = git.models.get(use.identity or "")
            weights = model.out(git.weights) if model else None
            alike = git.by_weights.get(weights, []) if weights else []
            more = {md5 for other in alike for md5 in other.datasets} - use.datasets
            if more and model:
                seen = {manifests.seen_by_training(md5) for md5 in model.datasets}
                use.datasets |= {md5 for md5 in more if manifests.seen_by_training(md5) not in (None, *seen)}

    @property
    def differences(self) -> list[str]:
        """What Git holds and MLflow does not, in sentences."""
        if not self.holdings.stores.asked:
            return []
        missing = [use for use in self.only_in_git if use.role is Role.MODEL]
        return [f"MLflow has no version of {use.title}, which Git holds" for use in missing]

    @cached_property
    def datasets(self) -> list[str]:
        """The dataset versions that any of them rests on."""
        return sorted({md5 for use in self.uses for md5 in use.datasets})


def _key(use: Use) -> tuple[object, ...]:
    """What two records of one run have in common, in a store and in a copy of it."""
    return (use.name, use.stage, use.state, use.started, use.ended, *sorted(use.datasets))
