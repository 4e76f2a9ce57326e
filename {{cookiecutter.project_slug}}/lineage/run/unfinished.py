"""Notes of stage runs and jobs that were begun here. They outlive whoever began them, until both are known to be over.

A kill, credentials that have expired, a server that is gone: each leaves a job that costs money, or a run that stays
open for ever. Whatever stage runs next looks for them first; `lineage jobs` and `lineage doctor` list them.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

FOLDER = Path(".dvc", "tmp", "unfinished")


class Unfinished:
    """What one execution of a stage has begun elsewhere and has not brought to its end.

    Its file lies with the main project, where temporary experiments do not take it with them. A lock beside it is held
    for as long as this process lives: a file whose lock is free was left behind.
    """

    def __init__(self, main: Path, stage: str) -> None:
        self._path = main / FOLDER / f"{stage}-{secrets.token_hex(6)}.json"
        self._lock = FileLock(self._path.with_suffix(".lock"))
        self._begun: dict[str, Any] = {}
        self._head = {
            "stage": stage,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def begin(self, what: str, facts: dict[str, Any]) -> None:
        """Notes that a job was begun (`job`) or a run was opened, and what leads back to it. Before it is begun.

        `what` begins with `run` for a run: there may be one for each tracker.
        """
        if not self._lock.is_locked:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire()
        self._begun[what] = facts
        _write(self._path, {**self._head, **self._begun})

    def end(self, what: str) -> None:
        """Forgets it: it is known to be over."""
        if self._begun.pop(what, None) is None:
            return
        if self._begun:
            _write(self._path, {**self._head, **self._begun})
        else:
            self._path.unlink(missing_ok=True)
            Path(self._lock.lock_file).unlink(missing_ok=True)  # still held: nobody else can be about to read the note
            self._lock.release()

    def __enter__(self) -> Unfinished:
        return self

    def __exit__(self, *_: object) -> None:
        """Lets others look after what is not over yet."""
        self._lock.release()


@dataclass
class Note:
    """The file of an execution, read by somebody else."""

    path: Path
    content: dict[str, Any]
    is_followed: bool = False  # whoever wrote it still lives
    out_of_reach: bool = False  # AWS or the store of the run could not be asked

    @property
    def name(self) -> str:
        """What `lineage jobs --forget` calls it."""
        return self.path.stem

    @property
    def stage(self) -> str:
        return str(self.content.get("stage", "unknown"))

    @property
    def job(self) -> dict[str, Any] | None:
        return self._part("job")

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        """The runs that were opened, by what they are called here."""
        found = {what: self._part(what) for what in self.content if what.startswith("run")}
        return {what: part for what, part in found.items() if part is not None}

    @property
    def age(self) -> float:
        """Seconds since the execution began; 0 if the note does not say."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(str(self.content.get("begun")))).total_seconds()
        except (ValueError, TypeError):
            return 0.0

    @property
    def tried(self) -> float:
        """When a stage last tried in vain to reach what the note leads to; 0 if none did."""
        tried = self.content.get("tried")
        return float(tried) if isinstance(tried, int | float) else 0.0

    def note_out_of_reach(self) -> None:
        """Notes that what it leads to was out of reach just now."""
        self.content["tried"] = time.time()
        _write(self.path, self.content)

    def _part(self, what: str) -> dict[str, Any] | None:
        part = self.content.get(what)
        return part if isinstance(part, dict) else None

    def end(self, what: str) -> None:
        """Takes `what` out of the note, and the note away with the last of it."""
        self.content.pop(what, None)
        if self.job or self.runs:
            _write(self.path, self.content)
        else:
            self.path.unlink(missing_ok=True)

    def change(self, what: str, facts: dict[str, Any]) -> None:
        """Adds facts to `what`."""
        self.content[what] = {**(self._part(what) or {}), **facts}
        _write(self.path, self.content)


class Held:
    """A note that nobody else looks after at the same time. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path.with_suffix(".lock"))

    def __enter__(self) -> Note | None:
        """The note; None if it is gone."""
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            note = _read(self._path)
            return note and Note(note.path, note.content, is_followed=True)
        return _read(self._path)

    def __exit__(self, *_: object) -> None:
        if self._lock.is_locked:
            if not self._path.exists():
                Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()


def held_notes(main: Path) -> list[Held]:
    """Every note of the project at `main`, oldest first."""
    return [Held(path) for path in sorted((main / FOLDER).glob("*.json"), key=_modified)]


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # it was ended meanwhile
        return 0.0


def _read(path: Path) -> Note | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError):
        content = None
    return Note(path, content if isinstance(content, dict) else {"unreadable": True})


def _write(path: Path, content: dict[str, Any]) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    partial.replace(path)
