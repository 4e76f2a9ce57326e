"""A container that answers requests: `docker run IMAGE serve`, on port 8080 of a network of its own.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .container import NAMESPACE
from .log import Log
from .place import Place
from .roots import beginning, variables
from .sessions import Session

CLONE_NEWNET = 0x40000000
HEALTHY_WITHIN = 240  # seconds until /ping must be answered; the service's: 480 for the largest models
AT_ONCE = 8  # requests to one container
# brings the network device `lo` up, then becomes the command: `ip` is not on every machine
LOOPBACK = (
    "import fcntl, os, socket, struct, sys\n"
    "fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh', b'lo', 73))\n"
    "os.execvp(sys.argv[1], sys.argv[1:])"
)

Answer = tuple[int, dict[str, str], bytes]


@cache
def has_networks() -> bool:
    """Whether this machine lets a process have a network of its own. Else containers share that of this machine."""
    command = ["unshare", "--net", sys.executable, "-c", LOOPBACK, "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Server:
    """One container with a model. Raises OSError where it does not begin, or does not answer."""

    def __init__(self, place: Place, folder: Path, model: dict[str, Any], log: tuple[str, str]) -> None:
        """`model` is what DescribeModel says; `log` names the group and the stream of its log.

        The service works as the role of the model. Raises PermissionError, or what a client of S3 or of the log raises,
        where that may not do what it must.
        """
        self._place, self._folder = place, folder
        self.session = Session(place, model["ExecutionRoleArn"])
        wanted = model["PrimaryContainer"]
        if wanted["Image"] not in place.images:
            raise OSError(f"Cannot pull the image {wanted['Image']}.")
        self.session.pull(wanted["Image"])
        root = folder / "ml"
        (root / "model").mkdir(parents=True)
        if wanted.get("ModelDataUrl"):
            self._extract(wanted["ModelDataUrl"], root / "model")
        self._log = Log(self.session.client("logs"), *log).open()
        self._port = 8080 if has_networks() else _free_port()
        self._process = self._start(root, place.images[wanted["Image"]], wanted.get("Environment") or {})
        self._pool = ThreadPoolExecutor(AT_ONCE, initializer=self._enter)
        threading.Thread(target=self._deliver_log, daemon=True).start()

    def _extract(self, address: str, target: Path) -> None:
        parts = urlsplit(address)
        data = self.session.client("s3").get_object(Bucket=parts.netloc, Key=parts.path.lstrip("/"))["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            archive.extractall(target, filter="data")

    def _start(self, root: Path, image: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
        apart = ("--net",) if has_networks() else ()
        lead = (sys.executable, "-c", LOOPBACK) if has_networks() else ()
        port = {} if has_networks() else {"SAGEMAKER_BIND_TO_PORT": str(self._port)}
        return subprocess.Popen(
            [NAMESPACE[0], *apart, *NAMESPACE[1:], *lead, *beginning(image, root), "serve"],
            env={
                **variables(image, root),
                **self._place.environment,
                **port,
                **environment,
            },
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _deliver_log(self) -> None:
        assert self._process.stdout is not None
        with contextlib.closing(self._log):
            for line in self._process.stdout:
                self._log.write(line)

    def _enter(self) -> None:
        """Brings a thread into the network of the container."""
        if not has_networks():
            return
        space = Path(f"/proc/{self._process.pid}/ns/net")
        while space.readlink() == Path("/proc/self/ns/net").readlink():  # it has not been made yet
            time.sleep(0.01)  # between two looks at the condition
        number = os.open(space, os.O_RDONLY)
        try:
            if ctypes.CDLL(None, use_errno=True).setns(number, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        finally:
            os.close(number)

    def wait(self) -> bool:
        """Whether it answers /ping before its time is over."""
        deadline = time.monotonic() + HEALTHY_WITHIN
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException, BrokenExecutor):
                if self.ask("GET", "/ping", b"", {})[0] == 200:
                    return True
            time.sleep(0.1)  # between two looks at the condition
        return False

    def ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        """The container's answer. The service waits 60 seconds."""
        return self._pool.submit(self._ask, method, path, body, headers).result()

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def stop(self) -> None:
        """Ends it, and with the first process of its namespace all others. Returns when they are gone."""
        self._process.kill()
        self._process.wait()
        self._pool.shutdown(wait=False)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
