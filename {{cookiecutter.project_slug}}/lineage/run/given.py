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

from ..base.errors import ChangedError
from ..dvc.dvcfile import PARAMS_FILE, Pipeline, Stage, read_pipeline
from ..dvc.hashes import Content, hash_path, ignored_in
from ..settings import flatten, read_params, select
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
        self._contents = {dep: hash_path(root / dep) for dep in self._code}

    def content(self, dep: str) -> Content:
        """What a dependency holds, by hash; each is read once."""
        if dep not in self._contents:
            self._contents[dep] = hash_path(self._root / dep)
        return self._contents[dep]

    def entry(self) -> dict[str, Any]:
        """What dvc.lock must say that the stage worked with."""
        deps = {dep: self.content(dep).md5 for dep in self._stage.deps}
        return {"cmd": self._stage.cmd, "params": self.params, "deps": deps}

    def noted(self) -> dict[str, Any]:
        """Like `entry`, with those hashes alone that are known already."""
        deps = {dep: content.md5 for dep, content in self._contents.items()}
        return {"cmd": self._stage.cmd, "params": self.params, "deps": deps}

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
        wrong = {name for dep in self._states for name in self._may_differ(dep) if not self._has_its_hash(dep)}
        # code that was changed, loaded, and changed back has the hash that it had
        root = self._root.resolve()
        for path in changed_since_loaded():
            if any(path.is_relative_to(root / dep) for dep in self._code):
                wrong.add(path.relative_to(root).as_posix())
        return sorted(wrong)

    def _may_differ(self, dep: str) -> list[str]:
        """The first file of a dependency that is not as it was, or may not be; none if all are."""
        before, now = self._states[dep], _states(self._root / dep)
        if before != now:
            ignored = ignored_in(self._root / dep)
            changed = sorted({name for name, _ in before.items() ^ now.items() if not ignored(name)})
            return [f"{dep}/{name}".rstrip("/") for name in changed[:1]]
        # code that was saved just before the stage began: one more change may have left the same times
        settled = all(self._begun - max(mtime, ctime) >= SETTLED for _, mtime, ctime, _ in before.values())
        return [] if dep not in self._code or settled else [dep]

    def _has_its_hash(self, dep: str) -> bool:
        try:
            return dep in self._contents and hash_path(self._root / dep).md5 == self._contents[dep].md5
        except OSError:
            return False


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
