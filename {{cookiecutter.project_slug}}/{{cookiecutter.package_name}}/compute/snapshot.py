"""The project as it is on disk, packed for a job: tracked files and the code of stages. No data, caches or secrets."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from ..errors import DispatchError
from ..lineage.git import Repository
from ..pipeline.dvcfile import Pipeline, Stage

SECRET = (
    ".env",
    ".env.*",
    "*.pem",
    "*.key",
    "*.p12",
    ".netrc",
    ".pypirc",
    "credentials",
    "credentials.json",
    "credentials.csv",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.kdbx",
)
LIMIT = 200 * 2**20  # bytes: more than this is data that was committed by mistake


def pack(root: Path, pipeline: Pipeline, target: Path) -> None:
    """Writes the snapshot to `target`, a .tar.gz.

    Raises DispatchError if a file that the stage depends on would be left out as a secret, or all is too large.
    """
    names = sorted(set(_names(root, pipeline)))
    size = sum((root / name).stat().st_size for name in names)
    if size > LIMIT:
        raise DispatchError(
            f"the project's own files are {size / 2**20:.0f} MB. Data belongs into DVC (`dvc add`), not into Git."
        )
    with tarfile.open(target, "w:gz", dereference=True) as archive:
        for name in names:
            archive.add(root / name, name, recursive=False)


def _code(root: Path, stage: Stage) -> set[str]:
    return {dep for dep in stage.deps if not (root / f"{dep}.dvc").exists()}


def _names(root: Path, pipeline: Pipeline) -> Iterator[str]:
    git = Repository(root)
    kept_by_dvc = [PurePosixPath(out) for stage in pipeline.stages.values() for out in stage.outs]
    # a dependency counts as it is on disk, whether Git tracks it or not: so dvc hashes it
    code = {dep for stage in pipeline.stages.values() for dep in _code(root, stage)}
    added = {f"{dep}.dvc" for stage in pipeline.stages.values() for dep in stage.deps}
    for name in {*git.must("ls-files", "--", "."), *git.untracked_files(tuple(sorted(code))), *added}:
        path = PurePosixPath(name)
        below_output = any(out == path or out in path.parents for out in kept_by_dvc)
        if below_output or not (root / name).is_file() or "__pycache__" in path.parts:
            continue
        if is_secret(name):
            if any(PurePosixPath(dep) == path or PurePosixPath(dep) in path.parents for dep in code):
                raise DispatchError(
                    f"{name} looks like a secret and lies among the code that stages depend on. Move it elsewhere."
                )
            continue
        yield name


def is_secret(name: str) -> bool:
    """Whether a file's name says that it holds secrets: these never leave the machine."""
    path = PurePosixPath(name)
    return name == ".dvc/config.local" or any(fnmatch(path.name, pattern) for pattern in SECRET)
