"""W3C PROV as PROV-JSON, made by the library `prov`: what was used and made by what. https://www.w3.org/TR/prov-dm/"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ..facts import Facts, Thing
from ..optional import need

if TYPE_CHECKING:
    from prov.model import ProvDocument


def prov(facts: Facts) -> dict[str, Any]:
    """The document. Raises ProjectError where the library is not installed."""
    need("prov", "lineage export --as prov")
    from prov.model import ProvDocument

    document = ProvDocument()
    document.add_namespace("lineage", f"urn:lineage:{facts.project_id}:")
    document.add_namespace("schema", "https://schema.org/")
    things = {
        "raw": facts.raw,
        "dataset": facts.dataset,
        "environment": facts.environment,
        "model": facts.model,
        "consent": facts.consent,
        "pretrained": facts.pretrained,
    }
    for name, thing in things.items():
        if thing is not None:
            _entity(document, name, thing)
    document.entity("lineage:code", {"prov:type": "schema:SoftwareSourceCode", "lineage:git_commit": facts.commit})
    scores = {f"lineage:{score.group}.{score.name}": score.value for score in facts.scores}
    document.entity("lineage:scores", scores)
    _activities(document, facts)
    return json.loads(document.serialize(format="json"))  # type: ignore[no-any-return]


def _entity(document: ProvDocument, name: str, thing: Thing) -> None:
    attributes = {"lineage:path": thing.path, "lineage:sha256": thing.sha256, "lineage:size": thing.size}
    document.entity(f"lineage:{name}", {"prov:label": name, **attributes, "lineage:md5": thing.md5})


def _activities(document: ProvDocument, facts: Facts) -> None:
    """Preparing the data, training, evaluating. The times are those of the training run, where MLflow knows them."""
    made, read = "lineage:model", ["lineage:dataset", "lineage:environment", "lineage:code"]
    read += ["lineage:pretrained"] if facts.pretrained else []
    document.activity("lineage:preparation")
    document.activity(
        "lineage:training",
        facts.started,
        facts.ended,
        {"prov:label": facts.title, **({"lineage:run_id": facts.run_id} if facts.run_id else {})},
    )
    document.activity("lineage:evaluation")
    document.usage("lineage:preparation", "lineage:raw")
    if facts.consent:
        document.usage("lineage:preparation", "lineage:consent")
    document.generation("lineage:dataset", "lineage:preparation")
    document.derivation("lineage:dataset", "lineage:raw")
    for name in read:
        document.usage("lineage:training", name)
    document.generation(made, "lineage:training")
    document.derivation(made, "lineage:dataset")
    if facts.pretrained:
        document.derivation(made, "lineage:pretrained")
    for name in (made, "lineage:dataset"):
        document.usage("lineage:evaluation", name)
    document.generation("lineage:scores", "lineage:evaluation")
    document.agent(
        "lineage:pipeline", {"prov:type": "prov:SoftwareAgent", "lineage:framework": facts.framework or "unknown"}
    )
    for name in ("preparation", "training", "evaluation"):
        document.association(f"lineage:{name}", "lineage:pipeline")
