"""What a process works with: its Python, its packages, its code. Two that have the same make the same bytes."""

from __future__ import annotations

import hashlib
import json
import platform
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ..base.errors import ProjectError

LIBRARIES = ("numpy", "pillow", "pyarrow", "pydantic", "pyspark")  # their files are compared, by the RECORD of each
NOT_INSTALLED = "not installed"
INFO, ORIGIN = ".dist-info", "direct_url.json"
SHOWN = 3  # differences in one sentence


class WorkerError(ProjectError):
    """A worker on another machine does not work with what the driver works with."""


@dataclass(frozen=True)
class Workplace:
    """Of one process; `code` is the SHA-256 of the archive that the project's own code comes from."""

    python: str
    machine: str
    packages: dict[str, str]  # version by name, of all that is installed
    records: dict[str, str]  # SHA-256 of the RECORD of each of LIBRARIES, less what depends on the place
    code: str

    @property
    def sha256(self) -> str:
        """Of all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def require_same(self) -> None:
        """Raises WorkerError, in a worker, unless this process works with the same."""
        if wrong := _differences(self, here(_archive())):
            more = f", and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
            raise WorkerError(
                f"the worker on {platform.node()} is not as the driver: {'; '.join(wrong[:SHOWN])}{more}. Make its "
                "environment from the same locks, or name its Python in compute.spark.python."
            )


@cache
def here(code: str) -> Workplace:
    """That of this process."""
    return Workplace(
        python=f"{platform.python_implementation()} {sys.version}",
        machine=f"{platform.system()} {platform.machine()}",
        packages=_installed(),
        records={name: _record(name) for name in LIBRARIES},
        code=code,
    )


def _differences(driver: Workplace, worker: Workplace) -> list[str]:
    wrong = []
    if worker.code != driver.code:
        wrong.append("it has other code of the project")
    for name in ("python", "machine"):
        there, wanted = getattr(worker, name), getattr(driver, name)
        if there != wanted:
            wrong.append(f"its {name} is {there}, the driver's {wanted}")
    for name in sorted({*driver.packages, *worker.packages}):
        there, wanted = worker.packages.get(name, NOT_INSTALLED), driver.packages.get(name, NOT_INSTALLED)
        if there != wanted:
            wrong.append(f"its {name} is {there}, the driver's {wanted}")
    files = sorted(name for name in LIBRARIES if worker.records.get(name) != driver.records.get(name))
    return [*wrong, *(f"the files of its {name} are others" for name in files)]


@cache
def _archive() -> str:
    """The SHA-256 of the archive that this module was loaded from; empty if it comes from anywhere else."""
    archive = getattr(getattr(__spec__, "loader", None), "archive", None)
    return hashlib.sha256(Path(archive).read_bytes()).hexdigest() if archive else ""


def _installed() -> dict[str, str]:
    """Version by name of what can be imported, as the folders of packages say: quicker than to read 200 METADATA."""
    found: dict[str, str] = {}
    for place in sys.path:
        folder = Path(place)
        for entry in folder.glob(f"*{INFO}") if folder.is_dir() else ():
            if _is_editable(entry / ORIGIN):
                continue  # the project itself, mostly: its code comes from the archive
            name, _, version = entry.name.removesuffix(INFO).partition("-")
            found.setdefault(name.lower().replace("_", "-"), version)  # the first is the one that is imported
    return found


def _is_editable(origin: Path) -> bool:
    document = json.loads(origin.read_text(encoding="utf-8")) if origin.is_file() else {}
    return bool(document.get("dir_info", {}).get("editable"))


def _record(name: str) -> str:
    try:
        lines = (distribution(name).read_text("RECORD") or "").splitlines()
    except PackageNotFoundError:
        return NOT_INSTALLED
    of_package = sorted(
        line for line in lines if not line.startswith("..") and INFO not in line and "__pycache__" not in line
    )
    return hashlib.sha256("\n".join(of_package).encode()).hexdigest()
