"""The roles that dvc.yaml has ever given, in any commit and in the folders here: what one drops is not hidden."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ..contract import Role
from ..dvc.dvcfile import made_by, reports_of


@dataclass
class Roles:
    """Paths and stages by role. A path that had a role once counts as such in every dvc.lock."""

    _paths: dict[Role, set[str]] = field(default_factory=dict)
    _stages: dict[Role, set[str]] = field(default_factory=dict)
    reports: set[str] = field(default_factory=set)  # metrics and plots

    @classmethod
    def of(cls, documents: Iterable[dict[str, Any]]) -> Roles:
        """Those of the contents of any number of dvc.yaml files."""
        found = cls()
        for document in documents:
            for made in made_by(document):
                found._paths.setdefault(made.role, set()).add(made.path)
                found._stages.setdefault(made.role, set()).add(made.stage)
            found.reports |= reports_of(document)
        return found

    def paths(self, role: Role) -> frozenset[str]:
        """Where what has the role lies, or has lain."""
        return frozenset(self._paths.get(role, ()))

    def makes(self, stage: str, role: Role) -> bool:
        """Whether a stage, by its name in dvc.lock, makes what has the role."""
        return stage.partition("@")[0] in self._stages.get(role, ())
