"""The log of a job in CloudWatch Logs."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from typing import Any

FLUSH = 0.2  # seconds between two deliveries of log lines


class Log:
    """Delivers lines to CloudWatch Logs while they come."""

    def __init__(self, client: Any, group: str, stream: str) -> None:
        """`client` is that of the role that writes it."""
        self._client = client
        self._group, self._stream = group, stream
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._thread = threading.Thread(target=self._deliver, daemon=True)

    def __enter__(self) -> Log:
        return self.open()

    def open(self) -> Log:
        """Makes the group, if it is not there, and the stream. Raises what the client does where that is refused."""
        with contextlib.suppress(self._client.exceptions.ResourceAlreadyExistsException):
            self._client.create_log_group(logGroupName=self._group)
        self._client.create_log_stream(logGroupName=self._group, logStreamName=self._stream)
        self._thread.start()
        return self

    def write(self, line: str) -> None:
        self._lines.put(line.rstrip("\n"))

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Returns when all lines are delivered."""
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
