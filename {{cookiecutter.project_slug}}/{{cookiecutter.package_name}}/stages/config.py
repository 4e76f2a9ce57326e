"""config: stops the pipeline when params.yaml is not what conf/ was composed into, and checks every setting."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError
from ..lineage.composition import changes_since_commit, require_fresh_params
from ..lineage.exposed import require_hidden
from ..pipeline.dvcfile import PARAMS_FILE
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings, load_settings
from ..settings.data import Data, folder_at

SHOWN = 10  # changed settings, in one line


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    require_fresh_params(Path.cwd())
    everything = load_settings(Path.cwd() / PARAMS_FILE)
    _require_source(everything.data)
    require_hidden(Path.cwd(), everything)
    _tell_changes()
    # Always the same texts: the stages downstream wait for these files and are never invalidated by them.
    outputs[".checks/params"].write_text("params.yaml is what conf/ was composed into.\n", newline="\n")
    outputs[".checks/source"].write_text("DVC sees every change of the source by itself.\n", newline="\n")


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
    path = folder_at(data.listing, Path.cwd())
    if not path.exists():
        raise DataError(
            f"{data.listing}, where data.source.path says that the records are, is missing. Put them there and run "
            f"`dvc add {data.listing}`; or `dvc pull {data.listing}` if DVC has them."
        )
    if not any(place.with_name(f"{place.name}.dvc").exists() for place in (path, *path.parents) if place.name):
        raise DataError(f"DVC does not version {data.listing} yet. Run `dvc add {data.listing}`, then this again.")


if __name__ == "__main__":
    run(__file__, work)
