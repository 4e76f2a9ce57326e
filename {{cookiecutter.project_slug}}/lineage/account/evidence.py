"""What evidence needs of what is in the account: asked of every MLflow store that Git names, and of Git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from ..base.errors import ProjectError
from ..proof.case import Evidence
from ..proof.endpoints import endpoints_in
from ..proof.stores import Stores

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL_TAG = "lineage:model"  # of an endpoint: the version that it serves, as models:/NAME/NUMBER
IDENTITY_TAG = "lineage:model_identity"


class Needed:
    """Why something stays. Where nobody can say whether it is needed, it stays, and the reason says so."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    @cached_property
    def _versions(self) -> list[ModelVersion] | str:
        """The versions of this project in every store; or why they are not known: one that was left may hold more."""
        try:
            stores = Stores(self._evidence)
            if stores.not_asked:
                return stores.not_asked[0]
            return [version for store in stores.asked for version in store.versions]
        except ProjectError as error:
            return str(error)

    @cached_property
    def _identities(self) -> set[str] | str:
        """The model identities that MLflow and Git hold; or why they are not known."""
        try:
            self._evidence.history.require_complete()
            held = self._evidence.git_models
            if held.unreadable:
                return f"which models Git holds is not known: {held.unreadable[0]}"
        except ProjectError as error:
            return f"which models there are is not known: {error}"
        if isinstance(self._versions, str):
            return f"which models there are is not known: {self._versions}"
        registered = {version.tags.get("model_identity", "") for version in self._versions}
        return set(held.models) | registered - {""}

    def endpoint(self, name: str, status: str, tags: Mapping[str, str]) -> str:
        """Why an endpoint stays that AWS describes so; empty if nobody needs it.

        One that answers goes only if its version is known, and says that it serves there no more.
        """
        if isinstance(self._versions, str):
            return f"whether a version serves there is not known: {self._versions}"
        return served_by(self._versions, name, status, tags)

    def package(self, identity: str | None) -> str:
        """Why a package of the registry stays; empty if its model is nowhere any more."""
        if not identity:
            return "it does not say which model it is of"
        if isinstance(self._identities, str):
            return self._identities
        return "its model is in MLflow or in Git" if identity in self._identities else ""


def served_by(versions: Sequence[ModelVersion], name: str, status: str, tags: Mapping[str, str]) -> str:
    """Why an endpoint stays, of which these are all versions that may serve there; empty if none does."""
    for version in versions:
        if name in endpoints_in(version.tags):
            return f"models:/{version.name}/{version.version} serves there. `lineage undeploy` ends that"
    if status == "InService" and not any(_is_of(version, tags) for version in versions):
        what = tags.get(MODEL_TAG) or "what its tags do not say"
        return (
            f"it answers requests with {what}, and no MLflow store that Git names holds that. "
            f"`lineage undeploy --endpoint {name}` deletes it"
        )
    return ""


def _is_of(version: ModelVersion, tags: Mapping[str, str]) -> bool:
    """Whether a version is the one that the tags of an endpoint name: those of AWS have no more than 256 characters."""
    is_named = tags.get(MODEL_TAG, "").endswith(f"/{version.version}")
    return is_named and version.tags.get("model_identity") == tags.get(IDENTITY_TAG)
