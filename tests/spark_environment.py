"""An environment with Spark: the packages of the tests, and those of the project's requirements-spark.lock on top."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from filelock import FileLock

LOCK = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / "requirements-spark.lock"
# Java compiles for hours of work, which is most of what a short run costs
QUICK = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
NO_JAVA = (
    ""
    if shutil.which("java")
    else "Spark needs Java 17, which no lock can bring; `apt install openjdk-17-jre-headless`"
)


def with_spark() -> Path:
    """The folder of its executables, in the environment of the tests: to build pyspark takes 25 s."""
    folder, wanted = Path(sys.prefix) / "spark", LOCK.read_text(encoding="utf-8")
    python, done = folder / "bin" / "python", folder / "installed"
    with FileLock(folder.with_suffix(".lock")):
        if not done.exists() or done.read_text(encoding="utf-8") != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
            (own,) = folder.glob("lib/python*/site-packages")
            # not by PYTHONPATH, which stages do not follow
            (own / "tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
            uv = shutil.which("uv")
            if uv:
                command = [uv, "pip", "install", "--quiet", "--python", str(python)]
            else:
                command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps"]
            subprocess.run([*command, "--requirement", str(LOCK)], check=True)
            done.write_text(wanted, encoding="utf-8")
    return python.parent
