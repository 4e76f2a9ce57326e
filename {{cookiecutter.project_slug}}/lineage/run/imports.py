"""Which of the project's own modules a stage imports. One that dvc.yaml does not list could change unseen."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from pathlib import Path

from ..base.errors import UndeclaredError
from ..dvc.dvcfile import Stage
from ..git.code import is_below

# How a stage is run and reported is no input of its result, only what decides the bytes of records. Settings are inputs
# by their values.
FRAMEWORK, RECORDS, SETTINGS = "lineage", "records", "settings.py"


def check_imports(root: Path, package: Path, stage: Stage) -> None:
    """Raises UndeclaredError if the stage's module imports, at any depth, a local file outside the stage's deps."""
    imported = imported_files(root, package, package / "stages" / f"{stage.module}.py")
    _refuse(_undeclared(root, stage, imported), root)


def check_loaded(root: Path, package: Path, stage: Stage, loaded: Iterable[Path], listeners: Iterable[str]) -> None:
    """Raises UndeclaredError if the work of a stage has loaded a local file outside the stage's deps.

    That finds what is imported by a name that is put together at run time. `listeners` are the classes of callbacks and
    backends (`package.module.Class`): what they import late is no input of the stage.
    """
    local = (file for file in loaded if file.is_relative_to(root) and not _is_no_input(root, package, file))
    undeclared = _undeclared(root, stage, filter(_has_code, local))
    if undeclared:
        of_listeners = {file for target in listeners for file in imports_of_class(root, target)}
        _refuse([file for file in undeclared if file not in of_listeners], root)


def imports_of_class(root: Path, target: str) -> set[Path]:
    """The files of the project that the module of a class (`package.module.Class`) imports, itself included."""
    files = _module_files(root, root.joinpath(*target.split(".")[:-1]))
    return {each for file in files for each in every_import(root, file)}


def _undeclared(root: Path, stage: Stage, files: Iterable[Path]) -> list[Path]:
    return [file for file in sorted(files) if not is_below(file.relative_to(root).as_posix(), stage.deps)]


def _refuse(undeclared: list[Path], root: Path) -> None:
    if undeclared:
        path = undeclared[0].relative_to(root).as_posix()
        raise UndeclaredError(f"it imports {path}, which dvc.yaml does not list among its deps: add it there.")


def imported_files(root: Path, package: Path, module: Path) -> set[Path]:
    """Files that `module` imports and that decide what it makes, directly or not, itself included."""
    return every_import(root, module, leave=lambda file: _is_no_input(root, package, file))


def every_import(root: Path, module: Path, leave: Callable[[Path], bool] = lambda _: False) -> set[Path]:
    """The files below `root` that `module` imports, at any depth, itself included; less what `leave` says.

    Imports inside of functions count.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file in found or leave(file):
            continue
        found.add(file)
        waiting.extend(_direct_imports(root, file))
    return found


def _is_no_input(root: Path, package: Path, file: Path) -> bool:
    is_framework = file.is_relative_to(root / FRAMEWORK) and not file.is_relative_to(root / FRAMEWORK / RECORDS)
    return is_framework or file == package / SETTINGS


def _direct_imports(root: Path, file: Path) -> list[Path]:
    files: list[Path] = []
    for node in ast.walk(ast.parse(file.read_bytes(), filename=str(file))):
        if isinstance(node, ast.ImportFrom):
            base = file.parents[node.level - 1] if node.level else root
            target = base.joinpath(*(node.module or "").split(".")) if node.module else base
            for path in [target, *(target / alias.name for alias in node.names)]:
                files.extend(_module_files(root, path))
        elif isinstance(node, ast.Import):
            for alias in node.names:
                files.extend(_module_files(root, root.joinpath(*alias.name.split("."))))
    return files


def _module_files(root: Path, path: Path) -> list[Path]:
    """The source of the module at `path` and the packages around it; nothing if it is not the project's own."""
    candidates = [path.with_name(path.name + ".py"), path / "__init__.py"]
    if not any(candidate.is_file() for candidate in candidates):
        return []
    while root not in (path, path.parent):
        path = path.parent
        candidates.append(path / "__init__.py")
    return [candidate for candidate in candidates if candidate.is_file() and _has_code(candidate)]


def _has_code(file: Path) -> bool:
    if file.name != "__init__.py":
        return True
    # one that holds a docstring only cannot change a result
    body = ast.parse(file.read_bytes(), filename=str(file)).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)
