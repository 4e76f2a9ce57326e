"""What people see first of a version, once a commit holds its result: the card that names it, and the scores."""

from __future__ import annotations

from ..base.errors import LineageError
from ..chain.card import card, to_markdown
from ..chain.document import scores_by_name
from ..tracking.described import place_card
from .case import ModelCase


def describe_version(case: ModelCase) -> bool:
    """Names the result commit in the model card, and shows the scores in the run that the version leads to.

    Where MLflow compares versions, it reads the metrics of that run. False if somebody has edited the description.
    """
    version, store = case.version, case.evidence.store
    assert version is not None
    try:
        document, described = case.document, case.describes_model(case.commit)
    except LineageError:  # no commit holds it, or another store's version is in the lineage.json there
        return True
    if not described:
        return True
    with store.asked(f"describe {case.title}"):
        placed = place_card(version.description, to_markdown(card(document, str(version.version), case.tagged_commit)))
        if placed is not None and placed != version.description:
            store.client.update_model_version(version.name, version.version, description=placed)
        run = store.run(version.run_id) if version.run_id else None
        if run is not None and run.info.lifecycle_stage == "active":
            for key, value in scores_by_name(document["metrics"]).items():
                if run.data.metrics.get(key) != value:
                    store.client.log_metric(run.info.run_id, key, value)
    return placed is not None
