"""The chain of a version as tags of what serves it in AWS, and the reason that somebody gave with --accept."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime

from ..compute.sagemaker.tags import own_tags, tag_value
from ..proof.case import ModelCase
from .allowed import Permission

ACCEPTED = "serving_accepted_"  # begins the name of a tag of a version: each reason has a tag of its own
UNKNOWN = "unknown"
OF_CHAIN = "lineage:"
MODEL = f"{OF_CHAIN}model"  # models:/NAME/NUMBER


def note_reason(permission: Permission, what: str) -> str:
    """Keeps the accepted reason in a tag of the version, with what it was given for and by whom. Returns its name.

    Empty where none was needed. Raises TrackerError if it cannot be kept.
    """
    case, reason = permission.case, permission.reason
    if not reason:
        return ""
    assert case.version is not None
    name = f"{ACCEPTED}{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{secrets.token_hex(2)}"
    text = f"{what}, by {case.history.git.identity()}: {', '.join(permission.accepted)}: {reason}"
    with case.evidence.store.asked(f"keep the reason of --accept with {case.title}"):
        client = case.evidence.store.client
        client.set_model_version_tag(case.version.name, str(case.version.version), name, text)
    return name


def chain_of(case: ModelCase) -> dict[str, str | None]:
    """The chain as Git holds it, by the names that MLflow has for it; None for what is not known."""
    document, dataset = case.document, case.document["dataset"]
    return {
        "model_identity": case.identity,
        "model_sha256": document["model"].get("sha256"),
        "artifact_sha256": document["artifact"].get("sha256"),
        "dvc_data_md5": dataset.get("md5"),
        "data_sha256": dataset.get("sha256"),
        "data_git_commit_id": case.history.data_commit(dataset["md5"]),
        "result_git_commit_id": case.history.resolve(case.commit),
    }


def chain_tags(permission: Permission, noted: str) -> dict[str, str]:
    """The chain, as Git holds it, as tags of everything in AWS that serves the version.

    Each name is there, whatever is known of it: AWS keeps the value of a name that is left out. `noted` is the tag of
    the version with the reason, for one that a tag in AWS cannot hold.
    """
    case = permission.case
    chain = {"model": case.title, **chain_of(case), "accepted": _shown(permission.reason, noted)}
    more = (permission.settings.compute.backends.get("sagemaker") or {}).get("tags") or {}
    tags = {f"{OF_CHAIN}{name}": str(value or UNKNOWN) for name, value in chain.items()}
    return own_tags(case.evidence.project_id, {**more, **tags})


def _shown(reason: str, noted: str) -> str:
    if not reason:
        return "nothing"
    return reason if tag_value(reason) == reason else f"see the tag {noted} of the version in MLflow"


def unproved(tags: dict[str, str], project_id: str) -> dict[str, str]:
    """The tags of an endpoint of which it is not known what it serves."""
    return own_tags(project_id, {key: UNKNOWN if key.startswith(OF_CHAIN) else value for key, value in tags.items()})
