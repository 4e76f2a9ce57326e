"""SageMaker jobs: what was asked for, run in a container, with the states and the logs that the API shows meanwhile."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3

from .container import Container

ENDED = ("Completed", "Failed", "Stopped")
FLUSH = 0.2  # seconds between two deliveries of log lines


@dataclass
class Place:
    """Where jobs run: what a container of this machine gets to see."""

    state: Path
    images: dict[str, Path]  # folder of executables by image
    endpoint: str
    region: str
    grace: float  # seconds that a job has to stop
    environment: dict[str, str] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "standin", "aws_secret_access_key": "standin"}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=self.region, **keys)


class Job(ABC):
    """One job, from its request to its last state."""

    log_group: str
    name_key: str

    def __init__(self, place: Place, request: dict[str, Any], arn: str) -> None:
        self.place = place
        self.request = request
        self.arn = arn
        self.name = str(request[self.name_key])
        self.status = "InProgress"
        self.failure = ""
        self.started: float | None = None
        self.ended: float | None = None
        self.container = Container(place.state / self.name / "ml", place.grace)
        self._stopping = ""
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, reason: str = "stopped") -> None:
        """Returns at once, as the service does."""
        if self.status in ENDED:
            return
        self._stopping, self.status = reason, "Stopping"
        threading.Thread(target=self.container.stop, daemon=True).start()

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What DescribeJob says now, beyond the request."""

    @abstractmethod
    def command(self) -> list[str]:
        """Entry point and arguments."""

    @abstractmethod
    def fill(self) -> None:
        """Brings inputs and configuration into the container."""

    @abstractmethod
    def empty(self) -> None:
        """Takes the outputs out of the container."""

    @abstractmethod
    def last_words(self) -> str:
        """What the job wrote down about its failure."""

    @property
    @abstractmethod
    def image(self) -> str: ...

    @property
    @abstractmethod
    def names(self) -> dict[str, str]:
        """What the environment says of the job."""

    def _work(self) -> None:
        try:
            self._run()
        except Exception as error:
            self.failure = f"InternalServerError: {error}"
            self.status = "Failed"
        self.ended = time.time()

    def _run(self) -> None:
        if self.image not in self.place.images:
            self.failure, self.status = f"ClientError: Cannot pull the image {self.image}.", "Failed"
            return
        self.container.root.mkdir(parents=True)
        self.fill()
        self.started = time.time()
        executables = f"{self.place.images[self.image]}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        home = self.place.state / self.name / "home"
        home.mkdir()
        environment = {
            "PATH": executables,
            "HOME": str(home),
            "TMPDIR": str(home),
            "LANG": "C.UTF-8",
            "AWS_REGION": self.place.region,
            "AWS_DEFAULT_REGION": self.place.region,
            "AWS_ENDPOINT_URL": self.place.endpoint,
            "AWS_ACCESS_KEY_ID": "ROLEOFJOB",
            "AWS_SECRET_ACCESS_KEY": "of-the-job",
            **self.place.environment,
            **self.names,
            **(self.request.get("Environment") or {}),
        }
        limit = (self.request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        timer = threading.Timer(limit, self.stop, ["exceeded its time"]) if limit else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        with Log(self.place, self.log_group, f"{self.name}/algo-1-{int(self.started)}") as log:
            if not self._stopping:
                for line in self.container.run(self.command(), environment):
                    log.write(line)
        if timer is not None:
            timer.cancel()
        self.empty()
        if self._stopping:
            self.status = "Stopped"
        elif self.container.code != 0:
            self.failure = self.last_words() or f"ExitCode {self.container.code}"
            self.status = "Failed"
        else:
            self.status = "Completed"

    def download(self, uri: str, target: Path) -> None:
        """Every object below an S3 prefix, or the one object of that name."""
        client, parts = self.place.client("s3"), urlsplit(uri)
        prefix = parts.path.lstrip("/")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=parts.netloc, Prefix=prefix)
        for item in (item for page in pages for item in page.get("Contents", [])):
            relative = item["Key"].removeprefix(prefix).lstrip("/") or Path(prefix).name
            path = target / relative
            path.parent.mkdir(parents=True, exist_ok=True)
            client.download_file(parts.netloc, item["Key"], str(path))

    def upload(self, path: Path, uri: str) -> None:
        """A file to S3."""
        parts = urlsplit(uri)
        self.place.client("s3").upload_file(str(path), parts.netloc, parts.path.lstrip("/"))

    def seconds(self) -> int:
        """What is billed."""
        return int((self.ended or time.time()) - (self.started or time.time())) + 1


def hosts(cluster: dict[str, Any]) -> dict[str, Any]:
    """resourceconfig.json of a job on one instance."""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": cluster["InstanceType"], "hosts": ["algo-1"]}
    return {
        "current_host": "algo-1",
        "current_instance_type": cluster["InstanceType"],
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [group],
        "network_interface_name": "eth0",
    }


class TrainingJob(Job):
    """CreateTrainingJob."""

    log_group = "/aws/sagemaker/TrainingJobs"
    name_key = "TrainingJobName"

    @property
    def image(self) -> str:
        return str(self.request["AlgorithmSpecification"]["TrainingImage"])

    @property
    def names(self) -> dict[str, str]:
        return {"TRAINING_JOB_NAME": self.name, "TRAINING_JOB_ARN": self.arn}

    def command(self) -> list[str]:
        specification = self.request["AlgorithmSpecification"]
        return [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])]

    def fill(self) -> None:
        config: dict[str, Any] = {}
        for channel in self.request.get("InputDataConfig") or []:
            name = channel["ChannelName"]
            config[name] = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            self.download(
                channel["DataSource"]["S3DataSource"]["S3Uri"], self.container.path(f"/opt/ml/input/data/{name}")
            )
        self.container.write("/opt/ml/input/config/inputdataconfig.json", config)
        self.container.write("/opt/ml/input/config/hyperparameters.json", self.request.get("HyperParameters") or {})
        self.container.write("/opt/ml/input/config/resourceconfig.json", hosts(self.request["ResourceConfig"]))
        for folder in ("/opt/ml/model", "/opt/ml/output/data"):
            self.container.path(folder).mkdir(parents=True)
        checkpoints = self.request.get("CheckpointConfig") or {}
        if checkpoints.get("S3Uri"):
            self.download(
                checkpoints["S3Uri"], self.container.path(checkpoints.get("LocalPath") or "/opt/ml/checkpoints")
            )

    def empty(self) -> None:
        output = f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        for folder, name in (("/opt/ml/model", "model.tar.gz"), ("/opt/ml/output/data", "output.tar.gz")):
            archive = self.place.state / self.name / name
            if self.container.pack(folder, archive):
                self.upload(archive, f"{output}/{name}")
        checkpoints = self.request.get("CheckpointConfig") or {}
        if checkpoints.get("S3Uri"):
            folder = self.container.path(checkpoints.get("LocalPath") or "/opt/ml/checkpoints")
            for path in (path for path in folder.rglob("*") if path.is_file()):
                self.upload(path, f"{checkpoints['S3Uri'].rstrip('/')}/{path.relative_to(folder).as_posix()}")

    def last_words(self) -> str:
        words = self.container.message("/opt/ml/output/failure")
        return f"AlgorithmError: {words}, exit code: {self.container.code}" if words else ""

    def describe(self) -> dict[str, Any]:
        secondary = {"InProgress": "Training" if self.started else "Starting"}.get(self.status, self.status)
        state: dict[str, Any] = {"TrainingJobStatus": self.status, "SecondaryStatus": secondary}
        if self.started:
            state["TrainingStartTime"] = self.started
        if self.ended:
            state |= {"TrainingEndTime": self.ended, "BillableTimeInSeconds": self.seconds()}
            state["TrainingTimeInSeconds"] = self.seconds()
        return state | ({"FailureReason": self.failure} if self.failure else {})


class ProcessingJob(Job):
    """CreateProcessingJob."""

    log_group = "/aws/sagemaker/ProcessingJobs"
    name_key = "ProcessingJobName"

    @property
    def image(self) -> str:
        return str(self.request["AppSpecification"]["ImageUri"])

    @property
    def names(self) -> dict[str, str]:
        return {"PROCESSING_JOB_NAME": self.name, "PROCESSING_JOB_ARN": self.arn}

    def command(self) -> list[str]:
        specification = self.request["AppSpecification"]
        return [*specification["ContainerEntrypoint"], *specification.get("ContainerArguments", [])]

    def fill(self) -> None:
        for given in self.request.get("ProcessingInputs") or []:
            source = given["S3Input"]
            self.download(source["S3Uri"], self.container.path(source["LocalPath"]))
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        self.container.write("/opt/ml/config/processingjobconfig.json", {"ProcessingJobArn": self.arn, **self.request})
        self.container.write("/opt/ml/config/resourceconfig.json", hosts(cluster))
        self.container.path("/opt/ml/output").mkdir(parents=True)
        for wanted in self._outputs():
            self.container.path(wanted["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def empty(self) -> None:
        for wanted in self._outputs():
            folder = self.container.path(wanted["LocalPath"])
            for path in (path for path in folder.rglob("*") if path.is_file()):
                self.upload(path, f"{wanted['S3Uri'].rstrip('/')}/{path.relative_to(folder).as_posix()}")

    def _outputs(self) -> list[dict[str, Any]]:
        outputs = (self.request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        return [output["S3Output"] for output in outputs]

    def last_words(self) -> str:
        words = self.container.message("/opt/ml/output/message")
        return f"AlgorithmError: See job logs for more information: {words}" if words else ""

    def describe(self) -> dict[str, Any]:
        state: dict[str, Any] = {"ProcessingJobStatus": self.status}
        if self.started:
            state["ProcessingStartTime"] = self.started
        if self.ended:
            state["ProcessingEndTime"] = self.ended
        words = self.container.message("/opt/ml/output/message") if self.ended else ""
        state |= {"ExitMessage": words} if words else {}
        return state | ({"FailureReason": self.failure} if self.failure else {})


class Log:
    """Delivers lines to CloudWatch Logs while they come."""

    def __init__(self, place: Place, group: str, stream: str) -> None:
        self._client = place.client("logs")
        self._group, self._stream = group, stream
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)

    def __enter__(self) -> Log:
        existing = self._client.describe_log_groups(logGroupNamePrefix=self._group)["logGroups"]
        if not any(group["logGroupName"] == self._group for group in existing):
            with contextlib.suppress(self._client.exceptions.ResourceAlreadyExistsException):  # another was as quick
                self._client.create_log_group(logGroupName=self._group)
        self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        self._thread.start()
        return self

    def write(self, line: str) -> None:
        self._lines.put(line.rstrip("\n"))

    def __exit__(self, *_: object) -> None:
        self._lines.put(None)
        self._thread.join()

    def _deliver(self) -> None:
        ended = False
        while not ended:
            events = []
            line = self._lines.get()
            until = time.monotonic() + FLUSH
            while line is not None:
                # the service refuses empty messages
                events.append({"timestamp": int(time.time() * 1000), "message": line or " "})
                try:
                    line = self._lines.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
            else:
                ended = True
            if events:
                self._client.put_log_events(logGroupName=self._group, logStreamName=self._stream, logEvents=events)
