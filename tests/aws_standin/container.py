"""One container of a SageMaker job: its folder /opt/ml, its environment, its process. As the service documents them.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
https://docs.aws.amazon.com/sagemaker/latest/dg/build-your-own-processing-container.html
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from .roots import beginning

# namespaces of its own: jobs side by side each have their /opt/ml, and the first process is the first, as in Docker
NAMESPACE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc")
LAYER = (
    'cd "$0" && mount -t tmpfs memory . && cd "$0" && mkdir upper work'
    " && mount -t overlay layer -o lowerdir=/,upperdir=upper,workdir=work ."
)


def can_run() -> bool:
    """Whether this machine lets a process have namespaces of its own."""
    with contextlib.suppress(FileNotFoundError):
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    return False


def can_layer() -> bool:
    """Whether this machine lays layers over root file systems, as images that were built need it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*NAMESPACE, "sh", "-c", LAYER, folder]
        return can_run() and subprocess.run(command, capture_output=True, check=False).returncode == 0


class Container:
    """The files below /opt/ml, kept in `root`, and the process that works with them.

    `names` are those of the instances of its job. All of them are this machine.
    """

    def __init__(self, root: Path, grace: float, names: Sequence[str] = ()) -> None:
        self.root = root
        self._names = names
        self._grace = grace  # seconds between SIGTERM and SIGKILL
        self._process: subprocess.Popen[str] | None = None

    def path(self, inside: str) -> Path:
        """Where a path of the container lies on this machine. It must be below /opt/ml."""
        return self.root / Path(inside).relative_to("/opt/ml")

    def write(self, inside: str, content: Any) -> None:
        """Puts a JSON file into the container."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")

    def message(self, inside: str) -> str:
        """What the job wrote into a file of last words; empty if nothing. The service keeps 1,024 characters."""
        path = self.path(inside)
        return path.read_text(encoding="utf-8", errors="replace")[:1024] if path.is_file() else ""

    def run(self, image: Path, command: list[str], environment: dict[str, str]) -> Iterator[str]:
        """Runs a command of an image to its end and yields its lines. `code` holds the exit status then."""
        self._process = subprocess.Popen(
            [*NAMESPACE, *beginning(image, self.root, self._names), *command],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        assert self._process.stdout is not None
        yield from self._process.stdout
        self._process.wait()

    @property
    def is_running(self) -> bool:
        """Whether its process has begun and not ended."""
        return self._process is not None and self._process.poll() is None

    @property
    def code(self) -> int:
        """Exit status of the process that has ended."""
        assert self._process is not None
        assert self._process.returncode is not None
        return self._process.returncode

    def stop(self, grace: float | None = None) -> None:
        """SIGTERM to the first process of the container, as Docker does; SIGKILL to all after the time of grace.

        Without any time of grace, that at once.
        """
        if self._process is None or self._process.poll() is not None:
            return
        if grace == 0:
            self._process.kill()
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for first in psutil.Process(self._process.pid).children():
                first.send_signal(signal.SIGTERM)
        try:
            self._process.wait(self._grace if grace is None else grace)
        except subprocess.TimeoutExpired:
            self._process.kill()  # and with it, all that it holds

    def pack(self, inside: str, archive: Path) -> bool:
        """Packs a folder of the container; False if it is empty."""
        folder = self.path(inside)
        if not folder.is_dir() or not any(folder.iterdir()):
            return False
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(folder, ".")
        return True
