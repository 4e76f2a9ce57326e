"""One process a stage and folder. After `kill -9` of dvc, the stage it had started goes on: it is found here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ..base.env import DVC_STAGE
from ..base.errors import AbandonedError, StageRunningError

if TYPE_CHECKING:
    import psutil

SHELLS = {"sh", "bash", "dash", "zsh", "fish", "ksh", "csh", "tcsh", "nu", "pwsh", "cmd.exe"}
REAPERS = {"init", "launchd", "systemd"}  # who becomes the parent of orphans


class StageLock:
    """Held while the stage runs; the operating system lets go of it when the process dies, however it dies.

    Beside the lock lies the id of that process.
    """

    def __init__(self, root: Path, stage: str) -> None:
        folder = root / ".dvc" / "tmp" / "stages"
        folder.mkdir(parents=True, exist_ok=True)
        self.stage = stage
        self._holder = folder / f"{stage}.pid"
        self._lock = FileLock(folder / f"{stage}.lock")

    def __enter__(self) -> StageLock:
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            pid = self._holder.read_text(encoding="utf-8") if self._holder.exists() else "unknown"
            raise StageRunningError(
                f"it is still running here as process {pid}, started by a dvc that is gone or by another terminal. "
                f"Wait until it ends, or end it (`kill {pid}`), then run this again."
            ) from None
        self._holder.write_text(str(os.getpid()), encoding="utf-8")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.unlink(missing_ok=True)
        self._lock.release()

    def note_given(self, caller: str | None, given: dict[str, Any]) -> None:
        """Keeps what the stage was given by this `caller`, so that stages after it can look at what dvc recorded."""
        path = self._given(self.stage)
        path.write_text(json.dumps({"caller": caller, "given": given}), encoding="utf-8")

    def given_to(self, stage: str, caller: str | None) -> dict[str, Any] | None:
        """What another stage noted that it was given, if it was by this `caller`; else None."""
        try:
            noted = json.loads(self._given(stage).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        given: dict[str, Any] = noted["given"]
        return given if caller is not None and noted["caller"] == caller else None

    def _given(self, stage: str) -> Path:
        return self._holder.with_name(f"{stage}.given.json")


class ParentProcess:
    """The dvc that started this process: without it, nobody records what the stage makes.

    Make it before anything else: a process whose parent has died is given another one, and then looks well cared for.
    """

    def __init__(self) -> None:
        self._process = None
        self._gone = False
        if DVC_STAGE not in os.environ:
            return  # started by hand: a closed terminal is no reason to stop
        import psutil

        process = psutil.Process().parent()
        # dvc runs the command through $SHELL, which may or may not have replaced itself with it
        while process is not None and process.name() in SHELLS:
            process = process.parent()
        self._process = process
        # dvc died while Python was starting; but in a container, dvc itself may be the first process
        self._gone = process is None or (
            (process.pid == 1 or process.name() in REAPERS) and "dvc" not in " ".join(process.cmdline())
        )

    @property
    def identity(self) -> str | None:
        """Tells one dvc from every other; None where none started this process."""
        return None if self._process is None else f"{self._process.pid} {self._process.create_time()}"

    def check(self) -> None:
        """Raises AbandonedError if that dvc has ended."""
        if self._gone or (self._process is not None and not _lives(self._process)):
            raise AbandonedError(
                "the dvc that started this stage is gone, so its outputs are discarded. Run `dvc repro` again."
            )


def _lives(process: psutil.Process) -> bool:
    import psutil

    try:
        # one that died and that nobody has reaped yet still counts as running
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
