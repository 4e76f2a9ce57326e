"""The card of a package in the Model Registry: what the service takes of it.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema

The page is what the API's text names for ModelPackageModelCard. Of it the parts that a project may write; any other key
is refused here. AWS was not asked.
"""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft7Validator

from .expressions import RefusedError


def _text(most: int) -> dict[str, Any]:
    return {"type": "string", "maxLength": most}


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    return {**closed, "required": list(required), "properties": properties}


def _list(items: dict[str, Any], most: int) -> dict[str, Any]:
    return {"type": "array", "maxItems": most, "items": items}


_CUSTOM = {"type": "object", "additionalProperties": _text(1024)}
_SETTING = _object(("name", "value"), name=_text(255), value=_text(255))
_VALUE = {"type": ["number", "string", "boolean"]}
_METRIC = _object(("name", "type", "value"), name=_text(255), notes=_text(1024), type=_text(20), value=_VALUE)
_GROUP = _object(("name", "metric_data"), name=_text(63), metric_data=_list(_METRIC, 50))
SCHEMA = _object(
    model_overview=_object(model_creator=_text(1024), model_artifact=_list(_text(1024), 15)),
    intended_uses=_object(
        purpose_of_model=_text(2048), intended_uses=_text(2048), factors_affecting_model_efficiency=_text(2048)
    ),
    training_details=_object(
        training_observations=_text(1024),
        training_job_details=_object(
            training_arn=_text(1024),
            training_datasets=_list(_text(1024), 15),
            user_provided_hyper_parameters=_list(_SETTING, 100),
        ),
    ),
    evaluation_details=_list(
        _object(
            ("name",),
            name=_text(63),
            evaluation_observation=_text(2096),
            datasets=_list(_text(1024), 10),
            metadata=_CUSTOM,
            metric_groups=_list(_GROUP, 50),
        ),
        50,
    ),
    additional_information=_object(
        ethical_considerations=_text(2048), caveats_and_recommendations=_text(2048), custom_details=_CUSTOM
    ),
)


def check(content: str) -> None:
    """Raises RefusedError if a card is not as the schema has it."""
    try:
        faults = sorted(error.message[:200] for error in Draft7Validator(SCHEMA).iter_errors(json.loads(content)))
    except ValueError as error:
        faults = [f"no JSON: {error}"]
    if faults:
        raise RefusedError(f"Model card content is not valid: {'; '.join(faults)}")
