"""What an execution saves of how far it is, so that the next one with the same inputs goes on from there.

A checkpoint is no output: it lies outside of what DVC keeps, no other stage reads it, and it is gone when the outputs
are in place. It counts for one set of inputs alone: command, settings, and every dependency by hash.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from ..base.printable import printable
from ..dvc.hashes import sha256_of_json

if TYPE_CHECKING:
    from .callbacks import Execution

FORMAT = 1  # of what is saved, by the framework: another one is another key
STATE, NOTES = "checkpoint", "executions.json"
KEPT = 30 * 86_400  # seconds for which checkpoints of other inputs are kept


def key_of(inputs: Mapping[str, Any]) -> str:
    """What tells these inputs from all others. `inputs`: command, settings and dependencies by hash."""
    return sha256_of_json({"format": FORMAT, **inputs})


@dataclass(frozen=True)
class Checkpoints:
    """Where one execution saves, and finds what an earlier one has saved. Other processes may have a copy of it.

    One process alone of an execution saves and loads.
    """

    folder: Path
    key: str  # of the inputs
    made_on: dict[str, Any] = field(default_factory=dict)  # what else decides bits: on another machine it is not taken

    def save(self, data: bytes | memoryview, epoch: int) -> None:
        """Keeps `data`, all that is needed to go on after this epoch, in the place of what was there.

        A kill at any moment leaves one of the two whole. Where there is no room for it, there is a warning: no result
        rests on it.
        """
        head = {
            "key": self.key,
            "epoch": epoch,
            "saved": _now(),
            "made_on": self.made_on,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        partial = self.folder / f"{STATE}.new"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(json.dumps(head).encode() + b"\n")
                file.write(data)
            partial.replace(self.folder / STATE)
        except OSError as error:
            print(f"warning: no checkpoint after epoch {epoch}: {error}.", file=sys.stderr, flush=True)

    def load(self) -> bytes | None:
        """What was saved last; None if there is nothing, or nothing that counts here, which it says then."""
        found = self._read()
        if found is None:
            return None
        head, data = found
        why = self._why_not(head, data)
        if why:
            print(f"the checkpoint in {printable(str(self.folder))} is not taken: {why}.", file=sys.stderr, flush=True)
            return None
        *before, this = _read_notes(self.folder) or [{"begun": _now()}]
        # somebody must have saved it, noted or not
        before = before or [{"begun": "unknown"}]
        _write_notes(self.folder, [*before, {**this, "from_epoch": head["epoch"], "saved": head["saved"]}])
        print(f"going on after epoch {head['epoch']}, which was saved at {head['saved']}.", file=sys.stderr, flush=True)
        return data

    def _read(self) -> tuple[dict[str, Any], bytes] | None:
        try:
            with (self.folder / STATE).open("rb") as file:
                line, data = file.readline(), file.read()
        except FileNotFoundError:
            return None
        try:
            head = json.loads(line)
        except ValueError:
            head = {}
        return head if isinstance(head, dict) else {}, data

    def _why_not(self, head: dict[str, Any], data: bytes) -> str:
        if hashlib.sha256(data).hexdigest() != head.get("sha256") or not {"key", "epoch", "saved"} <= head.keys():
            return "it is damaged"
        if head["key"] != self.key:
            return "it is of other inputs"
        there = head.get("made_on") or {}
        others = [name for name in self.made_on.keys() | there.keys() if self.made_on.get(name) != there.get(name)]
        shown = [f"{name} was {there.get(name)} and is {self.made_on.get(name)}" for name in sorted(others)]
        return f"this machine would give other bits ({', '.join(shown)})" if shown else ""


class Shelf:
    """The place of the checkpoints of one execution, and the notes of those before it that came to no end."""

    def __init__(self, folder: Path, inputs: Mapping[str, Any]) -> None:
        """`folder` is for these inputs alone."""
        self.checkpoints = Checkpoints(folder, key_of(inputs))
        self._lock = FileLock(folder.with_name(f"{folder.name}.lock"))
        self._noted: list[dict[str, Any]] = []

    @classmethod
    def among(cls, folder: Path, inputs: Mapping[str, Any]) -> Shelf:
        """One of several in `folder`. Those that nobody came back to for a month are removed."""
        _remove_old(folder)
        return cls(folder / key_of(inputs)[:16], inputs)

    def open(self, execution: Mapping[str, Any]) -> bool:
        """Begins an execution, of which `execution` says what leads back to it.

        False if another process works with the same inputs in this moment: then there is no place for this one.
        """
        folder = self.checkpoints.folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            return False
        self._noted = [*_read_notes(folder), {"begun": _now(), **execution}]
        _write_notes(folder, self._noted)
        return True

    def interruptions(self) -> list[dict[str, Any]]:
        """The executions before this one, oldest first, none of which came to its end.

        Of each: when it began, when the next one did, how it ended as far as it could say, and `epochs`: how many of
        them the next one did not have to do again.
        """
        noted = _read_notes(self.checkpoints.folder) or self._noted
        return [
            {
                **{key: value for key, value in earlier.items() if key not in ("from_epoch", "saved")},
                "ended": earlier.get("ended", "unknown"),
                "resumed": later["begun"],
                "epochs": later.get("from_epoch", 0),
                "saved": later.get("saved"),
            }
            for earlier, later in pairwise(noted)
        ]

    def note_end(self, error: BaseException) -> None:
        """Writes down how the execution ends that has no result. A kill leaves nobody to do that."""
        from .facts import without_ids

        how = without_ids(error)
        if noted := _read_notes(self.checkpoints.folder):
            _write_notes(self.checkpoints.folder, [*noted[:-1], {**noted[-1], "ended": f"{how} ({_now()})"}])

    def clear(self) -> None:
        """Removes everything: there is a result."""
        shutil.rmtree(self.checkpoints.folder, ignore_errors=True)
        self.close()
        Path(self._lock.lock_file).unlink(missing_ok=True)

    def close(self) -> None:
        """Leaves everything for the next execution."""
        self._lock.release()


def open_checkpoints(execution: Execution, folder: Path, inputs: Mapping[str, Any]) -> Checkpoints | None:
    """The place of this execution: in a job that of the job, else one in `folder`. None if another process has it."""
    at = execution.checkpoints_at
    shelf = Shelf(at, inputs) if at else Shelf.among(folder, inputs)
    if not execution.hosts.is_first:
        return shelf.checkpoints  # the first machine alone works with it
    run = execution.parts.get(execution.tracker, {}).get("run_id")
    job = {key: value for key, value in execution.job.items() if isinstance(value, str)}
    if not shelf.open({**({"run_id": run} if run else {}), **job}):
        print("another process works with the same inputs: no checkpoints are kept of this one.", file=sys.stderr)
        return None
    execution.shelf = shelf
    return shelf.checkpoints


def interruptions_before(execution: Execution) -> list[dict[str, Any]]:
    """Those of executions with the same inputs, if this one keeps checkpoints."""
    return execution.shelf.interruptions() if execution.shelf else []


def facts_of(interruptions: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What the run gets as tags."""
    return {
        "interruptions": str(len(interruptions)),
        "interrupted_after_epochs": ", ".join(str(one["epochs"]) for one in interruptions),
        "resumed_at": ", ".join(str(one["resumed"]) for one in interruptions),
    }


def _remove_old(folder: Path) -> None:
    for place in folder.glob("*/"):
        if time.time() - place.stat().st_mtime < KEPT:
            continue
        lock = FileLock(place.with_name(f"{place.name}.lock"))
        with suppress(Timeout), lock.acquire(timeout=0):
            shutil.rmtree(place, ignore_errors=True)
            Path(lock.lock_file).unlink(missing_ok=True)


def _read_notes(folder: Path) -> list[dict[str, Any]]:
    """The executions that were begun, oldest first; none if there are no notes, or damaged ones."""
    try:
        noted = json.loads((folder / NOTES).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    is_whole = isinstance(noted, list) and all(isinstance(one, dict) and "begun" in one for one in noted)
    return noted if is_whole else []


def _write_notes(folder: Path, noted: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f"{NOTES}.new"
    partial.write_text(json.dumps(noted), encoding="utf-8")
    partial.replace(folder / NOTES)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
