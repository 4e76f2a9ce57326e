"""`lineage deploy` and `lineage undeploy`: a proved version at an endpoint, and what audits know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..base.errors import ServingError
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import own_tags
from ..proof.case import Evidence, ModelCase
from ..settings.params import Settings
from . import served_by
from .allowed import Permission
from .endpoint import UNDER_WAY, Endpoints, Running
from .files import bring, order_of, pack
from .models import make_config, make_model

MOST_CANARY = 50  # percent, as SageMaker has it

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Deployed:
    """What became of it."""

    endpoint: str
    model: str  # that the endpoint serves now; empty if none
    is_new: bool  # whether that is what was asked for
    text: str


def chain_tags(permission: Permission) -> dict[str, str]:
    """The chain of a version, as tags of everything in AWS that serves it."""
    case = permission.case
    assert case.version is not None
    tags = case.version.tags
    names = ("model_sha256", "artifact_sha256", "dvc_data_md5", "data_sha256", "data_git_commit_id")
    chain = {
        "lineage:model": case.title,
        "lineage:model_identity": case.identity,
        "lineage:result_git_commit_id": case.commit,
        **{f"lineage:{name}": tags[name] for name in names if tags.get(name)},
        "lineage:accepted": permission.reason or "nothing",
    }
    more = (permission.settings.compute.backends.get("sagemaker") or {}).get("tags") or {}
    return own_tags(case.evidence.project_id, {**more, **chain})


def upload(aws: Aws, case: ModelCase) -> str:
    """Puts the registered files where SageMaker reads them, and returns the address, which holds their hash."""
    aws.require_bucket()
    address = aws.address("serving", str(case.document["artifact"]["sha256"]), "model.tar.gz")
    aws.write(address, pack(bring(case)))  # again and again: whatever lies there, now it is this
    return address


def deploy(permission: Permission, name: str, canary: int | None, tell: Tell) -> Deployed:
    """Brings a version into service at an endpoint, new or there. Raises ServingError if it cannot be begun."""
    case, settings = permission.case, permission.settings
    assert case.version is not None
    aws = Aws.of(settings)
    endpoints = Endpoints(aws, case.evidence.project_id)
    former = endpoints.find(name)
    _require_possible(former, canary, settings)
    tags = chain_tags(permission)
    order = order_of(case, settings.serving.limits)
    model = make_model(aws, name, upload(aws, case), order, settings, tags)
    config = make_config(aws, model, settings, tags)
    store, number = case.evidence.store, str(case.version.version)
    was_said = case.title in map(served_by.title_of, served_by.versions_of(store, name))
    served_by.add(store, case.version.name, number, name)
    try:
        if former is None:
            endpoints.create(name, config, tags)
        else:
            endpoints.update(name, config, canary, settings)
    except ServingError as error:
        # who is refused may be the one whose change is under way: asked again after an answer was lost
        if not _has(endpoints.find(name), config):
            endpoints.tidy(config, model)
            if not was_said:
                served_by.remove(store, case.version.name, number, name)
            raise ServingError(f"{error} Nothing is left of this deployment; `lineage status` shows {name}.") from error
    # once more: another deployment that came to its end may have taken the tag for one that was left over
    served_by.add(store, case.version.name, number, name)
    # SageMaker changes an endpoint once at a time: what it serves meanwhile is what is replaced
    replaced = endpoints.find(name)
    for status in endpoints.wait(name):
        tell(f"{name}: {status}")
    now = endpoints.find(name)
    if now is None or now.config != config or now.status not in ("InService", "Updating"):
        return _failed(endpoints, now, replaced or former, case, config, name)
    endpoints.tag(now.arn, tags)
    _settle(endpoints, name, case)
    for gone in (former, replaced):
        if gone is not None and gone.config != config:
            endpoints.tidy(gone.config, gone.model)
    return Deployed(name, case.title, is_new=True, text=f"{name} serves {case.title}.")


def _has(found: Running | None, config: str) -> bool:
    """Whether an endpoint serves a configuration, or is being changed to it."""
    return found is not None and config in (found.config, found.coming)


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
        return Deployed(name, serves, is_new=False, text=f"{name} {went}: it does not serve {case.title}.{why}")
    clear = f"`lineage undeploy --endpoint {name}` clears it away."
    text = f"{name} is {now.status} and does not serve {case.title}.{why} {clear}"
    return Deployed(name, serves, is_new=False, text=text)


def undeploy(evidence: Evidence, settings: Settings, name: str, tell: Tell) -> str:
    """Deletes an endpoint of this project with what it ran, and says so to the audits. Returns what was done."""
    endpoints = Endpoints(Aws.of(settings), evidence.project_id)
    found = endpoints.find(name)
    if found is not None:
        if found.status in UNDER_WAY and found.status != "Deleting":
            raise ServingError(f"the endpoint {name} is {found.status}: AWS deletes none meanwhile. Ask again.")
        if found.status != "Deleting":
            endpoints.delete(name)
        for status in endpoints.wait(name):
            tell(f"{name}: {status}")
        endpoints.tidy(found.config, found.model)
    versions = served_by.versions_of(evidence.store, name)
    for version in versions:
        served_by.remove(evidence.store, version.name, str(version.version), name)
    titles = ", ".join(map(served_by.title_of, versions))
    said = f"the endpoint {name} is deleted" if found is not None else f"there was no endpoint {name}"
    return f"{said}; {f'{titles} has the tag no more' if titles else 'no version had its name as a tag'}."
