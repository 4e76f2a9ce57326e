"""EventBridge: a rule whose target is a pipeline starts it, with the parameters and as the role that the target names.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html

moto keeps rules and targets, and says which events a rule is for; to a pipeline it hands nothing on. Who puts an event
never hears what became of it: an event that starts nothing goes into the queue of the target, if that may take it. An
error is not tried again here, whatever the target's RetryPolicy says.
"""

from __future__ import annotations

import json
from typing import Any

from moto.events.models import Rule
from moto.sqs.models import sqs_backends

from .place import Place
from .policy import Need, is_allowed

SERVICE = "events.amazonaws.com"


def hand_on(place: Place) -> None:
    """Lets rules of moto's start pipelines."""
    others = Rule.send_to_targets

    def send(self: Rule, event: Any, *more: Any) -> None:
        if self.state != "ENABLED" or not self.event_pattern.matches_event(event):
            return
        targets = self.targets
        for target in [each for each in targets if ":pipeline/" in each["Arn"]]:
            _start(place, self, target, event)
        self.targets = [each for each in targets if ":pipeline/" not in each["Arn"]]
        try:
            others(self, event, *more)
        finally:
            self.targets = targets

    Rule.send_to_targets = send


def _start(place: Place, rule: Rule, target: dict[str, Any], event: Any) -> None:
    given = (target.get("SageMakerPipelineParameters") or {}).get("PipelineParameterList") or []
    asked = {"PipelineName": target["Arn"].rpartition("/")[2], **({"PipelineParameters": given} if given else {})}
    try:
        client = place.client_with("sagemaker", place.credentials(target["RoleArn"], SERVICE))
        client.start_pipeline_execution(**asked)
    except Exception as error:
        _lose(place, rule, target, event, error)


def _lose(place: Place, rule: Rule, target: dict[str, Any], event: Any, error: Exception) -> None:
    """An event that started nothing, into the queue for such, if the policy of that lets the rule."""
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    if not queue or not _may_send(queue, rule.arn, place.region):
        return
    said = {"RULE_ARN": rule.arn, "TARGET_ARN": target["Arn"], "ERROR_MESSAGE": str(error)}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in said.items()}
    client = place.client("sqs")
    address = client.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"]
    client.send_message(QueueUrl=address, MessageBody=json.dumps(event, default=str), MessageAttributes=attributes)


def _may_send(queue: str, rule: str, region: str) -> bool:
    """Whether the policy of a queue lets a rule of EventBridge put a message there."""
    _, _, _, _, account, name = queue.split(":")
    found = sqs_backends[account][region].queues.get(name)
    if found is None or not found.policy:
        return False
    of_service = [
        {**statement, "Principal": "*"}
        for statement in json.loads(found.policy)["Statement"]
        if isinstance(statement["Principal"], dict) and SERVICE in _listed(statement["Principal"].get("Service"))
    ]
    return is_allowed(Need("sqs:SendMessage", queue, {"aws:SourceArn": rule}), [{"Statement": of_service}])


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
