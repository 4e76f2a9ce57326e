"""The consent registry of this moment, before an execution starts."""

from __future__ import annotations

from ....chain.consent import require_consent
from ....contract import Role
from .plan import Plan


def require_consent_of(plan: Plan) -> None:
    """Raises ConsentError if a step would work with records of a subject whose consent has ended since the snapshot.

    Not where a step reads the registry itself.
    """
    reader = plan.pipeline.maker(Role.CONSENT)
    if reader is not None and reader in [step.stage for step in plan.steps]:
        return
    for step in plan.steps:
        require_consent(plan.root, plan.pipeline, step.stage, plan.settings)
