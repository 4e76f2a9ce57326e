"""SageMaker jobs: what was asked for, run in a container, with the states and the logs that the API shows meanwhile."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .container import Container
from .log import Log
from .place import Place
from .roots import variables
from .sessions import Session

ENDED = ("Completed", "Failed", "Stopped")


class Job(ABC):
    """One job, from its request to its last state."""

    kind: str  # "Training" or "Processing"
    specification: str  # where the request says what to run
    image_key: str

    def __init__(self, place: Place, request: dict[str, Any], arn: str) -> None:
        self.place = place
        self.request = request
        self.arn = arn
        self.name = str(request[f"{self.kind}JobName"])
        self.status = "InProgress"
        self.failure = ""
        self.started: float | None = None
        self.ended: float | None = None
        names = instance_names(self.cluster)
        self.containers = {name: Container(place.state / self.name / name / "ml", place.grace, names) for name in names}
        self.failed = ""  # the first instance that failed
        self._stopping = ""
        self.session: Session | None = None  # in its role, once it has begun
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, reason: str = "stopped") -> None:
        """Returns at once, as the service does."""
        if self.status in ENDED:
            return
        self._stopping, self.status = reason, "Stopping"
        self.end()

    def end(self) -> None:
        """Ends the containers. Returns at once."""
        for container in self.containers.values():
            threading.Thread(target=container.stop, daemon=True).start()

    @property
    @abstractmethod
    def cluster(self) -> dict[str, Any]:
        """The instances that were asked for."""

    @property
    def container(self) -> Container:
        """Of the first instance, which has the outputs."""
        return next(iter(self.containers.values()))

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What DescribeJob says now, beyond the request."""

    @abstractmethod
    def fill(self, name: str, container: Container) -> None:
        """Brings inputs and configuration into the container of an instance."""

    @abstractmethod
    def empty(self) -> None:
        """Takes the outputs out of the container."""

    @abstractmethod
    def last_words(self, container: Container) -> str:
        """What the job wrote down about its failure."""

    @property
    def image(self) -> str:
        return str(self.request[self.specification][self.image_key])

    @property
    def names(self) -> dict[str, str]:
        """What the environment says of the job."""
        return {f"{self.kind.upper()}_JOB_NAME": self.name, f"{self.kind.upper()}_JOB_ARN": self.arn}

    def command(self) -> list[str]:
        """Entry point and arguments."""
        wanted = self.request[self.specification]
        return [*wanted["ContainerEntrypoint"], *wanted.get("ContainerArguments", [])]

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
        self.session = Session(self.place, self.request["RoleArn"])
        self.session.pull(self.image)
        for name, container in self.containers.items():
            container.root.mkdir(parents=True)
            self.fill(name, container)
        self.started = time.time()
        limit = (self.request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds")
        timer = threading.Timer(limit, self.stop, ["exceeded its time"]) if limit else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        with ThreadPoolExecutor(len(self.containers)) as pool:
            list(pool.map(self._run_instance, self.containers))
        if timer is not None:
            timer.cancel()
        self.empty()
        if self._stopping:
            self.status = "Stopped"
        elif self.failed:
            container = self.containers[self.failed]
            self.failure = self.last_words(container) or f"ExitCode {container.code}"
            self.status = "Failed"
        else:
            self.status = "Completed"

    def _run_instance(self, name: str) -> None:
        """One instance to its end. Where it fails, the service ends the others."""
        container = self.containers[name]
        group, stream = f"/aws/sagemaker/{self.kind}Jobs", f"{self.name}/{name}-{int(self.started or 0)}"
        with Log(self.client("logs"), group, stream) as log:
            if self._stopping or self.failed:
                return
            for line in container.run(self.place.images[self.image], self.command(), self._environment(name)):
                log.write(line)
        if container.code != 0 and not self.failed:
            self.failed = name
            self.end()

    def _environment(self, name: str) -> dict[str, str]:
        assert self.session is not None
        return {
            **variables(self.place.images[self.image], self.containers[name].root),
            "AWS_REGION": self.place.region,
            "AWS_DEFAULT_REGION": self.place.region,
            "AWS_ENDPOINT_URL": self.place.endpoint,
            **self.session.credentials,
            **self.place.environment,
            **self.names,
            **(self.request.get("Environment") or {}),
        }

    def client(self, service: str) -> Any:
        """A client with the role of the job, as the service itself has for its inputs, outputs and logs."""
        assert self.session is not None
        return self.session.client(service)

    def download(self, uri: str, target: Path) -> None:
        """Every object below an S3 prefix, or the one object of that name."""
        client, parts = self.client("s3"), urlsplit(uri)
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
        self.client("s3").upload_file(str(path), parts.netloc, parts.path.lstrip("/"))

    def seconds(self) -> int:
        """What is billed."""
        return int((self.ended or time.time()) - (self.started or time.time())) + 1


def instance_names(cluster: dict[str, Any]) -> list[str]:
    """What the service calls the instances of a job."""
    return [f"algo-{number + 1}" for number in range(cluster["InstanceCount"])]


def instances(cluster: dict[str, Any], current: str) -> dict[str, Any]:
    """resourceconfig.json of one instance of a job. All share the network of this machine."""
    names = instance_names(cluster)
    group = {"instance_group_name": "homogeneousCluster", "instance_type": cluster["InstanceType"], "hosts": names}
    return {
        "current_host": current,
        "current_instance_type": cluster["InstanceType"],
        "current_group_name": "homogeneousCluster",
        "hosts": names,
        "instance_groups": [group],
        "network_interface_name": "lo",
    }


class TrainingJob(Job):
    """CreateTrainingJob."""

    kind = "Training"
    specification = "AlgorithmSpecification"
    image_key = "TrainingImage"

    @property
    def cluster(self) -> dict[str, Any]:
        return dict(self.request["ResourceConfig"])

    def fill(self, name: str, container: Container) -> None:
        config: dict[str, Any] = {}
        for channel in self.request.get("InputDataConfig") or []:
            data = channel["ChannelName"]
            config[data] = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}
            self.download(channel["DataSource"]["S3DataSource"]["S3Uri"], container.path(f"/opt/ml/input/data/{data}"))
        container.write("/opt/ml/input/config/inputdataconfig.json", config)
        container.write("/opt/ml/input/config/hyperparameters.json", self.request.get("HyperParameters") or {})
        container.write("/opt/ml/input/config/resourceconfig.json", instances(self.cluster, name))
        for folder in ("/opt/ml/model", "/opt/ml/output/data"):
            container.path(folder).mkdir(parents=True)

    def empty(self) -> None:
        output = f"{self.request['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{self.name}/output"
        for folder, name in (("/opt/ml/model", "model.tar.gz"), ("/opt/ml/output/data", "output.tar.gz")):
            archive = self.place.state / self.name / name
            if self.container.pack(folder, archive):
                self.upload(archive, f"{output}/{name}")

    def last_words(self, container: Container) -> str:
        words = container.message("/opt/ml/output/failure")
        return f"AlgorithmError: {words}, exit code: {container.code}" if words else ""

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

    kind = "Processing"
    specification = "AppSpecification"
    image_key = "ImageUri"

    @property
    def cluster(self) -> dict[str, Any]:
        return dict(self.request["ProcessingResources"]["ClusterConfig"])

    def fill(self, name: str, container: Container) -> None:
        for given in self.request.get("ProcessingInputs") or []:
            source = given["S3Input"]
            self.download(source["S3Uri"], container.path(source["LocalPath"]))
        container.write("/opt/ml/config/processingjobconfig.json", {"ProcessingJobArn": self.arn, **self.request})
        container.write("/opt/ml/config/resourceconfig.json", instances(self.cluster, name))
        container.path("/opt/ml/output").mkdir(parents=True)
        for wanted in self._outputs():
            container.path(wanted["LocalPath"]).mkdir(parents=True, exist_ok=True)

    def empty(self) -> None:
        for wanted in self._outputs():
            folder = self.container.path(wanted["LocalPath"])
            for path in (path for path in folder.rglob("*") if path.is_file()):
                self.upload(path, f"{wanted['S3Uri'].rstrip('/')}/{path.relative_to(folder).as_posix()}")

    def _outputs(self) -> list[dict[str, Any]]:
        outputs = (self.request.get("ProcessingOutputConfig") or {}).get("Outputs") or []
        return [output["S3Output"] for output in outputs]

    def last_words(self, container: Container) -> str:
        words = container.message("/opt/ml/output/message")
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
