"""Whether the installed packages are still what was installed: each file against the RECORD of its package.

All bytes after an installation, and for `lineage doctor --environment`; the state of each file of code, and which there
are, before a stage. It finds what was edited, added or broken. Who can write here can write RECORD too: only the hashes
in the lock say what the wheels held.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import canonicalize_name

MODULES = (".py", ".pyc", ".so", ".pyd", ".dylib", ".dll")  # what Python runs, or loads to run it
PATHS = ".pth"  # run when Python starts, at the top only: further down it is the name of weights as well
OF_INSTALLERS = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_build.json", "uv_cache.json")
EDITABLE = "__editable__"
STRAY = "belongs to no package"
NOT_COMPARED = "the installed files were not compared with what their packages brought"
ELSEWHERE = f"{STRAY}: installed in editable form from elsewhere"
# _virtualenv.py as uv and virtualenv wrote it into the environments that they made; the environment works without it
OF_ENVIRONMENTS = {
    "ee52b2e2e720a40885a6b4b90c40e28e5c70e550af74d5efd169eaa5db2a6f6f",  # uv
    "e3e10c8a19a62a49928c139b8e6824eac92dcdda7639953bcd10921011cbbdff",
    "6cf30c56faf2a55228914dbbd17f8088ed371ebb08f5e7fa6fd931f913fcaf1d",
    "cfb3db86aaa53bb62b5ff764970bec2d71c9228590a0ebec57f6ec926cc0bf1a",
    "0aeb86546345c1d0fada097536e35525714d5cdbcc2d8eb3f9912a955044fcff",  # virtualenv 20.24, and uv at first
    "0f20351ea7e90039c46d3fabdef991f28b1e3ff33eb13ee6f0d5cd21ea0e8b14",  # 20.25.1
    "bec6155ff7bfc88f8e79e481f27fd7ee0a3b40eeca9bfeb41f4c4b997b2f8100",  # 20.35.4
    "02943e192823d75212f206e1f2991ac572119882683a95dfbb7a1b913d7b14b5",  # 20.38
    "e8c426ce260f866254ff35cefedc8b3efbd6d1446d99d7a4cdeb0095f98a8b8f",  # 21.1
    "460589e83387d4dfe5fd84d41c5f6979599f5cd080983d73c832549161c80435",  # 21.4
    "0278334cdcfab4c746b4416fbd5c2b6e7da937c81e132397d62c361d404ebe0e",  # 21.7
    "07584d2a5d13e0811eb567d78ed2aca0fb60e7defff59a01ca7a48d907bdea51",  # 21.15
}


class File(NamedTuple):
    """One line of a RECORD. `path` is relative to the folder of packages; `sha256` as RECORD writes it."""

    package: str
    path: str
    sha256: str
    source: Path | None  # the folder that the package leads to, if it is installed in editable form


@dataclass(frozen=True)
class Noted:
    """What the comparisons of this environment have found so far: the first line of the stamp."""

    sha256: str  # over the packages
    moment: str  # of the comparison of all bytes, ISO 8601
    wrong: list[str]  # by that comparison
    changed: list[str]  # since then, as the last stage found it

    @classmethod
    def read(cls, stamp: Path) -> Noted | None:
        """None where nobody has compared, or a version of this file that kept less did."""
        try:
            with stamp.open(encoding="utf-8") as file:
                return cls(**json.loads(file.readline()))
        except (FileNotFoundError, ValueError, TypeError):
            return None


@dataclass(frozen=True)
class Compared:
    """The answer: how many files of packages were read, a sentence for each that is wrong, and the hash over all."""

    looked_at: int
    wrong: list[str]
    sha256: str  # over the paths and hashes of the packages; the same lock gives the same one on each machine of a kind


def packages_folder() -> Path:
    """Where the packages of this Python are installed."""
    return Path(sysconfig.get_path("purelib"))


def stamp_file() -> Path:
    """Where the state of each file is kept since all bytes were right: at the top of the environment."""
    return Path(sys.prefix) / "compared.json"


def compare_all(site: Path, stamp: Path, locked: set[str], projects: Iterable[Path] = ()) -> Compared:
    """Reads every file of every package in `site`, and keeps in `stamp` what `changed_since` needs.

    The hash is over the packages whose names are in `locked` alone: tools differ from machine to machine.
    `projects` are the folders that an editable installation may lead to.
    """
    files, own = list(_recorded(site)), {project.resolve() for project in projects}
    allowed: dict[str, set[str]] = {}
    for file in files:  # some packages bring the same file, and the last one that was installed wins
        allowed.setdefault(file.path, set()).add(file.sha256)
    code = [path for path in allowed if _is_code(path)] + [name for name in _harmless(site, own) if name not in allowed]
    states = {path: _state(site, path) for path in code}  # before they are read: what is edited meanwhile is noticed
    found = {path: _digest(site, path) for path in {*allowed, *code}}
    elsewhere = {file.path for file in files if _leads_elsewhere(file, own)}
    wrong = [f"{path} {fault}" for path, hashes in allowed.items() if (fault := _fault(found[path], hashes))]
    wrong += [f"{path} {ELSEWHERE}" for path in sorted(elsewhere)]
    wrong += _foreign(site, set(states))
    lines = sorted(f"{file.path} {file.sha256}" for file in files if file.package in locked and _is_of_wheel(file.path))
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    kept = {path: [state, found[path]] for path, state in states.items()}
    _keep(stamp, Noted(digest, datetime.now(UTC).isoformat(timespec="seconds"), wrong, []), kept)
    return Compared(len(allowed), [*settings_fault(stamp), *wrong], digest)


def changed_since(site: Path, stamp: Path) -> tuple[str | None, list[str]]:
    """The hash over the packages, and what is wrong with their code: what was then, and what was changed since.

    The hash is None where nobody has compared all bytes, or something is wrong.
    """
    noted = Noted.read(stamp)
    if noted is None:
        return None, settings_fault(stamp)
    code: dict[str, list[Any]] = json.loads(stamp.read_text(encoding="utf-8").partition("\n")[2])
    edited, touched = _compare_states(site, code)
    changed = [f"{path} was changed since it was installed" for path in edited]
    changed += [line for line in _foreign(site, set(code)) if line not in noted.wrong]
    if touched or changed != noted.changed:
        with suppress(OSError):  # whoever may not write here reads them again the next time
            _keep(stamp, replace(noted, changed=changed), {**code, **touched})
    wrong = [*settings_fault(stamp), *noted.wrong, *changed]
    return (None if wrong else noted.sha256), wrong


def _compare_states(site: Path, code: dict[str, list[Any]]) -> tuple[list[str], dict[str, list[Any]]]:
    """Which files were changed, and the new states of those that were not, though they look as if.

    Each environment that uv makes links the same files again, which shows in them as an edit with its time put back
    does: what they hold decides.
    """
    changed, touched = [], {}
    for path, (state, digest) in code.items():
        now = _state(site, path)
        if now == state:
            continue
        if now and state and now[:2] == state[:2] and _digest(site, path) == digest:
            touched[path] = [now, digest]
        else:
            changed.append(path)
    return changed, touched


def _keep(stamp: Path, noted: Noted, code: dict[str, list[Any]]) -> None:
    partial = stamp.with_name(f"{stamp.name}.{os.getpid()}")  # stages may run side by side
    partial.write_text(f"{json.dumps(asdict(noted))}\n{json.dumps(code)}", encoding="utf-8")
    partial.replace(stamp)


def _recorded(site: Path) -> Iterator[File]:
    for dist in distributions(path=[str(site)]):
        name = canonicalize_name(dist.metadata["Name"] or "")
        source, text = _source(dist), dist.read_text("RECORD") or ""
        for path, digest, _ in csv.reader(text.splitlines()):
            if digest.startswith("sha256=") and not path.startswith(("/", "..")):
                yield File(name, path, digest.removeprefix("sha256="), source)


def _source(dist: Distribution) -> Path | None:
    origin = json.loads(dist.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return None
    return Path(url2pathname(urlsplit(origin["url"]).path)).resolve()


def _leads_elsewhere(file: File, own: Collection[Path]) -> bool:
    is_editable = file.source is not None or file.path.startswith(EDITABLE)
    return is_editable and file.source not in own and _is_code(file.path)


def _fault(found: str | None, allowed: set[str]) -> str | None:
    if found is None:
        return "is missing"
    return None if found in allowed else "is not what was installed"


def _digest(site: Path, path: str) -> str | None:
    """The hash of a file as RECORD writes it; None if it cannot be read."""
    try:
        with (site / path).open("rb") as content:
            found = hashlib.file_digest(content, "sha256").digest()
    except OSError:
        return None
    return base64.urlsafe_b64encode(found).decode().rstrip("=")


def _foreign(site: Path, known: set[str]) -> list[str]:
    """A sentence for each file or folder that runs when it is imported, or when Python starts, and is no package's."""
    folders, found, left = _folders_of(known), [], [""]
    while left:
        folder = left.pop()
        for entry in os.scandir(f"{site}/{folder}"):
            path = folder + entry.name
            if entry.is_dir():
                if path in folders:  # never without end, whatever the links in it: these are finitely many
                    left.append(f"{path}/")
                elif _holds_code(entry):
                    found.append(path)
            elif _is_code(path) and path not in known:
                found.append(path)
    return [f"{path} {ELSEWHERE if path.startswith(EDITABLE) else STRAY}" for path in sorted(found)]


def _folders_of(paths: set[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def _holds_code(folder: os.DirEntry[str]) -> bool:
    """Whether a folder without any package's code can be imported: without __init__.py too, and at any depth."""
    if folder.name == "__pycache__":
        return False
    left = [folder]
    while left:
        place = left.pop()
        if place.is_symlink():
            return True
        with suppress(OSError), os.scandir(place.path) as entries:
            for entry in entries:
                if _is_folder(entry):
                    left += [entry] if entry.name != "__pycache__" else []
                elif entry.name.endswith(MODULES):
                    return True
    return False


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _harmless(site: Path, own: Collection[Path]) -> Iterator[str]:
    """Files at the top that no package brought, and whose content shows that no other code runs through them."""
    for path in sorted(site.glob(f"*{PATHS}")):
        lines = list(filter(None, path.read_text(encoding="utf-8", errors="replace").splitlines()))
        of_environment = path.name == "_virtualenv.pth" and lines == ["import _virtualenv"]
        # an older editable installation: the way to this project's own sources, which Git and dvc.lock hold
        if of_environment or all(Path(line).is_absolute() and Path(line).resolve() in own for line in lines):
            yield path.name
    patch = site / "_virtualenv.py"
    if patch.is_file() and hashlib.sha256(patch.read_bytes()).hexdigest() in OF_ENVIRONMENTS:
        yield patch.name


def settings_fault(stamp: Path) -> list[str]:
    """What the environment's pyvenv.cfg, beside the stamp, lets in that nobody compares."""
    try:
        lines = stamp.with_name("pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:  # no virtual environment: an image, for example
        return []
    settings = {key.strip().lower(): value.strip().lower() for key, _, value in (line.partition("=") for line in lines)}
    if settings.get("include-system-site-packages") != "true":
        return []
    return ["pyvenv.cfg lets in packages from outside of the environment (include-system-site-packages = true)"]


def _is_code(path: str) -> bool:
    if path.endswith(MODULES):
        return "__pycache__/" not in path  # Python itself writes there
    return path.endswith(PATHS) and "/" not in path


def _is_of_wheel(path: str) -> bool:
    return not (".dist-info/" in path and path.endswith(OF_INSTALLERS))


def _state(site: Path, path: str) -> list[int] | None:
    """Size and time first; then what an edit that puts back the time changes as well."""
    try:
        stat = os.stat(f"{site}/{path}")  # noqa: PTH116 - 20,000 files before each stage
    except OSError:
        return None
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
