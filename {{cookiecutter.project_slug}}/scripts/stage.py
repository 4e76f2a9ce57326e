"""Runs a stage from the sources of this project, whatever lies in `__pycache__` or in a variable such as PYTHONPATH.

    python -I scripts/stage.py PACKAGE.stages.train

`python -m PACKAGE.stages.train` would believe any compiled file whose header has the size and the time of its source,
and no hash covers that file. A script is never read from a compiled file, and with -I Python takes nothing from its
environment. Standard library only: what is installed is not the project's.
"""

import hashlib
import os
import sys
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
# the environment mostly lies in the project, as .venv: what is installed there is not the project's
ENVIRONMENTS = [place for place in {sys.prefix, str(Path(sys.prefix).resolve())} if Path(place).is_relative_to(ROOT)]


class FromSource(SourceFileLoader):
    """Compiles the source itself, each time: a hundred files take 0.1 s. Compiled files are not read, nor written."""

    loaded = {}  # MD5 by path of all that was run  # noqa: RUF012

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        source = self.get_data(path)
        self.loaded[path] = hashlib.md5(source, usedforsecurity=False).hexdigest()
        return self.source_to_code(source, path)


class Sources(MetaPathFinder):
    """Finds the modules of this project: their sources, and no compiled file or library that lies beside them."""

    def find_spec(self, name, path=None, target=None):
        folders = [ROOT] if path is None else [folder for folder in path if _is_inside(folder)]
        for folder in folders:
            spec = FileFinder(folder, (FromSource, SOURCE_SUFFIXES)).find_spec(name)
            if spec is not None and (spec.loader is not None or path is not None or not _is_installed(name)):
                return spec
        if path is not None and folders:
            raise ModuleNotFoundError(f"{name} has no source in {', '.join(folders)}", name=name)
        return None


def _is_inside(folder):
    """Whether a folder is the project's own."""
    path = Path(folder)
    return path.is_relative_to(ROOT) and not any(path.is_relative_to(place) for place in ENVIRONMENTS)


def _is_installed(name):
    """Whether a package of this name is installed: it comes before a folder of the project without __init__.py."""
    spec = PathFinder.find_spec(name)
    return isinstance(spec, ModuleSpec) and spec.loader is not None


# what Python has built in comes first, as ever; also in a process that this one starts to share its work
if not any(isinstance(finder, Sources) for finder in sys.meta_path):
    sys.meta_path.insert(sys.meta_path.index(PathFinder), Sources())

if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)  # -I takes PYTHONUNBUFFERED away, which containers set for their logs
    # threads of OpenMP that wait for each other sleep: those that spin take the processors from whoever works, so that
    # training takes many times as long where others work too. Weights stay the same. Before torch is imported
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with import_module("lineage.base.collector").importing():
        module = import_module(sys.argv[1])
        runner = import_module("lineage.pipeline.runner")
    runner.run(module.__file__, module.work)
