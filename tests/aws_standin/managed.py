"""What SageMaker does around a Training job: checkpoints to S3, spot instances that are taken away, warm pools.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
https://docs.aws.amazon.com/sagemaker/latest/dg/model-checkpoints.html
https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .container import Container
from .interruptions import Order, take
from .jobs import ENDED, TrainingJob
from .place import Place

LOOK = 0.05  # seconds between two looks at a folder of checkpoints


class ManagedTrainingJob(TrainingJob):
    """CreateTrainingJob, with all that goes on around the container."""

    def __init__(self, place: Place, request: dict[str, Any], arn: str) -> None:
        super().__init__(place, request, arn)
        self.transitions: list[dict[str, Any]] = []
        self.reused_by = ""
        self._kept = int(self.cluster.get("KeepAlivePeriodInSeconds") or 0)
        self._order: Order | None = None
        self._taken_away = False
        self._runs = 0
        self._worked = 0.0  # seconds of the instances that were taken away
        self._checkpoints: list[_Sync] = []

    @property
    def is_spot(self) -> bool:
        return bool(self.request.get("EnableManagedSpotTraining"))

    def _run(self) -> None:
        self._move("Starting", "Launching requested ML instances")
        wait = (self.request.get("StoppingCondition") or {}).get("MaxWaitTimeInSeconds")
        timer = threading.Timer(wait or threading.TIMEOUT_MAX, self.stop, ["waited too long"])
        timer.daemon = True
        timer.start()
        while True:
            self._taken_away = False
            self._order = take(self.place.state, self.name) if self.is_spot else None
            super()._run()
            if not self._taken_away or self._stopping:
                break
            self._begin_anew()
        timer.cancel()
        self._move(self.status)

    def _begin_anew(self) -> None:
        """New instances: nothing is left of the volumes of those before."""
        self._runs += 1
        self._worked += time.time() - (self.started or time.time())
        self.status, self.failure, self.failed = "InProgress", "", ""
        self._move("Starting", "Launching requested ML instances")
        folder, names = self.place.state / self.name, [*self.containers]
        places = {name: folder / f"{name}-{self._runs}" / "ml" for name in names}
        self.containers = {name: Container(place, self.place.grace, names) for name, place in places.items()}
        time.sleep(max(0.0, (self.started or 0) // 1 + 1 - time.time()))  # logs are named by the second

    def fill(self, name: str, container: Container) -> None:
        self._move("Downloading", "Downloading input data")
        super().fill(name, container)
        config = self.request.get("CheckpointConfig") or {}
        first = container is self.container
        if first:
            self._checkpoints = []
        if config.get("S3Uri"):
            folder = container.path(config.get("LocalPath") or "/opt/ml/checkpoints")
            folder.mkdir(parents=True, exist_ok=True)
            self.download(config["S3Uri"], folder)
            self._checkpoints.append(_Sync(self.client("s3"), folder, config["S3Uri"]))
        if first and self._order is not None:
            threading.Thread(target=self._take_away, args=[self._order, container], daemon=True).start()

    def _run_instance(self, name: str) -> None:
        if not self.transitions or self.transitions[-1]["Status"] != "Training":
            self._move("Training", "Training image download completed. Training in progress.")
        super()._run_instance(name)

    def _take_away(self, order: Order, container: Container) -> None:
        """Ends the instances when it is time. Not one whose work is done before."""
        while self._checkpoints and self._checkpoints[0].changes < order.saves:
            if self.status in ENDED or self.container is not container:
                return
            time.sleep(LOOK)
        while not container.is_running:
            time.sleep(LOOK)
        time.sleep(order.delay)
        if self.status == "InProgress" and container.is_running:
            self._taken_away = True
            self._move("Interrupted", "Training job interrupted by Spot capacity")
            for each in [*self.containers.values()]:
                threading.Thread(target=each.stop, args=[order.grace], daemon=True).start()

    def empty(self) -> None:
        for sync in self._checkpoints:
            # who had no time of grace had no time for this either
            sync.end(last=not (self._taken_away and self._order and not self._order.grace))
        if not self._taken_away:
            self._move("Uploading", "Uploading generated training model")
            super().empty()

    def seconds(self) -> int:
        return int(self._worked) + super().seconds()

    def _move(self, status: str, message: str = "") -> None:
        now = time.time()
        if self.transitions:
            self.transitions[-1].setdefault("EndTime", now)
        self.transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})

    def describe(self) -> dict[str, Any]:
        state = super().describe()
        if self._taken_away and not self._stopping:  # how its processes ended is no end of the job
            state = {"TrainingJobStatus": "InProgress", "SecondaryStatus": "Interrupted"}
        if self.transitions:
            state["SecondaryStatusTransitions"] = [dict(one) for one in self.transitions]
            if state["TrainingJobStatus"] == "InProgress":
                state["SecondaryStatus"] = self.transitions[-1]["Status"]
        return state | ({"WarmPoolStatus": self.warm_pool} if "KeepAlivePeriodInSeconds" in self.cluster else {})

    @property
    def warm_pool(self) -> dict[str, Any]:
        """What became of the instances. They are kept after a job that ended well."""
        if self.status not in ENDED:
            return {"Status": "InUse"}
        if self.reused_by:
            return {"Status": "Reused", "ReusedByJob": self.reused_by, **self._retained()}
        kept = self.status == "Completed" and time.time() < (self.ended or 0) + self._kept
        return {"Status": "Available" if kept else "Terminated", **self._retained()}

    def _retained(self) -> dict[str, int]:
        seconds = min(time.time() - (self.ended or time.time()), self._kept)
        return {"ResourceRetainedBillableTimeInSeconds": int(seconds)}

    def keep(self, seconds: int) -> None:
        """UpdateTrainingJob: how long the instances are kept from now on."""
        self._kept = min(self._kept, int(time.time() - (self.ended or time.time())) + seconds)

    def take_over(self, others: Iterable[ManagedTrainingJob]) -> None:
        """Takes the instances of a job that wanted the same ones."""
        for other in others:
            if self._kept and other.warm_pool["Status"] == "Available" and other.cluster == self.cluster:
                other.keep(0)
                other.reused_by = self.name
                return


class _Sync:
    """Brings what changes in a folder of checkpoints to S3 while the job goes on, each file when it is seen."""

    def __init__(self, s3: Any, folder: Path, uri: str) -> None:
        self.changes = 0
        self._s3, self._folder, self._uri = s3, folder, urlsplit(uri)
        self._seen = {path: _state(path) for path in folder.rglob("*")}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def end(self, *, last: bool) -> None:
        """Ends it, after a last look if `last`."""
        self._ended.set()
        self._thread.join()
        if last:
            self._look()

    def _work(self) -> None:
        while not self._ended.wait(LOOK):
            self._look()

    def _look(self) -> None:
        for path in [path for path in self._folder.rglob("*") if path.is_file()]:
            try:
                state = _state(path)
                if self._seen.get(path) == state:
                    continue
                data = path.read_bytes()
            except FileNotFoundError:  # it was renamed
                continue
            self._seen[path] = state
            self.changes += 1
            key = f"{self._uri.path.strip('/')}/{path.relative_to(self._folder).as_posix()}"
            self._s3.put_object(Bucket=self._uri.netloc, Key=key, Body=data)


def _state(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino
