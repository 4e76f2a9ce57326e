"""What one version in MLflow rests on, with its ancestors, and what cannot be right about its moments."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..proof.moments import contradictions
from ..proof.whose import Origin
from ..tracking.store import Store
from .ancestors import Ancestors
from .holdings import BASE, Holdings
from .trained import trained_on, use_of_version
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class Versions:
    """The versions of this project, and those that may be."""

    def __init__(self, holdings: Holdings, ancestors: Ancestors) -> None:
        self._holdings = holdings
        self._ancestors = ancestors

    def own(self, store: Store, version: ModelVersion) -> Use:
        """A version that is marked as this project's."""
        use = trained_on(self._holdings, version)
        if pointed := self._holdings.whose[store.uri].pointed_to(version):
            more = pointed.datasets - use.datasets
            if use.identity is None:
                use.add_git(pointed.model)
            use.datasets |= more
            use.unknown += [
                f"its tags and what it points to are of different models: it leads to {md5}" for md5 in more
            ]
        found = self._holdings.run(use.run_id)
        tags = found[1].data.tags if found else {}
        self._ancestors.add_to(use, {**version.tags, **tags})
        if not use.datasets and not use.unknown:
            use.unknown.append("nothing says which dataset version it was trained on")
        use.contradictions = contradictions(
            self._holdings.evidence.history.times,
            (version.tags.get(BASE), tags.get(BASE), *self._holdings.bases(use)),
            started=use.started,
            registered=use.registered,
            committed=use.committed,
        )
        return use

    @staticmethod
    def stranger(version: ModelVersion, origin: Origin) -> Use:
        """A version without this project's mark, with what it was found to rest on."""
        use = use_of_version(version)
        use.datasets |= origin.datasets
        use.unknown += origin.unknown
        use.add_git(origin.model)
        return use
