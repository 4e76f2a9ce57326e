"""What the jobs of a pipeline need, to where they find it: data into the DVC remote, code to S3."""

from __future__ import annotations

from ....base.errors import DispatchError
from ....dvc.objects import Objects
from ....dvc.places import Places
from ....dvc.upload import upload_cached
from ....git.history import History
from .. import preflight
from ..aws import Aws
from .definition import define
from .offline import OfflineAws
from .parameters import Parameters
from .plan import Plan


def upload(plan: Plan, parameters: Parameters) -> tuple[Aws, str]:
    """The way to AWS, and the definition, when all that its jobs need is there.

    Raises DispatchError, before anything was sent, if a job could not work, as for a single stage.
    """
    if plan.git:
        _require_pushed(plan)
    expected = define(plan, parameters, OfflineAws(plan.backend, plan.settings.project_id))
    for step in plan.steps:
        parcel = step.parcel
        aws = preflight.check(plan.backend, plan.root, parcel.stage, plan.settings, parcel.instances)
    objects = Objects(Places(plan.root))
    for md5 in dict.fromkeys(plan.known_inputs().values()):
        upload_cached(objects, md5, set())
    definition = define(plan, parameters, aws)
    if definition != expected:
        raise DispatchError("the definition is another one when AWS is asked. Report this: nothing was made.")
    return aws, definition


def _require_pushed(plan: Plan) -> None:
    remote = History(plan.root).remote
    if remote.name is None or not remote.has_commit(plan.commit):
        where = remote.name or "a Git remote, of which this repository has none"
        raise DispatchError(
            f"{plan.commit[:12]} is not on {where}: its jobs clone it. `git push`, then run this again."
        )
