"""`lineage deploy`: a proved version at an endpoint, and what audits know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..base.errors import ProjectError, ServingError
from ..compute.sagemaker.aws import Aws
from ..proof.case import ModelCase
from ..settings.params import Settings
from . import served_by
from .allowed import Permission
from .chain import chain_tags, note_reason, unproved
from .endpoint import UNDER_WAY, Endpoints, Running
from .files import bring, order_of, pack
from .invoke import who_answers
from .models import make_config, make_model
from .program.order import Order

MOST_CANARY = 50  # percent, as SageMaker has it

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Deployed:
    """What became of it."""

    is_done: bool  # whether all that was asked for is so
    text: str


def upload(aws: Aws, case: ModelCase, folder: Path) -> str:
    """Puts the registered files where SageMaker reads them, and returns the address, which holds their hash."""
    aws.require_bucket()
    address = aws.address("serving", str(case.document["artifact"]["sha256"]), "model.tar.gz")
    aws.write(address, pack(folder))  # again and again: whatever lies there, now it is this
    return address


def deploy(permission: Permission, name: str, canary: int | None, tell: Tell) -> Deployed:
    """Brings a version into service at an endpoint, new or there. Raises ServingError if it cannot be begun."""
    case, settings = permission.case, permission.settings
    aws = Aws.of(settings)
    endpoints = Endpoints(aws, case.evidence.project_id)
    former = endpoints.find(name)
    _require_possible(former, canary, settings)
    tags = chain_tags(permission, note_reason(permission, f"to deploy to {name} in {aws.region}"))
    order, folder = order_of(case, settings.serving.limits), bring(case)
    model = make_model(aws, name, upload(aws, case, folder), order, settings, tags)
    config = _begin(endpoints, permission, model, former, name, canary, tags)
    # SageMaker changes an endpoint once at a time: what it serves meanwhile is what is replaced
    replaced = endpoints.find(name)
    for status in endpoints.wait(name):
        tell(f"{name}: {status}")
    now = endpoints.find(name)
    if now is None or now.config != config or now.status not in ("InService", "Updating"):
        return _failed(endpoints, now, replaced or former, case, config, name)
    other = _who_else_answers(aws, name, order, folder)
    if other:
        again = endpoints.find(name)
        if again is None or again.config != config:  # somebody has deployed meanwhile
            return _failed(endpoints, again, replaced or former, case, config, name)
    gone = [each for each in (former, replaced) if each is not None and each.config != config]
    steps: list[Callable[[], None]] = [partial(endpoints.tidy, each.config, each.model) for each in gone]
    if other:
        # the tag of the former version stays: nobody knows what answers
        steps.append(partial(endpoints.tag, now.arn, unproved(tags, case.evidence.project_id)))
    else:
        steps = [partial(endpoints.tag, now.arn, tags), partial(_settle, endpoints, name, case), *steps]
    return _done(name, case, other, _faults_of(steps))


def _begin(
    endpoints: Endpoints,
    permission: Permission,
    model: str,
    former: Running | None,
    name: str,
    canary: int | None,
    tags: dict[str, str],
) -> str:
    """Has AWS begin to bring a Model into service; returns its configuration.

    Raises ServingError if AWS did not begin: then what was made for it is taken away again.
    """
    case, settings = permission.case, permission.settings
    assert case.version is not None
    store, number, config, was_said = case.evidence.store, str(case.version.version), "", True
    try:
        config = make_config(endpoints.aws, model, settings, tags)
        was_said = case.title in map(served_by.title_of, served_by.versions_of(store, name))
        served_by.add(store, case.version.name, number, name)
        if former is None:
            endpoints.create(name, config, tags)
        else:
            endpoints.update(name, config, canary, settings)
    except ProjectError as error:
        # who is refused may be the one whose change is under way: asked again after an answer was lost
        if not config or not _has(endpoints.find(name), config):
            steps: list[Callable[[], None]] = [partial(endpoints.tidy, config, model)]
            if not was_said:
                steps.append(partial(served_by.remove, store, case.version.name, number, name))
            left = "; ".join(_faults_of(steps))
            left = f"Something is left of this deployment: {left}" if left else "Nothing is left of this deployment"
            raise ServingError(f"{error} {left}; `lineage status` shows {name}.") from error
    # once more: another deployment that came to its end may have taken the tag for one that was left over
    _faults_of([partial(served_by.add, store, case.version.name, number, name)])  # `_settle` says it at the end
    return config


def _has(found: Running | None, config: str) -> bool:
    """Whether an endpoint serves a configuration, or is being changed to it."""
    return found is not None and config in (found.config, found.coming)


def _faults_of(steps: list[Callable[[], None]]) -> list[str]:
    """Takes all steps, and returns what went wrong in some: none of them is a reason to leave out the others."""
    found = []
    for step in steps:
        try:
            step()
        except ProjectError as error:
            found.append(str(error))
    return found


def _who_else_answers(aws: Aws, name: str, order: Order, folder: Path) -> str:
    """Why it is not known that the endpoint answers as this version; empty if it does.

    That a container is healthy says nothing of what is in it: its answer to the example does.
    """
    try:
        said = who_answers(aws, name, folder)
    except ProjectError as error:
        return str(error)
    if said.fault:
        return f"it did not answer the example of the model: {said.fault}"
    if said.which != order.which:
        return f"its answer says {said.which or 'nothing of which model gave it'}, not {order.which}"
    return ""


def _done(name: str, case: ModelCase, other: str, faults: list[str]) -> Deployed:
    """What is there once AWS has brought a configuration into service."""
    more = f" Not done: {'; '.join(faults)} `lineage status` names what differs." if faults else ""
    if not other:
        return Deployed(not faults, f"{name} serves {case.title}.{more}")
    text = f"{name} is in service, and nobody knows that it serves {case.title}: {other.rstrip('.')}."
    now = (
        f"serving.endpoint.image must be made from this project's Dockerfile; `lineage deploy {case.title}` asks again."
    )
    return Deployed(is_done=False, text=f"{text} {now}{more}")


def _settle(endpoints: Endpoints, name: str, case: ModelCase) -> None:
    """Says of the version that serves that it does, and of all others that they do not.

    Not while somebody changes the endpoint again: whoever does will.
    """
    store, version = case.evidence.store, case.version
    assert version is not None
    served_by.add(store, version.name, str(version.version), name)
    for other in served_by.versions_of(store, name):
        now = endpoints.find(name)
        if now is None or now.status != "InService":
            return
        if served_by.title_of(other) != case.title:
            served_by.remove(store, other.name, str(other.version), name)


def _require_possible(former: Running | None, canary: int | None, settings: Settings) -> None:
    if former is not None and former.status in UNDER_WAY:
        raise ServingError(f"the endpoint {former.name} is {former.status}. `lineage status` says when it is not.")
    if former is not None and former.status == "Failed":
        raise ServingError(f"the endpoint {former.name} is Failed: {former.failure} `lineage undeploy` clears it away.")
    if canary is None:
        return
    if not 1 <= canary <= MOST_CANARY:
        raise ServingError(f"--canary is 1 to {MOST_CANARY} percent, as SageMaker has it.")
    if former is None:
        raise ServingError("--canary is for an endpoint that serves already: there is nothing to go back to.")
    if not settings.serving.endpoint.canary.alarms:
        raise ServingError(
            "--canary needs serving.endpoint.canary.alarms, names of CloudWatch alarms: without one, nothing would "
            "bring the former version back."
        )


def _failed(
    endpoints: Endpoints, now: Running | None, before: Running | None, case: ModelCase, config: str, name: str
) -> Deployed:
    """What is there after a deployment that did not end as it should. Only what surely serves nothing is taken away.

    `before` is what the endpoint was when the change began.
    """
    assert case.version is not None
    serves = now.order.model if now is not None and now.order is not None and now.status == "InService" else ""
    why = f" {now.failure}" if now is not None and now.failure else ""
    if now is None or (now.status == "InService" and now.config != config):
        endpoints.tidy(config, config)
        if serves != case.title:
            served_by.remove(case.evidence.store, case.version.name, str(case.version.version), name)
        if now is None:
            went = "is not there"
        elif before is not None and now.config == before.config:
            went = f"went back to {serves or 'what it served before'}"
        else:
            went = f"serves {serves or 'something else'}, which somebody has deployed meanwhile"
        return Deployed(is_done=False, text=f"{name} {went}: it does not serve {case.title}.{why}")
    clear = f"`lineage undeploy --endpoint {name}` clears it away."
    return Deployed(is_done=False, text=f"{name} is {now.status} and does not serve {case.title}.{why} {clear}")
