"""Which of the project's own modules a stage imports. One that dvc.yaml does not list could change unseen."""

from __future__ import annotations

import ast
from pathlib import Path, PurePosixPath

from ..errors import UndeclaredError
from .dvcfile import Stage

# How a stage is run and reported is no input of its result (design: where a stage runs invalidates nothing).
FRAMEWORK = ("pipeline", "lineage", "compute", "settings", "errors.py", "env.py")


def check_imports(root: Path, package: Path, stage: Stage) -> None:
    """Raises UndeclaredError if the stage's module imports, at any depth, a local file outside the stage's deps."""
    declared = [PurePosixPath(dep) for dep in stage.deps]
    for file in sorted(imported_files(root, package, package / "stages" / f"{stage.module}.py")):
        path = PurePosixPath(file.relative_to(root).as_posix())
        if not any(path == dep or dep in path.parents for dep in declared):
            raise UndeclaredError(f"it imports {path}, which dvc.yaml does not list among its deps: add it there.")


def imported_files(root: Path, package: Path, module: Path) -> set[Path]:
    """Files of the project that `module` imports, directly or not, itself included. Imports in functions count."""
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        file = waiting.pop()
        if file in found or _is_framework(package, file):
            continue
        found.add(file)
        waiting.extend(_direct_imports(root, file))
    return found


def _is_framework(package: Path, file: Path) -> bool:
    return file.is_relative_to(package) and file.relative_to(package).parts[0] in FRAMEWORK


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
    # an __init__.py that holds a docstring only cannot change a result
    body = ast.parse(file.read_bytes(), filename=str(file)).body
    return any(not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)) for node in body)
