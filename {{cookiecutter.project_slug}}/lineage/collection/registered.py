"""Models that Git calls registered and of which MLflow has no version: deleted there, or MLflow has lost them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..proof.case import Evidence
from ..proof.git_models import GitModel
from ..proof.retired import retirement_at_head


def without_version(evidence: Evidence, models: Iterable[GitModel]) -> Iterator[str]:
    """Those of the models that a lineage.json gives a version, and that nobody has retired.

    To be asked of models that no version in MLflow keeps.
    """
    wanted = {model.identity: model for model in models}
    said = set[str]()
    for document in evidence.git_models.documents:
        model = wanted.get(str(document["model"].get("identity")))
        if model is None or not document["model"].get("version"):
            continue
        title = f"models:/{document['model'].get('name')}/{document['model']['version']}"
        if title not in said and not retirement_at_head(evidence.history, title, model.identity):
            said.add(title)
            yield (
                f"{title} is registered by lineage.json of {model.commits[0][:12]}, and MLflow has no such version. "
                "Bring the store back that has it, or leave out --past"
            )
