"""Loads a registered model with the code that was registered with it, beside other versions in the same process.

This file is copied into each registered model as the `__init__` of a package whose name is a hash of that code. The
code lies below it, in `source/`, as it was in the project: the project's package and what it needs of the framework.
Imports of these two find the files there, whatever is installed or was loaded for another version. It needs nothing but
the standard library.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

SOURCE = "source"
SERVABLE = "servable"  # the file that names the module which MLflow would load without this one
PREFIX = f"{__name__}.{SOURCE}"
FOLDER = Path(__file__).parent


def _load_pyfunc(path: str) -> Any:
    """MLflow calls this with the folder that holds the weights."""
    servable = (FOLDER / SERVABLE).read_text(encoding="utf-8").strip()
    return import_module(f"{PREFIX}.{servable}")._load_pyfunc(path)


def _import(
    name: str,
    globals: Mapping[str, object] | None = None,  # noqa: A002  as `__import__` has it
    locals: Mapping[str, object] | None = None,  # noqa: A002
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> ModuleType:
    """What `import` does in the modules of `source/`: theirs before those of the same name elsewhere."""
    top = name.partition(".")[0]
    if level or not (FOLDER / SOURCE / top).is_dir():
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    module = import_module(f"{PREFIX}.{name}")
    for item in fromlist or ():
        if not hasattr(module, item):
            import_module(f"{PREFIX}.{name}.{item}")
    return module if fromlist else sys.modules[f"{PREFIX}.{top}"]


class _Loader(SourceFileLoader):
    """Gives a module the `import` above. Compiled files are not believed: they are not what was registered."""

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["__builtins__"] = {**vars(builtins), "__import__": _import}
        super().exec_module(module)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)


class _Finder(MetaPathFinder):
    """Finds the modules of `source/`."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not name.startswith(f"{PREFIX}."):
            return None
        found = PathFinder.find_spec(name, path, target)
        if found is not None and isinstance(found.loader, Loader) and found.origin:
            found.loader = _Loader(name, found.origin)
        return found


sys.meta_path.insert(0, _Finder())
