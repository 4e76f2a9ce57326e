"""Where data lie that Git must not take in: `git add --all` would put every record into the history, for good.

That holds for any Git repository around such a place, not only for that of the project: a folder beside the project may
lie in a larger one.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from ..base.errors import DataError, LineageError
from ..base.project import path_at
from ..dvc.remote import Remote, cache_folder
from ..git.anchor import main_root
from ..git.repository import DUBIOUS, Repository
from ..settings import Settings
from ..tracking.address import SQLITE, absolute_uri


@dataclass(frozen=True)
class Exposed:
    """A place of data that a Git repository takes in, or has taken in."""

    what: str
    path: Path
    repository: Path
    is_tracked: bool

    @property
    def text(self) -> str:
        done = "has data in it already" if self.is_tracked else "would take every file of it in at `git add --all`"
        return f"{self.what} {self.path} lies in the Git repository {self.repository}, which {done}."

    @property
    def fix(self) -> str:
        """The command that makes Git pass the place by."""
        below = self.path.relative_to(self.repository).as_posix()
        escaped = "".join(f"\\{letter}" if letter in "*?[]\\#!" else letter for letter in below)
        ignore = f"echo {shlex.quote(f'/{escaped}')} >> {shlex.quote(str(self.repository / '.gitignore'))}"
        if not self.is_tracked:
            return ignore
        return f"git -C {shlex.quote(str(self.repository))} rm -r --cached --quiet -- {shlex.quote(below)} && {ignore}"


def data_places(root: Path, settings: Settings) -> list[tuple[str, Path]]:
    """What holds data on this machine, and where, links followed: Git follows none."""
    main = main_root(root)
    remote, source, registry = Remote.of(main), settings.data.source, settings.privacy.registry
    found = [("the DVC cache", cache_folder(main))]
    if remote is not None and remote.folder is not None:
        found.append(("the DVC remote", remote.folder))
    if source.private_path is not None and not settings.data.is_versioned:
        found.append(("the source", path_at(source.private_path, main)))
    table = registry and (registry.path or os.environ.get(registry.variable or ""))
    if table and "://" not in table:
        found.append(("the consent registry", path_at(table, main)))
    if settings.tracking.uri.startswith(SQLITE):
        found.append(("the MLflow store", Path(absolute_uri(settings.tracking.uri, main).removeprefix(SQLITE))))
        found.append(("the folder of MLflow's artifacts", main / "mlartifacts"))
    return [(what, path.resolve()) for what, path in found]


def exposed_places(root: Path, settings: Settings) -> list[Exposed]:
    """Those of the places of data that a Git repository around them does not ignore."""
    found = (_exposed(what, path) for what, path in data_places(root, settings))
    return [place for place in found if place is not None]


def require_hidden(root: Path, settings: Settings) -> None:
    """Raises DataError if data lie where Git would take them in."""
    for place in exposed_places(root, settings):
        raise DataError(f"{place.text} Move it to another place, or: {place.fix}")


def _exposed(what: str, path: Path) -> Exposed | None:
    folder = next(above for above in (path, *path.parents) if above.is_dir())
    git = Repository(folder)
    top = git.run("rev-parse", "--show-toplevel")
    if top is None:  # no repository, or a bare one, or the inside of .git
        refusal = git.refusal("rev-parse", "--show-toplevel") or ""
        if DUBIOUS in refusal:
            raise LineageError(f"could not check whether Git would add {what} {path}: {refusal}")
        return None
    repository = Path(top).resolve()
    tracked = (git.run("ls-files", "-z", "--", str(path)) or "").split("\0")
    if any(name and not name.endswith(".gitignore") for name in tracked):
        return Exposed(what, path, repository, is_tracked=True)
    # a name inside, where it is a folder or will be one: a pattern may end in a slash
    if git.run("check-ignore", "--quiet", "--", str(path if path.is_file() else path / "x")) is not None:
        return None
    return Exposed(what, path, repository, is_tracked=False)
