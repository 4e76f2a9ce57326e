"""The standards' own validators, and what signs: each in an environment of its own.

They are made once, in the environment of the tests, or in the folder that TEST_ENVIRONMENTS names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock

HERE = Path(__file__).resolve().parents[1]
VALIDATORS = HERE / "requirements-validators.lock"
PROJECT = HERE / "{{cookiecutter.project_slug}}"
EVIDENCE, NOTEBOOK = PROJECT / "requirements-evidence.lock", PROJECT / "requirements-notebook.lock"


def with_validators() -> Path:
    """The Python that has the validators, and nothing else: one of them wants other packages than the project."""
    return _made("validators", VALIDATORS, alone=True)


def with_evidence() -> Path:
    """The Python that has what `make setup-evidence` installs on top of what the tests and a project have."""
    return _made("evidence", EVIDENCE, alone=False)


def with_notebooks() -> Path:
    """The Python that has what `make setup-notebook` installs, likewise."""
    return _made("notebook", NOTEBOOK, alone=False)


def _made(name: str, lock: Path, *, alone: bool) -> Path:
    folder, wanted = Path(os.environ.get("TEST_ENVIRONMENTS") or sys.prefix) / name, lock.read_text(encoding="utf-8")
    python, done = folder / "bin" / "python", folder / "installed"
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists() or done.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            if not alone:
                (own,) = folder.glob("lib/python*/site-packages")
                (own / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
            uv = shutil.which("uv")
            if uv:
                command = [uv, "pip", "install", "--quiet", "--python", str(python)]
            else:
                command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
            subprocess.run([*command, "--requirement", str(lock)], check=True)
            done.write_text(wanted, encoding="utf-8")
    return python
