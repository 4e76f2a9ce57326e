"""The rule of infra/ for opt-outs, in the stand-in: an event starts the pipeline, as the role that is named there."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_standin.permissions import LOG, SWITCH
from aws_standin.place import client_of
from baked import bake
from events import say_registry_changed, set_up_opt_out
from infrastructure import REGION, Infrastructure, make_role
from servers import aws_standin

HALF = {"Type": "Equals", "LeftValue": {"Get": "Parameters.DataFraction"}, "RightValue": 0.5}
NOT_HALF = {"Name": "whole", "Type": "Fail", "Arguments": {"ErrorMessage": "it is not half of it"}}
IS_HALF = {"Conditions": [HALF], "IfSteps": [], "ElseSteps": [NOT_HALF]}
# no step is a job: what is looked at is what the execution was started with
DEFINITION = {
    "Version": "2020-12-01",
    "Parameters": [{"Name": "DataFraction", "Type": "Float", "DefaultValue": 1.0}],
    "Steps": [{"Name": "half", "Type": "Condition", "Arguments": IS_HALF}],
}


@dataclass
class Account:
    """The stand-in with IAM in force, and the rule, the role and the queue of infra/ in it."""

    state: Path
    infrastructure: Infrastructure
    client: Callable[[str], Any]
    queue: str

    def executions(self) -> dict[str, str]:
        """Status by ARN."""
        listed = self.client("sagemaker").list_pipeline_executions(PipelineName="digits")["PipelineExecutionSummaries"]
        return {each["PipelineExecutionArn"]: each["PipelineExecutionStatus"] for each in listed}

    def started_by(self, happens: Callable[[], None]) -> dict[str, str]:
        """The executions that are there after something happened and were not before, at their end."""
        known, deadline = self.executions().keys(), time.monotonic() + 30
        happens()
        while "Executing" in self.executions().values():
            assert time.monotonic() < deadline
            time.sleep(0.05)  # between two looks at the condition
        return {arn: status for arn, status in self.executions().items() if arn not in known}

    def opt_out(self) -> None:
        say_registry_changed(self.infrastructure, self.client("events"))

    def put_target(self, **changed: Any) -> None:
        """The target of the rule, with something in it changed."""
        rule = self.infrastructure.stacks["operations"].resources("AWS::Events::Rule")["OptOut"]
        self.client("events").put_targets(Rule=rule["Name"], Targets=[{**rule["Targets"][0], **changed}])

    def lost(self) -> list[str]:
        """Why events started nothing, as the queue has it since it was last asked."""
        asked = {"QueueUrl": self.queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]}
        found = self.client("sqs").receive_message(**asked).get("Messages", [])
        for message in found:
            assert json.loads(message["Body"])["detail-type"] == "consent registry changed"
            self.client("sqs").delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return [message["MessageAttributes"]["ERROR_MESSAGE"]["StringValue"] for message in found]


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("aws")
    root = bake(folder, infra="yes")
    given = {"ProjectId": "p1", "NotifyEmail": "ops@example.org", "PipelineName": "digits", "Group": "digits-p1"}
    infrastructure = Infrastructure(root, **given)
    with aws_standin(folder, {}) as endpoint:

        def client(service: str) -> Any:
            return client_of(service, endpoint, REGION)

        for name in ("events", "pipeline"):
            make_role(client("iam"), infrastructure.roles()[name])
        queue = set_up_opt_out(infrastructure, client)
        named = {
            "PipelineName": "digits",
            "RoleArn": infrastructure.outputs()["PipelineRole"],
            "ClientRequestToken": "x" * 32,
        }
        client("sagemaker").create_pipeline(**named, PipelineDefinition=json.dumps(DEFINITION))
        (folder / SWITCH).touch()
        yield Account(folder, infrastructure, client, queue)


def test_an_opt_out_starts_the_pipeline_as_the_role_of_the_rule(account: Account) -> None:
    assert list(account.started_by(account.opt_out).values()) == ["Failed"]  # with the defaults, all of the data
    made = [json.loads(line) for line in (account.state / LOG).read_text(encoding="utf-8").splitlines()]
    (request,) = [each for each in made if each["role"] == "traceable-digits-events"]
    assert (request["action"], request["allowed"]) == ("sagemaker:StartPipelineExecution", True)
    assert account.lost() == []


def test_with_the_parameters_that_the_target_has(account: Account) -> None:
    half = [{"Name": "DataFraction", "Value": "0.5"}]
    account.put_target(SageMakerPipelineParameters={"PipelineParameterList": half})
    ((arn, status),) = account.started_by(account.opt_out).items()
    asked = account.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=arn)
    assert (status, asked["PipelineParameters"]) == ("Succeeded", half)


def test_another_event_starts_nothing(account: Account) -> None:
    def happens() -> None:
        for source, kind in (("others.consent", "consent registry changed"), ("traceable-digits.consent", "a backup")):
            entry = {"Source": source, "DetailType": kind, "Detail": "{}"}
            account.client("events").put_events(Entries=[entry])

    assert account.started_by(happens) == {}
    account.client("events").disable_rule(Name="traceable-digits-opt-out")
    assert account.started_by(account.opt_out) == {}
    account.client("events").enable_rule(Name="traceable-digits-opt-out")
    assert account.lost() == []


def test_an_event_that_starts_nothing_is_in_the_queue(account: Account) -> None:
    account.put_target(SageMakerPipelineParameters={"PipelineParameterList": [{"Name": "Other", "Value": "1"}]})
    assert account.started_by(account.opt_out) == {}
    assert "Unknown pipeline parameters: Other" in account.lost()[0]
    account.put_target(RoleArn=account.infrastructure.outputs()["JobsRole"])  # there is no such role
    assert account.started_by(account.opt_out) == {}
    assert "not found" in account.lost()[0]
    (role,) = [role for name, role in account.infrastructure.roles().items() if name == "events"]
    account.put_target()
    account.client("iam").delete_role_policy(RoleName=role["RoleName"], PolicyName="events")
    try:
        assert account.started_by(account.opt_out) == {}
    finally:
        document = json.dumps(role["Policies"][0]["PolicyDocument"])
        asked = {"RoleName": role["RoleName"], "PolicyName": "events", "PolicyDocument": document}
        account.client("iam").put_role_policy(**asked)
    assert any("not authorized to perform: sagemaker:StartPipelineExecution" in said for said in account.lost())


def test_a_queue_takes_what_its_policy_lets_the_rule_put_there(account: Account) -> None:
    account.put_target(Arn="arn:aws:sagemaker:eu-central-1:123456789012:pipeline/gone")
    text = account.client("sqs").get_queue_attributes(QueueUrl=account.queue, AttributeNames=["Policy"])
    of_another = text["Attributes"]["Policy"].replace("rule/traceable-digits-opt-out", "rule/another")
    account.client("sqs").set_queue_attributes(QueueUrl=account.queue, Attributes={"Policy": of_another})
    account.opt_out()
    assert account.lost() == []
    account.client("sqs").set_queue_attributes(QueueUrl=account.queue, Attributes=text["Attributes"])
    account.opt_out()
    assert len(account.lost()) == 1
