"""The rule of infra/ that starts the pipeline, with its queue for lost events, set up in the stand-in for AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from infrastructure import ACCOUNT, REGION, Infrastructure


def set_up_opt_out(infrastructure: Infrastructure, client: Callable[[str], Any]) -> str:
    """Makes the rule `OptOut` and its queue, as the template has them. Returns the address of the queue."""
    stack = infrastructure.stacks["operations"]
    queue = stack.resources("AWS::SQS::Queue")["LostEvents"]
    stack.ids["LostEvents"] = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue['QueueName']}"
    policy = stack.resources("AWS::SQS::QueuePolicy")["LostEventsPolicy"]["PolicyDocument"]
    attributes = {"Policy": json.dumps(policy), "MessageRetentionPeriod": str(queue["MessageRetentionPeriod"])}
    address = client("sqs").create_queue(QueueName=queue["QueueName"], Attributes=attributes)["QueueUrl"]
    rule = stack.resources("AWS::Events::Rule")["OptOut"]
    client("events").put_rule(Name=rule["Name"], EventPattern=json.dumps(rule["EventPattern"]))
    said = client("events").put_targets(Rule=rule["Name"], Targets=rule["Targets"])
    assert said["FailedEntryCount"] == 0, said
    return str(address)


def say_registry_changed(infrastructure: Infrastructure, events: Any) -> None:
    """What docs/infrastructure.md has whoever keeps the consent registry say. The event names nobody."""
    rule = infrastructure.stacks["operations"].resources("AWS::Events::Rule")["OptOut"]
    (source,), (kind,) = rule["EventPattern"]["source"], rule["EventPattern"]["detail-type"]
    said = events.put_events(Entries=[{"Source": source, "DetailType": kind, "Detail": "{}"}])
    assert said["FailedEntryCount"] == 0, said
