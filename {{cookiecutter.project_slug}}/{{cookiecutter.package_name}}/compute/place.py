"""Which stage runs where: by params.yaml, or by an environment variable for one call."""

from __future__ import annotations

import os
from typing import get_args

from ..env import PIPELINE_COMPUTE
from ..errors import SettingsError
from ..settings.compute import Compute, Place

PLACES = get_args(Place)


def place_of(compute: Compute, stage: str) -> Place:
    """Where a stage runs. Stages that `compute` has no setting for always run here.

    Raises SettingsError if the environment variable names a stage or a place that does not exist.
    """
    stages = [name for name in type(compute).model_fields if name != "sagemaker"]
    configured: Place = getattr(compute, stage) if stage in stages else "local"
    given = os.environ.get(PIPELINE_COMPUTE, "")
    if not given:
        return configured
    if "=" not in given and given not in PLACES:
        raise SettingsError(f"{PIPELINE_COMPUTE}={given}: there is no such place, only {' and '.join(PLACES)}.")
    chosen = dict.fromkeys(stages, given) if "=" not in given else _by_stage(given)
    for name, place in chosen.items():
        if name not in stages or place not in PLACES:
            raise SettingsError(
                f"{PIPELINE_COMPUTE}={given}: {name}={place} is not possible. Stages are {', '.join(stages)}, places "
                f"{' and '.join(PLACES)}."
            )
    return chosen.get(stage, configured)  # type: ignore[return-value]  # checked above


def _by_stage(given: str) -> dict[str, str]:
    pairs = (part.partition("=") for part in given.split(","))
    return {stage.strip(): place.strip() for stage, _, place in pairs}
