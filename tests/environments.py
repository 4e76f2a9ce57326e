"""What only some tests need: packages in an environment of their own, which is made once.

It lies in the environment of the tests, or in the folder that TEST_ENVIRONMENTS names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock


def python_with(name: str, lock: Path, *, alone: bool = False) -> Path:
    """The Python that has the packages of a lock: `alone`, or on top of what the tests and a project have."""
    folder, wanted = Path(os.environ.get("TEST_ENVIRONMENTS") or sys.prefix) / name, lock.read_text(encoding="utf-8")
    python, done = folder / "bin" / "python", folder / "installed"
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists() or done.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            if not alone:
                (own,) = folder.glob("lib/python*/site-packages")
                # not by PYTHONPATH, which stages do not follow
                (own / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
            uv = shutil.which("uv")
            if uv:
                command = [uv, "pip", "install", "--quiet", "--python", str(python)]
            else:
                command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
            subprocess.run([*command, "--requirement", str(lock)], check=True)
            done.write_text(wanted, encoding="utf-8")
    return python
