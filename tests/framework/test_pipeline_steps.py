"""Parts of pipelines that need neither AWS nor its SDK: arguments against the API, names, settings."""

from __future__ import annotations

from typing import Any

import pytest

from lineage.base.errors import DispatchError
from lineage.compute.sagemaker.pipelines.gate import json_path
from lineage.compute.sagemaker.pipelines.inside import given_settings, step_name, with_value
from lineage.compute.sagemaker.pipelines.parameters import camel
from lineage.compute.sagemaker.pipelines.validation import validate

JOIN = {"Std:Join": {"On": "/", "Values": ["s3://bucket", {"Get": "Execution.PipelineExecutionId"}]}}


def processing(**more: Any) -> dict[str, Any]:
    cluster = {"InstanceType": {"Get": "Parameters.Type"}, "InstanceCount": 1, "VolumeSizeInGB": 1}
    arguments = {
        "RoleArn": "arn:aws:iam::123456789012:role/jobs",
        "AppSpecification": {"ImageUri": "image:1"},
        "ProcessingResources": {"ClusterConfig": cluster},
        "Environment": {"WHERE": JOIN},
        **more,
    }
    return {"Name": "work", "Type": "Processing", "Arguments": arguments}


def condition(*steps: dict[str, Any]) -> dict[str, Any]:
    return {"Name": "gate", "Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [*steps], "ElseSteps": []}}


def test_a_definition_as_it_must_be() -> None:
    artifact = {"ArtifactName": JOIN, "ArtifactType": "Model", "Source": {"SourceUri": JOIN}}
    record = {"Name": "record", "Type": "Lineage", "Arguments": {"Artifacts": [artifact], "Associations": []}}
    validate({"Steps": [processing(), condition(record)]})


FAULTS = [
    (processing(Unknown=1), "Unknown parameter in input"),
    (processing(StoppingCondition={"MaxRuntimeInSeconds": "60"}), "Invalid type for parameter"),
    (processing(AppSpecification={}), "Missing required parameter"),
    (condition(processing(Unknown=1)), "Unknown parameter in input"),
    ({**processing(), "DependOn": ["x"]}, "has DependOn, which steps do not have"),
    ({"Name": "x", "Type": "Lambda", "Arguments": {}}, "of the kind Lambda"),
    ({"Name": "x", "Type": "Fail", "Arguments": {}}, "must have ErrorMessage"),
    (condition(processing(), processing()), "two steps of the pipeline are called work"),
]


@pytest.mark.parametrize(("step", "said"), FAULTS, ids=[said for _, said in FAULTS])
def test_what_the_service_would_refuse(step: dict[str, Any], said: str) -> None:
    with pytest.raises(DispatchError, match=said):
        validate({"Steps": [step]})


def test_names() -> None:
    assert camel("data.fraction") == "DataFraction"
    assert camel("test.f1_macro") == "TestF1Macro"
    assert step_name("consent@registry") == "consent-registry"
    assert json_path("test.f1_macro") == "test.f1_macro"
    assert json_path("test.by site.a-b") == "['test']['by site']['a-b']"


def test_only_what_may_be_set_is() -> None:
    environment = {"PIPELINE_SETTING_0": "data.fraction=0.5", "PIPELINE_EXECUTION": "x"}
    assert given_settings(environment, ["data.fraction"]) == {"data.fraction": "0.5"}
    for allowed in ([], ["data.fraction", "train.seed"]):
        with pytest.raises(DispatchError, match="is not among the settings"):
            given_settings(environment, allowed)


def test_a_setting_is_written_and_nothing_else() -> None:
    text = "seed: 1\ntrain:\n  seed: 2 # two\n  more:\n    seed: null\n  names:\n  - seed\ndata:\n  seed: a\n"
    assert with_value(text, "train.seed", 3) == text.replace("  seed: 2 # two", "  seed: 3")
    assert with_value(text, "train.more.seed", 0.5) == text.replace("null", "0.5")
    assert with_value(text, "data.seed", "x: y") == text.replace("seed: a", 'seed: "x: y"')
    assert with_value(text, "nothing", True) == text
