"""`lineage undeploy`: an endpoint is deleted with what it ran, and audits know it."""

from __future__ import annotations

from ..base.errors import ServingError
from ..compute.sagemaker.aws import Aws
from ..proof.case import Evidence
from ..settings.params import Settings
from . import served_by
from .deploy import Tell
from .endpoint import UNDER_WAY, Endpoints


def undeploy(evidence: Evidence, settings: Settings, name: str, tell: Tell, *, forget: bool = False) -> str:
    """Deletes an endpoint of this project with what it ran, and says so to the audits. Returns what was done.

    Raises ServingError where it is not in this account and region although a version names it: it may be in others, and
    audits must know of it. Only with `forget` the tag is taken away then.
    """
    endpoints = Endpoints(Aws.of(settings), evidence.project_id)
    found = endpoints.find(name)
    versions = served_by.versions_of(evidence.store, name)
    titles = ", ".join(map(served_by.title_of, versions))
    if found is None and versions and not forget:
        raise ServingError(
            f"there is no endpoint {name} in account {endpoints.aws.account or 'unknown'}, {endpoints.aws.region}, and "
            f"{titles} has the tag endpoint={name}. It may serve in another one: credentials and "
            f"compute.sagemaker.region say which is asked. If it is in none, `lineage undeploy --endpoint {name} "
            "--forget` takes the tag away."
        )
    if found is not None:
        if forget:
            raise ServingError(f"{name} is {found.status} here: --forget is for an endpoint that is nowhere any more.")
        if found.status in UNDER_WAY and found.status != "Deleting":
            raise ServingError(f"the endpoint {name} is {found.status}: AWS deletes none meanwhile. Ask again.")
        if found.status != "Deleting":
            endpoints.delete(name)
        for status in endpoints.wait(name):
            tell(f"{name}: {status}")
        endpoints.tidy(found.config, found.model)
    for version in served_by.versions_of(evidence.store, name):
        served_by.remove(evidence.store, version.name, str(version.version), name)
    said = f"the endpoint {name} is deleted" if found is not None else f"there was no endpoint {name}"
    return f"{said}; {f'{titles} has the tag no more' if titles else 'no version had its name as a tag'}."
