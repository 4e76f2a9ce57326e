"""The log of a job in CloudWatch Logs."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import Any

from .place import Place

FLUSH = 0.2  # seconds between two deliveries of log lines


class Log:
    """Delivers lines to CloudWatch Logs while they come."""

    def __init__(self, place: Place, group: str, stream: str, client: Any = None) -> None:
        """With `client`, that of the role that writes it."""
        self._client = client or place.client("logs")
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
