"""A stage's inputs and outputs, by the paths that dvc.yaml declares. Anything else is refused.

Outputs are written aside and renamed into place when all of them are whole, so that a kill leaves no half output that
could be taken for a result.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ..base.errors import ProjectError, UndeclaredError
from ..dvc.dvcfile import Stage


class Declared(Mapping[str, Path]):
    """Where a stage finds what dvc.yaml declares for it, by the path there."""

    key: ClassVar[str]  # of dvc.yaml

    def __init__(self, stage: Stage, places: dict[str, Path]) -> None:
        self._stage = stage
        self._places = places

    def __getitem__(self, path: str) -> Path:
        if path not in self._places:
            raise UndeclaredError(
                f"{path} is not among the {self.key} of stage {self._stage.name} in dvc.yaml: add it there."
            )
        return self._places[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Inputs(Declared):
    """The declared dependencies of a stage: `inputs["data/raw"]` is where to read it."""

    key = "deps"

    def __init__(self, root: Path, stage: Stage) -> None:
        super().__init__(stage, {dep: root / dep for dep in stage.deps})
        for dep, path in self.items():
            if not path.exists():
                raise ProjectError(f"{dep} is missing. `dvc repro` makes it, `dvc pull` brings it from the remote.")


class Outputs(Declared):
    """The declared outputs of a stage: `outputs["data/raw"]` is where to write it for now."""

    key = "outs"

    def __init__(self, root: Path, stage: Stage) -> None:
        self._final = {out: root / out for out in stage.outs}
        # beside the final place, so that the rename stays on one file system; .gitignore and .dvcignore know the names.
        # with its ending, by which libraries choose a format
        aside = {out: path.with_name(f".{path.stem}.partial{path.suffix}") for out, path in self._final.items()}
        super().__init__(stage, aside)

    def __enter__(self) -> Outputs:
        self._clear()  # leftovers of a killed execution
        for path in self.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def commit(self) -> None:
        """Renames every output into its place. Raises ProjectError, and renames none, if one was not written."""
        for out, path in self.items():
            if not path.exists():
                raise ProjectError(f"stage {self._stage.name} declares {out} in dvc.yaml but did not write it.")
        for out, path in self.items():
            _remove(self._final[out])
            path.replace(self._final[out])

    def withdraw(self) -> None:
        """Removes every output from its place."""
        for path in self._final.values():
            _remove(path)

    def _clear(self) -> None:
        for path in self.values():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
