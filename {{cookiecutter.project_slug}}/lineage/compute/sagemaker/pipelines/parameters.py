"""What an execution of a pipeline may be started with otherwise than the commit has it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ....base.errors import DispatchError
from ....settings import select
from .plan import Plan

TYPES = {bool: "Boolean", int: "Integer", float: "Float", str: "String"}
AT_LEAST, AT_MOST = "AtLeast", "AtMost"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a pipeline: its name and default there, and the setting or score that it stands for."""

    name: str
    default: bool | int | float | str
    of: str

    @property
    def kind(self) -> str:
        """Its type, as SageMaker calls it."""
        return TYPES[type(self.default)]


@dataclass(frozen=True)
class Parameters:
    """All of them, by what they are for."""

    settings: tuple[Parameter, ...]  # `of` is a key of params.yaml
    instances: tuple[Parameter, ...]  # `of` is training, processing or spark
    at_least: tuple[Parameter, ...]  # `of` is a score, by its dotted name
    at_most: tuple[Parameter, ...]

    @property
    def all(self) -> tuple[Parameter, ...]:
        """In the order of the definition."""
        return (*self.settings, *self.instances, *self.at_least, *self.at_most)

    @property
    def is_gated(self) -> bool:
        """Whether there is anything that the scores must be."""
        return bool(self.at_least or self.at_most)

    def instance_type(self, kind: str) -> Parameter:
        """The one that says on what a kind of job runs."""
        return next(parameter for parameter in self.instances if parameter.of == kind)


def parameters_of(plan: Plan) -> Parameters:
    """The parameters of a pipeline.

    Raises DispatchError for a setting that there is not, that no step depends on, or that a stage outside does.
    """
    kinds = sorted({step.parcel.kind for step in plan.steps})
    types = {kind: getattr(plan.backend, kind).instance_type for kind in kinds}
    thresholds = plan.settings.promotion.thresholds
    found = Parameters(
        settings=tuple(_of_setting(plan, key) for key in plan.backend.pipeline.parameters),
        instances=tuple(Parameter(f"{kind.title()}InstanceType", types[kind], kind) for kind in kinds),
        at_least=_of_scores(AT_LEAST, thresholds.at_least),
        at_most=_of_scores(AT_MOST, thresholds.at_most),
    )
    named = [parameter.name for parameter in found.all]
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise DispatchError(f"two parameters of the pipeline would be called {twice}. Leave one of them out.")
    return found


def _of_scores(kind: str, limits: dict[str, float]) -> tuple[Parameter, ...]:
    return tuple(Parameter(kind + camel(score), float(limit), score) for score, limit in sorted(limits.items()))


def _of_setting(plan: Plan, key: str) -> Parameter:
    where = f"compute.sagemaker.pipeline.parameters names {key}"
    try:
        value: Any = select(plan.params, key)
    except (KeyError, TypeError):
        raise DispatchError(f"{where}, which is not a setting.") from None
    if type(value) not in TYPES:
        raise DispatchError(
            f"{where}, which is {type(value).__name__}: a parameter is one text, number or truth value."
        )
    steps = {step.stage.name for step in plan.steps}
    using = [stage for stage in plan.pipeline.stages.values() if any(_holds(param, key) for param in stage.params)]
    before = [each for step in plan.steps for each in plan.pipeline.upstream(step.stage) if each.name not in steps]
    if outside := next((stage for stage in using if stage in before), None):
        raise DispatchError(f"{where}, which {outside.name} depends on, and that runs here, before the pipeline.")
    if not any(stage.name in steps for stage in using):
        raise DispatchError(f"{where}, which no step depends on: dvc.yaml says so.")
    return Parameter(camel(key), value, key)


def _holds(param: str, key: str) -> bool:
    return key == param or key.startswith(f"{param}.")


def camel(key: str) -> str:
    """`data.fraction` as parameters are called: DataFraction."""
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", key))
