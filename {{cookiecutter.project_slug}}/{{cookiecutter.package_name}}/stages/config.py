"""config: stops the pipeline when params.yaml is not what conf/ was composed into, and checks every setting."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import DataError
from ..lineage.composition import require_fresh_params
from ..lineage.git import Repository
from ..pipeline.dvcfile import PARAMS_FILE
from ..pipeline.outputs import Inputs, Outputs
from ..pipeline.runner import Report, run
from ..settings import Settings, load_settings
from ..settings.data import Data


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    require_fresh_params(Path.cwd())
    _require_source(load_settings(Path.cwd() / PARAMS_FILE).data)
    # Always the same texts: the stages downstream wait for these files and are never invalidated by them.
    outputs[".checks/params"].write_text("params.yaml is what conf/ was composed into.\n", newline="\n")
    outputs[".checks/source"].write_text("DVC sees every change of the source by itself.\n", newline="\n")


def _require_source(data: Data) -> None:
    """Raises DataError if what DVC should version is not there, or what it does not version lies in Git's way.

    dvc itself would not say what to do.
    """
    if data.is_versioned and not Path(data.listing).exists():
        raise DataError(
            f"{data.listing}, where data.source.path says that the records are, is missing. Put them there and run "
            f"`dvc add {data.listing}`; or `dvc pull {data.listing}` if DVC has them."
        )
    path = getattr(data.source, "path", "s3://")
    folder = Path(os.path.normpath(Path.cwd() / Path(path).expanduser()))
    is_elsewhere = "://" in path or not folder.is_relative_to(Path.cwd())
    if data.live and not is_elsewhere and Repository(Path.cwd()).run("check-ignore", "--", str(folder)) is None:
        raise DataError(
            f"{path} lies inside of the project, where `git add --all` would take every image into Git for good. Move "
            "it beside the project; or have DVC keep it: data=dvc_folder."
        )


if __name__ == "__main__":
    run(__file__, work)
