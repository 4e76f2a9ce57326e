"""What evidence needs of what is in the account: asked of MLflow and of Git."""

from __future__ import annotations

from functools import cached_property

from ..base.errors import ProjectError
from ..proof.case import Evidence

ENDPOINT = "endpoint"  # the tag of a version that names the endpoints which serve it


class Needed:
    """Why something stays. Where nobody can say whether it is needed, it stays, and the reason says so."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    @cached_property
    def _serving(self) -> dict[str, str] | str:
        """The version that serves at each endpoint; or why that is not known."""
        try:
            return {
                name.strip(): f"models:/{version.name}/{version.version}"
                for version in self._evidence.store.versions
                for name in version.tags.get(ENDPOINT, "").split(",")
                if name.strip()
            }
        except ProjectError as error:
            return f"whether a version serves there is not known: {error}"

    @cached_property
    def _identities(self) -> set[str] | str:
        """The model identities that MLflow and Git hold; or why they are not known."""
        try:
            self._evidence.history.require_complete()
            held = self._evidence.git_models
            if held.unreadable:
                return f"which models Git holds is not known: {held.unreadable[0]}"
            registered = {version.tags.get("model_identity", "") for version in self._evidence.store.versions}
            return set(held.models) | registered - {""}
        except ProjectError as error:
            return f"which models there are is not known: {error}"

    def endpoint(self, name: str) -> str:
        """Why an endpoint stays; empty if no version says that it serves there."""
        if isinstance(self._serving, str):
            return self._serving
        version = self._serving.get(name)
        return f"{version} serves there. `lineage undeploy` ends that" if version else ""

    def package(self, identity: str | None) -> str:
        """Why a package of the registry stays; empty if its model is nowhere any more."""
        if not identity:
            return "it does not say which model it is of"
        if isinstance(self._identities, str):
            return self._identities
        return "its model is in MLflow or in Git" if identity in self._identities else ""
