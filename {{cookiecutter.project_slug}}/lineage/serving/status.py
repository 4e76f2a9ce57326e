"""`lineage status`: what the endpoints of this project serve, by AWS, against what the versions say."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import tag_value
from ..proof.case import Evidence
from ..proof.endpoints import endpoints_in
from ..settings.params import Settings
from .chain import MODEL
from .endpoint import Endpoints, Running
from .served_by import title_of


@dataclass
class Standing:
    """One endpoint, or one that only a version names. `faults` are differences between AWS and the tags."""

    name: str
    status: str
    model: str
    capture: str = ""
    note: str = ""
    faults: list[str] = field(default_factory=list)


def standing(evidence: Evidence, settings: Settings) -> list[Standing]:
    """Every endpoint of this project in this account and region, and every one that a version names."""
    endpoints = Endpoints(Aws.of(settings), evidence.project_id)
    said: dict[str, set[str]] = {}
    for version in evidence.store.versions:
        for name in endpoints_in(version.tags):
            said.setdefault(name, set()).add(title_of(version))
    found = []
    for name in endpoints.names():
        running = endpoints.find(name)
        if running is not None:
            found.append(_of_running(running, said.pop(name, set())))
    for name, titles in sorted(said.items()):
        fault = (
            f"{', '.join(sorted(titles))} has the tag endpoint={name}, and this account has no such endpoint in "
            f"{endpoints.aws.region}. If it is in no other: `lineage undeploy --endpoint {name} --forget` takes the "
            "tag away"
        )
        found.append(Standing(name, "not here", "", faults=[fault]))
    return found


def _of_running(running: Running, titles: set[str]) -> Standing:
    order = running.order
    shown = Standing(running.name, running.status, order.model if order else "", running.capture)
    if order is None:
        shown.faults.append(
            "what it serves cannot be read: its model in SageMaker is gone, or was not made by `deploy`"
        )
    elif order.model not in titles:
        shown.faults.append(f"{order.model} serves there and has no tag endpoint={running.name}: audits do not know it")
    # while it is changed, both versions have the tag
    elif len(titles) > 1 and running.status == "InService":
        others = ", ".join(sorted(titles - {order.model}))
        shown.faults.append(f"{others} has the tag endpoint={running.name}, and does not serve there")
    tagged = running.tags.get(MODEL) or "unknown"
    if order is not None and running.status == "InService" and tagged != tag_value(order.model):
        shown.faults.append(
            f"it was made to serve {order.model}, and its tag {MODEL} is {tagged}: `lineage deploy {order.model} "
            f"--endpoint {running.name}` asks it who answers"
        )
    if running.failure and running.status == "InService":  # it went back to what it serves
        shown.note = f"its last change was taken back: {running.failure}"
    elif running.failure:
        shown.faults.append(running.failure)
    return shown
