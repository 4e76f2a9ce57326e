"""config: stops the pipeline when params.yaml is not what conf/ was composed into, and checks every setting."""

from __future__ import annotations

from pathlib import Path

from lineage.base.errors import DataError
from lineage.base.project import path_at
from lineage.chain.composition import changes_since_commit, require_fresh_params
from lineage.dvc.dvcfile import PARAMS_FILE
from lineage.pipeline.runner import Report, run
from lineage.run.exposed import require_hidden
from lineage.run.outputs import Inputs, Outputs
from lineage.settings import load_settings
from lineage.settings.data import Data
from lineage.settings.optional import ABSENT

from ..settings import Settings

SHOWN = 10  # changed settings, in one line


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    require_fresh_params(Path.cwd())
    everything = load_settings(Path.cwd() / PARAMS_FILE)
    _require_source(everything.data)
    require_hidden(Path.cwd(), everything)
    _tell_changes()
    # Always the same texts: the stages downstream wait for these files and are never invalidated by them.
    outputs[".checks/params"].write_text("params.yaml is what conf/ was composed into.\n", newline="\n")
    outputs[ABSENT].write_text("Stands for an input that there is not with these settings.\n", newline="\n")


def _tell_changes() -> None:
    """Says which settings are not those of the last commit: a composition forgets the overrides of the one before."""
    changes = [f"{key}: {old} -> {new}" for key, (old, new) in changes_since_commit(Path.cwd()).items()]
    if changes:
        more = f"; and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        print(f"settings, since the last commit: {'; '.join(changes[:SHOWN])}{more}.")


def _require_source(data: Data) -> None:
    """Raises DataError if what DVC should version is not there, or is not in DVC: Git would take in every image."""
    if not data.is_versioned:
        return
    name = data.listing.path
    path = path_at(name, Path.cwd())
    if not path.exists():
        raise DataError(
            f"{name}, where data.source.path says that the records are, is missing. Put them there and run "
            f"`dvc add {name}`; or `dvc pull {name}` if DVC has them."
        )
    if not any(place.with_name(f"{place.name}.dvc").exists() for place in (path, *path.parents) if place.name):
        raise DataError(f"DVC does not version {name} yet. Run `dvc add {name}`, then this again.")


if __name__ == "__main__":
    run(__file__, work)
