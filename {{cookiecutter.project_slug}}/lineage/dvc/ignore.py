"""What .dvcignore files name: dvc leaves it out of the hash of a folder."""

from __future__ import annotations

from collections.abc import Mapping

from pathspec import GitIgnoreSpec

DVCIGNORE = ".dvcignore"


class Ignored:
    """The patterns of all .dvcignore files of a project.

    `lists` holds the text of each by its path relative to the project; its patterns apply to the folder it lies in.
    """

    def __init__(self, lists: Mapping[str, str]) -> None:
        self._specs = {
            path.removesuffix(DVCIGNORE): GitIgnoreSpec.from_lines(text.splitlines()) for path, text in lists.items()
        }

    def __call__(self, path: str) -> bool:
        """Whether dvc leaves out the file at `path`, relative to the project."""
        return any(
            path.startswith(folder) and spec.match_file(path.removeprefix(folder))
            for folder, spec in self._specs.items()
        )
