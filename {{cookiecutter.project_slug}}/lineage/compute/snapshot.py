"""The project as it is on disk, packed for a job: tracked files and the code of stages. No data, caches or secrets."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path, PurePosixPath

from ..base.errors import DispatchError
from ..base.printable import printable
from ..contract import package_name
from ..dvc.dvcfile import Pipeline
from ..dvc.hashes import Content, hash_path, hash_stream
from ..dvc.ignore import DVCIGNORE
from ..git.repository import git_environment
from .confidential import is_secret
from .examined import Examined

LIMIT = 200 * 2**20  # bytes: more than this is data that was committed by mistake
SHOWN = 5  # of the files that are refused


class Snapshot:
    """The files that a job gets, looked through before anything is begun, and packed afterwards.

    Raises DispatchError as `_contents` does.
    """

    def __init__(self, root: Path, pipeline: Pipeline) -> None:
        self._root = root
        self._code = _code(root, pipeline)
        self.names = _contents(root, pipeline, self._code)

    def pack(self, target: Path) -> None:
        """Writes the snapshot to `target`, a .tar.gz, and compares the code in it with what was looked through.

        Raises DispatchError if a dependency would be another one in the job.
        """
        with tarfile.open(target, "w:gz", dereference=True) as archive:
            for name in self.names:
                archive.add(self._root / name, name, recursive=False, filter=_without_owner)
        _require_same(target, self._code)


def _contents(root: Path, pipeline: Pipeline, code: dict[str, Content]) -> list[str]:
    """The files that a job gets: what Git tracks, submodules included, and the code of stages as DVC hashes it.

    Raises DispatchError if all is too large, and if a file really lies outside of the project, or looks like a secret:
    then it names the files.
    """
    kept_by_dvc = [PurePosixPath(out) for stage in pipeline.stages.values() for out in stage.outs]
    added = {f"{dep}.dvc" for stage in pipeline.stages.values() for dep in stage.deps}
    names: list[str] = []
    refused: dict[str, str] = {}
    examined = Examined(root / ".dvc" / "tmp" / "kept" / "without_secrets.json")
    for name in sorted({*_tracked(root), *_files(code), *added, DVCIGNORE}):
        real = _real(root, name)
        places = (PurePosixPath(name), real or PurePosixPath(name))
        below_output = any(out in (path, *path.parents) for path in places for out in kept_by_dvc)
        if below_output or not (root / name).is_file() or "__pycache__" in PurePosixPath(name).parts:
            continue
        names.append(name)
    _require_small(root, names)  # before they are read
    for name in names:
        if reason := _refusal(root, name, _real(root, name), examined):
            refused[name] = reason
    examined.save()
    if refused:
        more = f"; and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
        listed = "; ".join(f"{printable(name)} {reason}" for name, reason in list(refused.items())[:SHOWN])
        raise DispatchError(
            f"this must not leave the machine: {listed}{more}. Take it out of Git (`git rm --cached FILE`) and away "
            "from the code. A line that only looks like a secret may end in `# pragma: allowlist secret`."
        )
    return names


def _require_small(root: Path, names: list[str]) -> None:
    size = sum((root / name).stat().st_size for name in names)
    if size > LIMIT:
        raise DispatchError(
            f"the project's own files are {size / 2**20:.0f} MB. Data belongs into DVC (`dvc add`), not into Git."
        )


def require_inside(root: Path, name: str) -> None:
    """Raises DispatchError if a file of the project is a link that leads out of it."""
    if reason := _leads_out(root, name, _real(root, name)):
        raise DispatchError(f"{printable(name)} {reason}. Put the file itself there.")


def _refusal(root: Path, name: str, real: PurePosixPath | None, examined: Examined) -> str:
    """Why a file must not be sent; empty if it may."""
    if reason := _leads_out(root, name, real):
        return reason
    if is_secret(name) or (real is not None and is_secret(real.as_posix())):
        return "(a usual name of secrets)"
    found = examined.secret_in(root / name, name)
    return f"({found})" if found else ""


def _real(root: Path, name: str) -> PurePosixPath | None:
    """Where a file really lies, relative to the project; None if that is outside of it."""
    place, top = (root / name).resolve(), root.resolve()
    return PurePosixPath(place.relative_to(top).as_posix()) if place.is_relative_to(top) else None


def _leads_out(root: Path, name: str, real: PurePosixPath | None) -> str:
    return "" if real is not None else f"(really {(root / name).resolve()}, outside of the project)"


def _code(root: Path, pipeline: Pipeline) -> dict[str, Content]:
    """The dependencies that are no data, as they are on disk, whether Git tracks them or not: so dvc hashes them."""
    deps = {dep for stage in pipeline.stages.values() for dep in pipeline.sources(stage)}
    code = {}
    for dep in sorted(deps):
        if not (root / dep).exists() or (root / f"{dep}.dvc").exists():
            continue
        try:
            code[dep] = hash_path(root / dep)
        except UnicodeEncodeError:
            raise DispatchError(f"a file below {printable(dep)} has a name that is not UTF-8. Rename it.") from None
    return code


def _files(code: dict[str, Content]) -> dict[str, str]:
    """MD5 by path of every file of the code."""
    return {
        f"{dep}/{file.path}" if content.md5.endswith(".dir") else dep: file.md5
        for dep, content in code.items()
        for file in content.files
    }


def _tracked(root: Path) -> list[str]:
    """What Git tracks below `root`, and code of the project that it does not track yet: a backend or a callback."""
    new = _listed(root, "--others", "--exclude-standard", "--", package_name())
    return [*_listed(root, "--recurse-submodules", "--", "."), *(name for name in new if name.endswith(".py"))]


def _listed(root: Path, *arguments: str) -> list[str]:
    """Files that Git lists, with every character that a name may hold."""
    command = ["git", "-C", str(root), "ls-files", "-z", *arguments]
    try:
        done = subprocess.run(command, env=git_environment(), capture_output=True, check=False)
    except FileNotFoundError:
        raise DispatchError("Git is not installed, so nobody can say what belongs to the project.") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()[:1]
        raise DispatchError(f"Git cannot say what belongs to the project: {' '.join(said)}")
    return [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _require_same(target: Path, code: dict[str, Content]) -> None:
    wanted = _files(code)
    found: dict[str, str] = {}
    with tarfile.open(target) as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name in wanted else None
            if file is not None:
                found[member.name] = hash_stream(file, member.name).md5
    for name, md5 in sorted(wanted.items()):
        if found.get(name) != md5:
            what = "is missing in what was packed" if name not in found else "was changed while it was packed"
            raise DispatchError(f"{printable(name)} {what}, so the job would work with other code. Run this again.")
