"""Inside of a SageMaker job, after launch.py: the secret to the environment, the stage, and its report to S3."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from ...base.collector import collect_rarely
from ...base.env import PIPELINE_EXECUTION, PIPELINE_IMAGE_PACKAGES, PIPELINE_JOB_SPEC, PIPELINE_SPARK
from ...base.errors import DispatchError
from ...base.hosts import Hosts
from ...chain.facts import EXECUTION
from ...chain.packages import LOCK, differences, locked
from ...run.interrupts import raise_on_signals
from ..inside import join_stage, run_stage
from ..spark import LOCK as SPARK_LOCK
from .aws import Aws
from .launch import fail
from .pipelines import inside
from .spec import SageMakerSpec

INSTANCES = Path("/opt/ml/input/config/resourceconfig.json")  # of Training jobs; others have one instance
PORTS = range(20_000, 30_000)  # below those that systems give away


def main() -> None:
    """Exits non-zero, and leaves the reason where SageMaker looks for it, if anything is not as it must be."""
    collect_rarely()
    raise_on_signals()  # the service sends SIGTERM before it ends a job or takes an instance away
    try:
        path = os.environ.get(PIPELINE_JOB_SPEC)
        if not path:
            raise DispatchError("this is no job: launch.py starts it inside of one.")
        run(Path.cwd(), SageMakerSpec.read(Path(path)))
    except KeyboardInterrupt as error:
        fail(f"interrupted: {error}")
    except Exception as error:
        fail(str(error) or type(error).__name__)


def run(root: Path, spec: SageMakerSpec) -> None:
    """The whole job. Raises DispatchError with the phase that failed and why."""
    aws = Aws()
    if spec.secret:
        os.environ.update(aws.secret(spec.secret))
    for lock in [LOCK, SPARK_LOCK] if spec.spark else [LOCK]:
        if spec.install == "image" and (wrong := differences(root / lock)):
            raise DispatchError(f"this image is not as {lock} says: {wrong[0]}. Build it again from the Dockerfile.")
    if spec.pipeline:
        spec = inside.complete(root, spec, aws)
    if spec.spark:
        os.environ[PIPELINE_SPARK] = json.dumps({**spec.spark, "conf": _share_of_instances(spec.spark["instances"])})
    if not hosts().is_first:
        join_stage(root, spec)
        print(f"stage {spec.stage} is done here; the first instance has its outputs.", flush=True)
        return
    report = run_stage(root, spec)
    if spec.pipeline:
        report |= inside.about(spec)
        inside.hand_over_scores(root, spec)
    aws.write(spec.report, json.dumps(report, indent=2).encode())
    print(f"stage {spec.stage} is done; its outputs are in {spec.remote['url']}.", flush=True)


def _share_of_instances(instances: int) -> dict[str, str]:
    """Spark's settings for a cluster of instances that are all like this one; YARN would take one core of two."""
    if instances == 1:
        return {}
    import psutil

    # a third for Java and a third for Python: the rest is that of the driver, of YARN and of the system
    third = f"{psutil.virtual_memory().total // 2**20 // 3}m"
    return {
        "spark.executor.instances": str(instances),
        "spark.executor.cores": str(os.cpu_count() or 1),
        "spark.executor.memory": third,
        "spark.executor.memoryOverhead": third,
    }


def describe(root: Path) -> dict[str, Any]:
    """Name and ARN of the job that this process is part of, as its run has them as tags; empty outside of jobs.

    `image_packages` are those of torch that the image brought in other versions than the lock in `root` asks for.
    """
    config = Path("/opt/ml/config/processingjobconfig.json")
    if config.exists():
        described = json.loads(config.read_text(encoding="utf-8"))
        name, arn = described["ProcessingJobName"], described["ProcessingJobArn"]
    elif name := os.environ.get("TRAINING_JOB_NAME"):
        arn = os.environ.get("TRAINING_JOB_ARN", "unknown")
    else:
        return {}
    job = {"sagemaker_job_name": name, "sagemaker_job_arn": arn}
    if execution := os.environ.get(PIPELINE_EXECUTION):
        job[EXECUTION] = execution
    asked = locked(root / LOCK)
    brought: dict[str, str] = json.loads(os.environ.get(PIPELINE_IMAGE_PACKAGES) or "{}")
    # a lock without a local part (+cpu, +cu130) admits any
    kept = {name: version for name, version in brought.items() if version.partition("+")[0] != asked.get(name)}
    return {**job, "image_packages": kept} if kept else job


def hosts() -> Hosts:
    """The instances of the job that this process is part of. They meet at the first of them.

    https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
    """
    if not INSTANCES.exists():
        return Hosts()
    config = json.loads(INSTANCES.read_text(encoding="utf-8"))
    names = sorted(config["hosts"])
    # the same on all instances; and another for another job, where two of them share a network
    port = PORTS[zlib.crc32(os.environ.get("TRAINING_JOB_NAME", "").encode()) % len(PORTS)]
    number = names.index(config["current_host"])
    return Hosts(len(names), number, names[0], port, config.get("network_interface_name"))


if __name__ == "__main__":
    main()
