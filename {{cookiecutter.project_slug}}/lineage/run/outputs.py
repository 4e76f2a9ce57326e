"""A stage's inputs and outputs, by the paths that dvc.yaml declares. Anything else is refused.

Outputs are written aside and renamed into place when all of them are whole, so that a kill leaves no half output that
could be taken for a result.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from ..base.errors import ProjectError, UndeclaredError
from ..dvc.dvcfile import Stage


class Inputs(Mapping[str, Path]):
    """The declared dependencies of a stage: `inputs["data/raw"]` is where to read it."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self._stage = stage
        self._paths = {dep: root / dep for dep in stage.deps}
        for dep, path in self._paths.items():
            if not path.exists():
                raise ProjectError(f"{dep} is missing. `dvc repro` makes it, `dvc pull` brings it from the remote.")

    def __getitem__(self, path: str) -> Path:
        if path not in self._paths:
            raise UndeclaredError(
                f"{path} is not among the deps of stage {self._stage.name} in dvc.yaml: add it there."
            )
        return self._paths[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


class Outputs(Mapping[str, Path]):
    """The declared outputs of a stage: `outputs["data/raw"]` is where to write it for now."""

    def __init__(self, root: Path, stage: Stage) -> None:
        self._stage = stage
        self._final = {out: root / out for out in stage.outs}
        # beside the final place, so that the rename stays on one file system; .gitignore and .dvcignore know the names.
        # with its ending, by which libraries choose a format
        self._aside = {out: path.with_name(f".{path.stem}.partial{path.suffix}") for out, path in self._final.items()}

    def __enter__(self) -> Outputs:
        self._clear()  # leftovers of a killed execution
        for path in self._aside.values():
            path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def __getitem__(self, path: str) -> Path:
        if path not in self._aside:
            raise UndeclaredError(
                f"{path} is not among the outs of stage {self._stage.name} in dvc.yaml: add it there."
            )
        return self._aside[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._aside)

    def __len__(self) -> int:
        return len(self._aside)

    def commit(self) -> None:
        """Renames every output into its place. Raises ProjectError, and renames none, if one was not written."""
        for out, path in self._aside.items():
            if not path.exists():
                raise ProjectError(f"stage {self._stage.name} declares {out} in dvc.yaml but did not write it.")
        for out, path in self._aside.items():
            _remove(self._final[out])
            path.replace(self._final[out])

    def withdraw(self) -> None:
        """Removes every output from its place."""
        for path in self._final.values():
            _remove(path)

    def _clear(self) -> None:
        for path in self._aside.values():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
