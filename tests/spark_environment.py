"""An environment with Spark: the packages of the tests, and those of the project's requirements-spark.lock on top."""

from __future__ import annotations

import shutil
from pathlib import Path

from environments import python_with

LOCK = Path(__file__).resolve().parents[1] / "{{cookiecutter.project_slug}}" / "requirements-spark.lock"
# Java compiles for hours of work, which is most of what a short run costs
QUICK = {"JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
NO_JAVA = (
    ""
    if shutil.which("java")
    else "Spark needs Java 17, which no lock can bring; `apt install openjdk-17-jre-headless`"
)


def with_spark() -> Path:
    """The folder of its executables: to build pyspark takes 25 s."""
    return python_with("spark", LOCK).parent
