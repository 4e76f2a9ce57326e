"""What a clone of another project may lack: somebody has pushed it there, and it names objects that lie here, too."""

from __future__ import annotations

from collections.abc import Iterator

from ..base.errors import LineageError
from ..base.printable import some
from ..git.remote import GitRemote
from ..git.repository import Repository


def lacks(git: Repository) -> Iterator[str]:
    """Why what this clone names is not all that its project names, each with what to do now."""
    if git.must("rev-parse", "--is-shallow-repository") == ["true"]:
        yield f"{git.folder} is a shallow clone: `git fetch --unshallow` there"
    remote = GitRemote(git, lambda commit: git.run("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}"))
    if remote.name is None:
        return
    try:
        refs = remote.not_fetched
    except LineageError as error:
        yield f"whether {remote.name} of {git.folder} has commits that this clone does not: {error}"
        return
    if refs:
        yield f"{git.folder} lacks {some(refs)} of {remote.name}. `{remote.fetch(refs)}` there brings them"
