"""Brings what dvc.lock records from the DVC remote into the cache, and from there into place.

As `dvc pull` does, but each object is hashed before it counts, and a few MB of it are in memory at a time.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field

from ..base.errors import LineageError
from ..dvc.dvcfile import DVC_LOCK, read_lock, read_pipeline
from ..dvc.remote import Remote
from .case import Evidence
from .data_push import recorded_outs


@dataclass(kw_only=True)
class Pulled:
    """What was done. `lacking` says what could not be brought."""

    dvc_remote: str
    objects: int = 0  # those that the cache has now
    brought: int = 0  # those of them that it did not have before
    lacking: list[str] = field(default_factory=list)

    def bring(self, evidence: Evidence, md5: str) -> None:
        """Brings the cache what it lacks of an output. Raises LineageError if the remote has not all of it."""
        objects = evidence.objects
        brought = objects.cache_all([md5])
        files = list(dict.fromkeys(objects.listing(md5).values())) if md5.endswith(".dir") else []
        brought += objects.cache_all(files)
        self.objects, self.brought = self.objects + 1 + len(files), self.brought + len(brought)


def pull(evidence: Evidence) -> Pulled:
    """Brings what dvc.lock here and the .dvc files of the last commit record, into the cache and into place.

    Raises LineageError if there is no remote or it cannot be asked, or if DVC does not put something in place: what is
    there and in no cache, it leaves alone.
    """
    remote, root = Remote.of(evidence.root), evidence.root
    if remote is None:
        raise LineageError("this project has no DVC remote. `dvc remote add --default storage URL` names one.")
    if fix := evidence.history.git.how_to_bring(DVC_LOCK):
        raise LineageError(f"{DVC_LOCK} is in the last commit and not here: nobody knows what to bring. `{fix}`.")
    done, whole = Pulled(dvc_remote=remote.url), []
    outs = {**recorded_outs(read_pipeline(root), read_lock(root)), **evidence.history.at("HEAD").added}
    for path, md5 in outs.items():
        try:
            done.bring(evidence, md5)
            whole.append(path)
        except LineageError as error:
            done.lacking.append(f"{path}: {error}")
    if whole:
        command = [sys.executable, "-m", "dvc", "checkout", "--quiet", "--", *whole]
        said = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if said.returncode != 0:
            reason = " ".join(said.stderr.split()) or "it does not say why."
            raise LineageError(
                f"what was brought is in the cache, and `dvc checkout` does not put it in place: {reason}"
            )
    return done
