"""The engine `spark`: a session of the Spark that requirements-spark.lock brings, on this machine or on a cluster.

What Spark is, is never taken from around it: variables of another Spark, of Python and of spark-submit are dropped. Its
workers load the project's code from an archive of the sources on disk, and refuse to work with other packages than the
driver has (lineage/records/workplace.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.env import PIPELINE_SPARK
from ..base.errors import ChangedError, DataError, ProjectError, SettingsError
from ..chain.packages import pins
from ..contract import ROOT, Role, package_name
from ..dvc.dvcfile import Pipeline, Stage
from ..run.sources import loaded_sources
from ..settings.compute import SPARK, Compute, Spark

if TYPE_CHECKING:
    import pyarrow as pa

    from ..records.shard_cache import ShardCache
    from ..records.sharding import Images, Written
    from ..records.workplace import Workplace

LOCK = "requirements-spark.lock"
JAVA = 17  # the oldest that Spark 4 runs on: https://spark.apache.org/docs/latest/#downloading
INSTALL = "`make setup-spark` installs it; compute.engine.{stage}=processes works without."
FOREIGN = ("SPARK_", "PYSPARK_", "PYTHON")  # variables that would bring another Spark, or other code, into it
KEPT = ("SPARK_LOCAL_IP",)  # how a machine with several networks is reached
OF_AWS = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
OF_YARN = ("HADOOP_CONF_DIR", "YARN_CONF_DIR")
NO_START = "Spark did not start. What Java wrote, above, says why; compute.spark names its cluster and settings."
# no code from the folder that a worker starts in, from the user's home or from compiled files
WORKERS = {"PYTHONSAFEPATH": "1", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
REASON = re.compile(r"^[\w.]*(?:Error|Exception): (?P<text>\S.*)$", re.MULTILINE)


def require_engine(compute: Compute, pipeline: Pipeline) -> None:
    """Raises SettingsError if `compute.engine` names a stage that divides no work."""
    stages = {stage.module: stage for stage in pipeline.stages.values()}
    for name, engine in compute.engine.items():
        makes_dataset = name in stages and any(pipeline.role(out) is Role.DATASET for out in stages[name].outs)
        if engine == SPARK and not makes_dataset:
            raise SettingsError(f"compute.engine: {name} makes no dataset version in dvc.yaml, so it has no engine.")


def uses_spark(compute: Compute, stage: Stage) -> bool:
    """Whether the engine of a stage is Spark."""
    return compute.engine.get(stage.module) == SPARK


class SparkEngine:
    """An engine of lineage/records/sharding.py, for one execution of a stage.

    Raises SettingsError at once where Spark cannot run; Java and the workers are started when there is work for them.
    """

    def __init__(self, settings: Spark, stage: Stage, scratch: Path) -> None:
        given = json.loads(os.environ.get(PIPELINE_SPARK) or "{}")
        self._master: str = given.get("master") or settings.master or "local[*]"
        self._shared: str | None = given["shared"] if given else settings.shared
        self._conf: dict[str, str] = {**given.get("conf", {}), **settings.conf}
        self._settings = settings
        self._scratch = scratch
        self.session: Any = None  # of Spark, once there is work for it
        self.driver: Workplace | None = None
        self._facts: dict[str, str] = {}
        self._engine: Any = None
        _require_packages(stage)
        self._java = _require_java(stage)
        if self._master == "yarn" and not {*OF_YARN} & os.environ.keys():
            raise SettingsError(f"compute.spark.master is yarn, and {OF_YARN[0]} does not say where its files are.")
        if not self._is_here and self._shared is None:
            raise SettingsError(
                f"compute.spark.shared must be set where the workers are on other machines (master is {self._master}): "
                "s3://bucket/prefix, or a folder that all of them have."
            )

    @property
    def _is_here(self) -> bool:
        return self._master == "local" or self._master.startswith("local[")

    @property
    def facts(self) -> dict[str, str]:
        """What Spark was, and what its workers worked with, under the names that the stage run gets as tags."""
        workers = sorted(self._engine.workers) if self._engine else []
        return {**self._facts, "spark_workers": ", ".join(workers)[:5000]} if self._facts else {}

    def __call__(
        self, folder: Path, ordered: pa.Table, images: Images, ends: list[int], cache: ShardCache
    ) -> Iterable[Written]:
        """Writes all shards into `folder`, by the workers."""
        with _in_a_sentence():
            if self.session is None:
                self._start()
            return list(self._engine(folder, ordered, images, ends, cache))

    def close(self) -> None:
        """Ends Spark, and removes what it kept."""
        if self.session is not None:
            with suppress(Exception):  # it may have ended by itself
                self.session.stop()
            self.session = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self) -> None:
        from ..records.spark_shards import OnSpark
        from ..records.workplace import here

        shutil.rmtree(self._scratch, ignore_errors=True)  # of an execution that was killed: it held images
        self._scratch.mkdir(parents=True)
        archive = self._scratch / "code.zip"
        code = pack_code(ROOT, archive)
        self.session = _session(self._master, self._settings.python or sys.executable, self._options())
        self.session.sparkContext.addPyFile(str(archive))
        self.driver = here(code)
        self._engine = OnSpark(self.session, self.driver, self._scratch, self._shared, self._settings.partitions)
        self._facts = {
            "spark_version": self.session.version,
            "spark_java": self._java,
            "spark_master": self._master,
            "spark_code_sha256": code,
            "spark_workplace_sha256": self.driver.sha256,
        }

    def _options(self) -> dict[str, str]:
        options = {
            "spark.app.name": "preprocess",
            "spark.ui.enabled": "false",
            "spark.ui.showConsoleProgress": "false",
            "spark.sql.warehouse.dir": str(self._scratch / "warehouse"),
        }
        if self._is_here:
            # images of people: beside the project, where they are removed again, and not in /tmp
            options |= {"spark.local.dir": str(self._scratch), "spark.driver.host": "127.0.0.1"}
            options |= {"spark.driver.bindAddress": "127.0.0.1"}
        variables = {**WORKERS, **{name: os.environ[name] for name in OF_AWS if os.environ.get(name)}}
        options |= {f"spark.executorEnv.{name}": value for name, value in variables.items()}
        return {**options, **self._conf}


def _session(master: str, python: str, options: dict[str, str]) -> Any:
    # of functions with pandas, none of which is used
    warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
    import pyspark
    from pyspark.sql import SparkSession

    for name in [name for name in os.environ if name.startswith(FOREIGN) and name not in KEPT]:
        del os.environ[name]
    os.environ |= {"SPARK_HOME": str(Path(pyspark.__file__).parent), "PYSPARK_PYTHON": python}
    builder = SparkSession.builder.master(master)
    for name, value in options.items():
        builder = builder.config(name, value)
    before = signal.getsignal(signal.SIGINT)
    try:
        session = builder.getOrCreate()
    finally:
        signal.signal(signal.SIGINT, before)  # Spark puts one of its own there
    session.sparkContext.setLogLevel("ERROR")
    return session


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """What Spark raises, as an error of this project: the reason that the worker gave, without Java's stack."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except ProjectError:
        raise
    except (PySparkException, Py4JError) as error:
        if "JAVA_GATEWAY_EXITED" in str(error):
            raise DataError(NO_START) from error
        found = [match["text"] for match in REASON.finditer(str(error)) if "org.apache.spark" not in match["text"]]
        lines = [line for line in str(error).splitlines() if line.strip()]
        why = found[0] if found else (lines or [type(error).__name__])[0]
        # a worker may name records
        raise DataError(f"Spark could not do it: {why[:1000]}") from error


def pack_code(root: Path, target: Path) -> str:
    """Writes the sources of the framework and of the package below `root` to a .zip, and returns its SHA-256.

    The same sources give the same bytes. Raises ChangedError if one is not as this process has loaded it.
    """
    loaded = {Path(path): md5 for path, md5 in (loaded_sources() or {}).items()}
    names = sorted(path for top in ("lineage", package_name()) for path in (root / top).rglob("*.py"))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in names:
            data, name = path.read_bytes(), path.relative_to(root).as_posix()
            if loaded.get(path) not in (None, hashlib.md5(data, usedforsecurity=False).hexdigest()):
                raise ChangedError(f"{name} was changed after this stage has loaded it. Run `dvc repro` again.")
            archive.writestr(zipfile.ZipInfo(name), data)  # without the time of the file
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _require_packages(stage: Stage) -> None:
    try:
        there = version("pyspark")
    except PackageNotFoundError:
        raise SettingsError(
            f"compute.engine.{stage.module} is spark, and pyspark is not installed here. "
            f"{INSTALL.format(stage=stage.module)}"
        ) from None
    lock = ROOT / LOCK
    wanted = pins(lock.read_text(encoding="utf-8")).get("pyspark") if lock.is_file() else None
    if wanted not in (None, there):
        raise SettingsError(f"pyspark is {there} here, {LOCK} says {wanted}. {INSTALL.format(stage=stage.module)}")


def _require_java(stage: Stage) -> str:
    """The version of Java. Raises SettingsError if there is none, or one that is too old."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else shutil.which("java")
    where = f"below JAVA_HOME ({home})" if home else "on the PATH"
    how = f"Install a JRE of {JAVA} or later (Debian: `apt install openjdk-17-jre-headless`), or set JAVA_HOME"
    otherwise = f"compute.engine.{stage.module}=processes works without."
    said = ""
    if java:
        with suppress(OSError):
            said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(?:1\.)?(\d+)[^"]*"', said)
    if found is None:
        raise SettingsError(f"Spark needs Java, and there is none {where}. {how}; {otherwise}")
    if int(found[1]) < JAVA:
        raise SettingsError(f"Spark needs Java {JAVA}, and the one {where} is {found[1]}. {how}; {otherwise}")
    return found[0].split('"')[1]
