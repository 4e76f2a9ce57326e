"""The names by which MLflow knows what has a role."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

from ..base.errors import LineageError
from ..contract import Role

IN_JOB = "lineage_in_job"  # tag of a run whose work a job does
EXECUTION = "sagemaker_pipeline_execution"  # tag of a run: the execution of a pipeline that its job is a step of
ROLE = "lineage_role"  # tag of a run: what its stage makes, the last of its roles

NAMES = {
    Role.RAW: ("dvc_raw_md5", None),
    Role.CONSENT: ("dvc_consent_md5", None),
    Role.DATASET: ("dvc_data_md5", "data_sha256"),
    Role.PRETRAINED: ("dvc_pretrained_md5", "pretrained_sha256"),
    Role.MODEL: ("dvc_model_md5", "model_sha256"),
    Role.RUN: ("dvc_run_md5", None),  # holds the run's id, so no two trainings have it in common
}
# What a run used its dataset for, in the words of MLflow, by what its stage makes.
CONTEXTS = {Role.MODEL: "training", Role.SCORES: "evaluation", Role.CHAIN: "register"}


def subjects_of(dataset: Path, md5: str) -> dict[str, Any]:
    """The Merkle tree over the subjects of a dataset version of that hash, as its manifest states it: root and salt.

    Raises LineageError if the manifest cannot be read or states none.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from ..records.layout import MANIFEST, ROOT_KEY, SALT_KEY
    from ..records.merkle import root_of_dataset

    try:
        metadata = pq.read_schema(dataset / MANIFEST).metadata or {}
        return {"root": root_of_dataset(md5, metadata[ROOT_KEY].decode()), "salt": metadata[SALT_KEY].decode()}
    except (OSError, pa.ArrowException, KeyError) as error:
        raise LineageError(f"{dataset / MANIFEST} is no manifest of this pipeline: {error!r}. `dvc repro`.") from None


def system_user() -> str:
    """Who is logged in, where Git knows no name; `unknown` in a container without users."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def read_run_record(path: Path) -> dict[str, Any]:
    """What a training wrote down about itself: which execution made the model that lies beside it."""
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record
