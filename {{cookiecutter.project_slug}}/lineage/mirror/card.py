"""The model card of a package, in SageMaker's form, from what the card in MLflow says.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-details.html#model-card-schema
"""

from __future__ import annotations

import json
from typing import Any

from ..chain.card import card
from ..proof.case import ModelCase
from ..settings import flatten

MOST_SETTINGS, MOST_SCORES = 100, 50
LONGEST_NAME, LONGEST_VALUE, LONGEST_NOTE, LONGEST_TEXT = 255, 255, 1024, 2048  # characters
MOST = 100_000  # characters of the whole


def card_of(case: ModelCase) -> str:
    """The text of the card. What is longer than SageMaker takes is cut, and the card says so."""
    document = case.document
    assert case.version is not None
    parts = card(document, str(case.version.version), case.commit)
    settings = flatten(document["parameters"])
    scored = [(group, found) for group, found in parts["scores"].items() if found["values"]]
    limits = "\n".join(parts["limits"])
    chain = {link["name"]: str(link["text"])[:LONGEST_NOTE] for link in parts["chain"] if link["text"]}
    made: dict[str, Any] = {
        "model_overview": {"model_artifact": [f"sha256:{document['artifact']['sha256']}"], **_creator(document)},
        "training_details": {
            "training_observations": _data(parts["data"])[:LONGEST_NOTE],
            "training_job_details": {
                "training_datasets": [f"DVC {document['dataset']['md5']}"],
                "user_provided_hyper_parameters": [
                    {"name": key[:LONGEST_NAME], "value": _text(value)[:LONGEST_VALUE]}
                    for key, value in list(settings.items())[:MOST_SETTINGS]
                ],
            },
        },
        "evaluation_details": [_evaluation(group, found, document) for group, found in scored],
        "additional_information": {
            "caveats_and_recommendations": limits[:LONGEST_TEXT],
            "custom_details": {**chain, "the rest": "lineage.json of the result commit, and the version in MLflow"},
        },
    }
    text = json.dumps(made, ensure_ascii=False, sort_keys=True)
    if len(text) > MOST:  # settings are what can be long
        made["training_details"]["training_job_details"].pop("user_provided_hyper_parameters")
        text = json.dumps(made, ensure_ascii=False, sort_keys=True)
    return text


def _creator(document: dict[str, Any]) -> dict[str, str]:
    user = ((document["training_run"].get("started_from") or {}).get("mlflow.user") or "")[:LONGEST_NOTE]
    return {"model_creator": user} if user else {}


def _data(data: dict[str, Any]) -> str:
    counts = ", ".join(f"{split}: {records} records" for split, (records, _) in data["splits"].items())
    return f"source {data['source']}; {counts}"


def _evaluation(group: str, found: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    scores = [_score(name, score) for name, score in list(found["values"].items())[:MOST_SCORES]]
    return {
        "name": group[:63],
        "evaluation_observation": f"{found['records']} records of {found['subjects']} subjects",
        "datasets": [f"DVC {document['dataset']['md5']}"],
        "metric_groups": [{"name": group[:63], "metric_data": scores}],
    }


def _score(name: str, score: dict[str, Any]) -> dict[str, Any]:
    bounds = score["low"], score["high"]
    note = {"notes": f"interval {bounds[0]:.4g} to {bounds[1]:.4g}"} if None not in bounds else {}
    return {"name": name[:LONGEST_NAME], "type": "number", "value": score["value"], **note}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
