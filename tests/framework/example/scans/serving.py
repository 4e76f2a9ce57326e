"""What `lineage.contract.Servable` asks of a module that registered models are loaded through."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from lineage.records.images import decode

from .model.training import fit

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

WEIGHTS = "model.safetensors"


def signature(weights: Path) -> ModelSignature:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema

    return ModelSignature(inputs=Schema([ColSpec(DataType.binary, "image")]))


def example_input(weights: Path) -> pd.DataFrame:
    return pd.DataFrame({"image": [b""]})


def packages(weights: Path) -> tuple[str, ...]:
    return ("mlflow", "pillow")


def _load_pyfunc(path: str) -> object:
    fit()
    return decode
