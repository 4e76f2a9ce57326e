"""What a stage was given to work with: its command, its settings, its dependencies.

dvc reads params.yaml and hashes the dependencies after the command has ended, and records what it finds then. So all of
it is compared again before the outputs count. What dvc finds in the moment that is left between that and its own
reading is compared by the stages after this one, and for `train`, which keeps `entry` in run.json, by every later
answer. A change of a file that is undone within the same tick of the file system's clock cannot be seen.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..errors import ChangedError
from ..lineage.hashes import hash_path, ignored_in
from ..settings import flatten, read_params, select
from .dvcfile import PARAMS_FILE, Pipeline, Stage, locked_hash, locked_params, read_pipeline
from .sources import changed_since_loaded

State = tuple[int, int, int, int]  # size, both times, and the inode: what a file system says of a file
SETTLED = 2 * 10**9  # nanoseconds: a later change of a file that is older has other times, on every file system
SHOWN = 3  # changes in one sentence


class Given:
    """Made before the work. What dvc and the stages upstream keep is hashed only if somebody asks for its hash."""

    def __init__(self, root: Path, pipeline: Pipeline, stage: Stage, params: dict[str, Any]) -> None:
        self._root = root
        self._stage = stage
        self.params = {key: select(params, key) for key in stage.params}
        self._begun = time.time_ns()
        self._states = {dep: _states(root / dep) for dep in stage.deps}
        self._code = [dep for dep in stage.deps if not _is_data(root, pipeline, dep)]
        self._hashes: dict[str, str] = {dep: hash_path(root / dep).md5 for dep in self._code}

    def md5(self, dep: str) -> str:
        """The hash of a dependency as dvc computes it."""
        if dep not in self._hashes:
            self._hashes[dep] = hash_path(self._root / dep).md5
        return self._hashes[dep]

    def has_md5(self, dep: str, md5: str) -> None:
        """Keeps the hash of a dependency that somebody else has computed."""
        self._hashes[dep] = md5

    def entry(self) -> dict[str, Any]:
        """What dvc.lock must say that the stage worked with."""
        deps = {dep: self.md5(dep) for dep in self._stage.deps}
        return {"cmd": self._stage.cmd, "params": self.params, "deps": deps}

    def noted(self) -> dict[str, Any]:
        """Like `entry`, with those hashes alone that are known already."""
        return {"cmd": self._stage.cmd, "params": self.params, "deps": dict(self._hashes)}

    def require_unchanged(self) -> None:
        """Raises ChangedError if dvc would now record something else than the stage worked with."""
        changes = [*self._changed_declaration(), *self._changed_files()]
        if changes:
            more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
            raise ChangedError(
                f"{', '.join(changes[:SHOWN])}{more} changed while it worked, and dvc would record what is there now. "
                "The result is discarded. Run `dvc repro` again."
            )

    def _changed_declaration(self) -> list[str]:
        now, params = read_pipeline(self._root).stages.get(self._stage.name), read_params(self._root / PARAMS_FILE)
        changes = [] if now == self._stage else [f"stage {self._stage.name} in dvc.yaml"]
        before, after = flatten(self.params), flatten({key: _selected(params, key) for key in self.params})
        for key in dict.fromkeys([*before, *after]):
            then, there = _text(before.get(key)), _text(after.get(key))
            if then != there:
                changes.append(f"{key} ({then} -> {there})")
        return changes

    def _changed_files(self) -> list[str]:
        wrong = {dep for dep in self._states if self._may_differ(dep) and not self._has_its_hash(dep)}
        # code that was changed, loaded, and changed back has the hash that it had
        places = {dep: self._root.resolve() / dep for dep in self._code}
        ran = changed_since_loaded()
        wrong |= {dep for dep, place in places.items() if any(path.is_relative_to(place) for path in ran)}
        return sorted(wrong)

    def _may_differ(self, dep: str) -> bool:
        before, now = self._states[dep], _states(self._root / dep)
        if before != now:
            ignored = ignored_in(self._root / dep)
            return any(not ignored(name) for name, _ in before.items() ^ now.items())
        # code that was saved just before the stage began: one more change may have left the same times
        return dep in self._code and any(
            self._begun - max(mtime, ctime) < SETTLED for _, mtime, ctime, _ in before.values()
        )

    def _has_its_hash(self, dep: str) -> bool:
        try:
            return dep in self._hashes and hash_path(self._root / dep).md5 == self._hashes[dep]
        except OSError:
            return False


def differences(given: dict[str, Any], entry: dict[str, Any] | None) -> list[str]:
    """In what an entry of dvc.lock says otherwise than what the stage noted of what it was given."""
    before, recorded = flatten(given["params"]), flatten(locked_params(entry))
    found = [] if given["cmd"] == (entry or {}).get("cmd") else ["its command"]
    for dep, md5 in given["deps"].items():
        if locked_hash(entry, "deps", dep) != md5:
            found.append(dep)
    keys = dict.fromkeys([*before, *recorded])
    others = [key for key in keys if key not in before or key not in recorded or before[key] != recorded[key]]
    return found + [f"{key} (it was {_text(before.get(key))})" for key in others]


def _is_data(root: Path, pipeline: Pipeline, dep: str) -> bool:
    """Whether a stage makes it or `dvc add` keeps it: large, and not to be read just to know its hash."""
    path = root / dep
    kept = (place.with_name(f"{place.name}.dvc") for place in (path, *path.parents) if place.name)
    return pipeline.producer(dep) is not None or any(place.is_file() for place in kept)


def _states(path: Path) -> dict[str, State]:
    """What the file system says of a file, or of every file below a folder, by path relative to it."""
    if not path.is_dir():
        return {"": _state(path.stat())} if path.exists() else {}
    found: dict[str, State] = {}
    waiting, start = [str(path)], len(str(path)) + 1
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "__pycache__":  # Python may write there while the stage works
                        waiting.append(entry.path)
                    continue
                try:
                    found[entry.path[start:]] = _state(entry.stat())
                except FileNotFoundError:  # removed in this moment, or a link to nothing
                    found[entry.path[start:]] = (0, 0, 0, 0)
    return found


def _state(stat: os.stat_result) -> State:
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def _selected(params: dict[str, Any], key: str) -> Any:
    try:
        return select(params, key)
    except (KeyError, TypeError):  # nothing is there now
        return None


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
