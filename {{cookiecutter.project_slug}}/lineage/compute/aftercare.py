"""Looks after what executions have left behind: jobs are stopped, runs are closed, and what cannot be is said."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import ProjectError
from ..base.printable import printable
from ..contract import load
from ..run.unfinished import Held, Note, held_notes
from .backend import LOOK, job_name

PAUSE = 20  # seconds between two tries of stages to reach what could not be reached: each may take some seconds


@dataclass(frozen=True)
class Found:
    """What is known of one execution that is not over, or that has just been brought to its end."""

    name: str
    stage: str
    text: str
    is_open: bool  # something of it may still go on
    is_followed: bool = False  # and somebody waits for it


def look_after(main: Path, *, stop: bool, pause: float = 0) -> list[Found]:
    """Brings to its end what nobody waits for any more, and says what there is.

    Jobs are stopped if `stop`, and only looked at otherwise. With `pause`, what a stage could not reach within so many
    seconds is not asked again. Quick where nothing was left: then nothing is imported and nobody is asked.
    """
    return [found for held in held_notes(main) for found in _settle(held, main, stop=stop, pause=pause)]


def before_a_stage(main: Path) -> None:
    """Stops and closes what earlier executions left, whichever stage runs next and wherever. Says what it did."""
    for found in look_after(main, stop=True, pause=PAUSE):
        if not found.is_followed:
            print(printable(found.text), file=sys.stderr, flush=True)


def forget(main: Path, name: str) -> bool:
    """Takes a note away, on the word of a person. False if there is none of that name that nobody waits for."""
    for held in held_notes(main):
        with held as note:
            if note is not None and note.name == name and not note.is_followed:
                note.path.unlink(missing_ok=True)
                return True
    return False


def _settle(held: Held, main: Path, *, stop: bool, pause: float) -> list[Found]:
    with held as note:
        if note is None:
            return []
        if note.content.get("unreadable"):
            text = f"{note.path} cannot be read: what it stood for may go on. `lineage jobs --forget {note.name}`."
            return [Found(note.name, note.stage, text, is_open=True)]
        if note.is_followed:
            pid, host = note.content.get("pid", "unknown"), note.content.get("host", "unknown")
            what = f"job {job_name(note)} of {note.stage}" if note.job else f"a run of {note.stage}"
            text = f"{what} is followed by process {pid} on {host}."
            return [Found(note.name, note.stage, text, is_open=True, is_followed=True)]
        if time.time() - note.tried < pause:
            return []
        texts = [_settle_job(note, stop=stop), *(_settle_run(note, what, main, stop=stop) for what in note.runs)]
        if pause and note.out_of_reach:
            note.note_out_of_reach()
        is_open = note.path.exists()
        return [Found(note.name, note.stage, " ".join(filter(None, texts)), is_open=is_open)]


def _settle_job(note: Note, *, stop: bool) -> str:
    """Takes the job out of the note if it is over. Returns what there is to say."""
    noted = note.job
    if noted is None:
        return ""
    called = job_name(note)
    try:
        state = load(str(noted.get("backend"))).look_after(note, stop=stop)
    except ProjectError as error:
        note.out_of_reach = True
        return f"job {called} of {note.stage} may go on and cost money: {error} {LOOK}"
    if state.is_over:
        note.end("job")
    elif state.is_stopping:
        note.change("job", {"stopped": True})
    return str(state.text)


def _settle_run(note: Note, what: str, main: Path, *, stop: bool) -> str:
    """Closes a run of the note if its job is over or was asked to stop. Returns what there is to say.

    One of a tracker that cannot be asked from here is named, until somebody has been told who could `stop`.
    """
    noted = note.runs.get(what)
    if noted is None or (note.job is not None and not note.job.get("stopped")):
        return ""
    if "tracking_uri" not in noted:
        if stop:
            note.end(what)
        tracker, later = what.removeprefix("run of "), str(noted.get("later", ""))
        return f"run {noted.get('run_id')} of {note.stage} in {tracker} was left open. {later}".strip()
    from ..tracking.address import SQLITE, absolute_uri
    from ..tracking.store import Store

    run_id, uri = str(noted.get("run_id")), absolute_uri(str(noted.get("tracking_uri")), main)
    if uri.startswith(SQLITE) and not Path(uri.removeprefix(SQLITE)).exists():  # its store is gone, and it with it
        note.end(what)
        return ""
    status = "FAILED" if noted.get("status") == "FAILED" else "KILLED"
    try:
        store = Store(uri, main, "")
        with store.asked("close a run"):
            run = store.run(run_id)
            if run is not None and run.info.status in ("RUNNING", "SCHEDULED"):
                store.client.set_terminated(run_id, status)
    except ProjectError as error:
        note.out_of_reach = True
        return f"run {run_id} of {note.stage} is still open: {error}"
    note.end(what)
    if run is None or run.info.status not in ("RUNNING", "SCHEDULED"):
        return ""
    return f"run {run_id} of {note.stage}, which was left open, is closed as {status}."
