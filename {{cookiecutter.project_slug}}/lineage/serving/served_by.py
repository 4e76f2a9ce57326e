"""The tag `endpoint` of a version, by which audits know that it answers requests.

It is set before an endpoint gets the version and taken away after the endpoint has lost it: an audit may name an
endpoint that does not serve it yet, or no more, and never misses one that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..base.errors import ServingError
from ..proof.endpoints import ENDPOINT, endpoints_in
from ..tracking.store import Store

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


def title_of(version: ModelVersion) -> str:
    """models:/NAME/NUMBER."""
    return f"models:/{version.name}/{version.version}"


def versions_of(store: Store, endpoint: str) -> list[ModelVersion]:
    """The versions of this project that say now that they serve at an endpoint."""
    store.look_again()
    return [version for version in store.versions if endpoint in endpoints_in(version.tags)]


def add(store: Store, name: str, number: str, endpoint: str) -> None:
    """Says that a version serves at an endpoint. Raises ServingError if there is no such version."""
    _change(store, name, number, endpoint, is_there=True)


def remove(store: Store, name: str, number: str, endpoint: str) -> None:
    """Says that a version does not serve at an endpoint any more."""
    _change(store, name, number, endpoint, is_there=False)


def _change(store: Store, name: str, number: str, endpoint: str, *, is_there: bool) -> None:
    version = store.version(name, number)
    if version is None:
        if is_there:
            raise ServingError(
                f"models:/{name}/{number} is not in MLflow any more, so audits would not know that it serves."
            )
        return
    names = [each for each in endpoints_in(version.tags) if each != endpoint] + ([endpoint] if is_there else [])
    if names == endpoints_in(version.tags):
        return
    with store.asked(f"set the tag {ENDPOINT} of models:/{name}/{number}"):
        if names:
            store.client.set_model_version_tag(name, number, ENDPOINT, ",".join(names))
        else:
            store.client.delete_model_version_tag(name, number, ENDPOINT)
