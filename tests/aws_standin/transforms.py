"""Batch transform: every object below an S3 address goes to a container, and its answer to another address."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from .containers import Server
from .place import Place


class Transform:
    """One job, from its request to its last state. Each object is one request (SplitType None)."""

    def __init__(self, place: Place, request: dict[str, Any]) -> None:
        self._place, self._request = place, request
        self.status, self.failure = "InProgress", ""
        self.began, self.ended = time.time(), 0.0
        self._stopping = False
        self._server: Server | None = None
        threading.Thread(target=self._work, daemon=True).start()

    def describe(self) -> dict[str, Any]:
        """What DescribeTransformJob says now, beyond the request."""
        said: dict[str, Any] = {"TransformJobStatus": self.status, "TransformStartTime": self.began}
        said |= {"TransformEndTime": self.ended} if self.ended else {}
        return said | ({"FailureReason": self.failure} if self.failure else {})

    def stop(self) -> None:
        """Asks it to stop. Returns at once."""
        if not self.ended:
            self._stopping, self.status = True, "Stopping"

    def end(self) -> None:
        """Ends its container."""
        self._stopping = True
        if self._server is not None:
            self._server.stop()

    def _work(self) -> None:
        try:
            self._run()
            self.status = "Stopped" if self._stopping else "Completed"
        except Exception as error:
            self.failure, self.status = str(error), "Failed"
        self.ended = time.time()

    def _run(self) -> None:
        name, client = self._request["TransformJobName"], self._place.client("sagemaker")
        model = client.describe_model(ModelName=self._request["ModelName"])
        model["PrimaryContainer"]["Environment"] = {
            **(model["PrimaryContainer"].get("Environment") or {}),
            **(self._request.get("Environment") or {}),
        }
        folder = self._place.state / "transforms" / name
        folder.mkdir(parents=True)
        self._server = Server(self._place, folder, model, ("/aws/sagemaker/TransformJobs", f"{name}/i-0"))
        try:
            if not self._server.wait():
                raise OSError("AlgorithmError: the container did not pass the ping health check. See job logs.")
            given = urlsplit(self._request["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"])
            prefix = given.path.lstrip("/")
            pages = self._server.session.client("s3").get_paginator("list_objects_v2")
            found = pages.paginate(Bucket=given.netloc, Prefix=prefix)
            keys = [item["Key"] for page in found for item in page.get("Contents", []) if item["Size"]]
            if not keys:
                raise OSError(f"ClientError: No S3 objects found under {given.geturl()}.")
            with ThreadPoolExecutor(self._request.get("MaxConcurrentTransforms") or 1) as pool:
                list(pool.map(lambda key: self._answer(given.netloc, prefix, key), keys))
        finally:
            self._server.stop()

    def _answer(self, bucket: str, prefix: str, key: str) -> None:
        if self._stopping:
            return
        assert self._server is not None
        store, request = self._server.session.client("s3"), self._request
        body = store.get_object(Bucket=bucket, Key=key)["Body"].read()
        most = (request.get("MaxPayloadInMB") or 6) * 2**20
        if len(body) > most:
            raise OSError(f"ClientError: {key} exceeds MaxPayloadInMB. See job logs for more information")
        headers = {"Content-Type": request["TransformInput"].get("ContentType") or "application/octet-stream"}
        headers["Accept"] = request["TransformOutput"].get("Accept") or "*/*"
        status, _, data = self._server.ask("POST", "/invocations", body, headers)
        if status != 200:
            raise OSError(f"ClientError: See job logs for more information: {bucket}/{key}: {status} {data.decode()}")
        target = urlsplit(request["TransformOutput"]["S3OutputPath"])
        # below the last folder of the prefix, as the service names it
        name = key.removeprefix(prefix.rpartition("/")[0] if not prefix.endswith("/") else prefix).lstrip("/")
        out = f"{target.path.strip('/')}/{name}.out".lstrip("/")
        store.put_object(Bucket=target.netloc, Key=out, Body=data)
