"""What a model rests on that started from another one: the data of that one too, and of the one before it."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .holdings import Holdings
from .trained import ANCESTORS, trained_on
from .use import Use

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


class Ancestors:
    """The models of this project, by the weights that others may have started from."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    def add_to(self, use: Use, tags: dict[str, str]) -> None:
        """Adds what the ancestors rest on that the tags name. Weights that are not known here leave it unknown."""
        if not any(tag in tags for tag in ANCESTORS):  # of thousands of runs
            return
        waiting, seen = [tags], set[str]()
        while waiting:
            named = waiting.pop()
            for sha256 in {named[tag] for tag in ANCESTORS if named.get(tag)} - seen:
                seen.add(sha256)
                held = self._holdings.git.by_weights.get(sha256, [])
                use.datasets |= {md5 for model in held for md5 in model.datasets}
                if sha256 not in self._versions and not held:
                    use.unknown.append(f"it started from weights whose data are unknown (SHA-256 {sha256[:12]}...)")
                for version in self._versions.get(sha256, []):
                    its = trained_on(self._holdings, version)
                    use.datasets |= its.datasets
                    use.unknown += [f"it started from {its.name}: {reason}" for reason in its.unknown]
                    found = self._holdings.run(its.run_id)
                    waiting.append({**version.tags, **(found[1].data.tags if found else {})})

    @cached_property
    def _versions(self) -> dict[str, list[ModelVersion]]:
        """The versions by the SHA-256 of their weights."""
        found: dict[str, list[ModelVersion]] = {}
        for store in self._holdings.stores.asked:
            for version in store.versions:
                found.setdefault(version.tags.get("model_sha256", ""), []).append(version)
        return found
