"""What the framework asks of the project around it, and the only place that finds it.

`[tool.lineage] package` in pyproject.toml names the project's package. It has

    settings.Settings     all of params.yaml: the project's own groups, on top of `lineage.settings.Settings`
    stages/               a module for each stage of dvc.yaml, with `work(settings, inputs, outputs, report)`

and hands over a `Servable` where it registers a model. dvc.yaml says under `meta` what the outputs of a stage are to
the lineage: their `Role`. Stages and files may have any name; a stage without `meta` makes nothing that has a role.

    train:
      meta:
        lineage:
          model: models/model.safetensors
          run: models/run.json

Nothing else of the project is known here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from enum import StrEnum
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from .base.errors import SettingsError

if TYPE_CHECKING:
    import pandas as pd

ROOT = Path(__file__).resolve().parents[1]  # the framework lies in the project


class Role(StrEnum):
    """What an output of a stage is to the lineage. What a model rests on is found by these, upstream of it."""

    RAW = "raw"  # the records as they were brought, in the format of lineage/records/raw.py
    CONSENT = "consent"  # who may be used, as the consent registry said it
    DATASET = "dataset"  # a dataset version with its manifest, as lineage/records/dataset.py describes it
    PROFILE = "profile"  # what the images of that dataset version look like, as lineage/records/profile.py describes it
    PRETRAINED = "pretrained"  # the weights that training starts from
    MODEL = "model"  # the weights that training made: the stage that makes them is the training
    RUN = "run"  # what the training wrote down about itself, as JSON
    SCORES = "scores"  # how good the model is on records that it has not seen, as JSON
    PREDICTIONS = "predictions"  # what it said of each of them, as lineage/records/predictions.py describes it
    CHAIN = "chain"  # lineage.json


class Servable(Protocol):
    """A module that makes a registered model of trained weights, and that MLflow loads it through.

    For example `serving.py` of the generated project.
    """

    __name__: str
    __file__: str | None
    WEIGHTS: str  # the name of the weights among the registered files

    def signature(self, weights: Path) -> dict[str, list[dict[str, Any]]]:
        """What goes in and what comes out: `inputs` and `outputs`, lists of columns as MLflow writes them in MLmodel.

        https://mlflow.org/docs/latest/ml/model/signatures/
        """

    def example_input(self, weights: Path) -> pd.DataFrame:
        """An input that is nobody's record, of a kind that MLflow takes as an example. The model must predict it."""

    def packages(self, weights: Path) -> tuple[str, ...]:
        """What must be installed, beside Python itself, where the model is loaded."""

    def _load_pyfunc(self, path: str) -> Any:
        """MLflow calls this with the folder that holds the weights, and so does the program `serve`, of whom it must be
        an `Answering`: a version without `answer` can be registered, and not be served.
        """


# Tells a caller what to change: the HTTP status of the answer (400 to 499), and a sentence. It raises.
Refuse = Callable[[int, str], NoReturn]
# Raises once nobody waits for the answer any more, so that the thread can answer somebody else.
GoOn = Callable[[], None]


class Answering(Protocol):
    """A model that was loaded: MLflow calls `predict`, the program `serve` calls `answer`. Several threads may at once.

    For example `Predictor` of the generated project.
    """

    def predict(self, model_input: Any, params: dict[str, Any] | None = None) -> Any:
        """As `mlflow.pyfunc.PythonModel` has it."""

    def answer(self, body: bytes, kind: str, most: int, refuse: Refuse, go_on: GoOn) -> tuple[bytes, str]:
        """The answer to a request, and its media type.

        `kind` is the media type of `body`, in small letters and without parameters; `most` how many items a request may
        have. Calls `refuse`, which raises, for whatever the caller must change: they are told that sentence. Any other
        error is the server's, and no caller sees its text. Calls `go_on` between items, and lets through what it
        raises: a thread cannot be stopped from outside, and one that works for nobody is missing. What MLflow makes of
        `example_input` must be answered: JSON with `dataframe_split`.
        """


@cache
def package_name() -> str:
    """The name of the project's package."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["tool"]["lineage"]["package"])


def load(target: str) -> Any:
    """The class that a `_target_` of conf/ names, as Hydra does. Raises SettingsError if there is none."""
    module, _, name = target.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"_target_ {target} cannot be imported: {error}.") from error


@cache
def settings_class() -> Any:
    """The class of all settings: one that is derived from `lineage.settings.Settings`."""
    return import_module(f"{package_name()}.settings").Settings
