"""Whether the aliases that are decided on are where the decisions in Git put them, and none was left half made."""

from __future__ import annotations

from pathlib import Path

from ..base.errors import TrackerError
from ..base.finding import Finding
from ..base.printable import some
from ..dvc.dvcfile import PARAMS_FILE
from ..git.anchor import main_root
from ..git.history import History
from ..proof.decisions import Decisions, Line, left_behind, standing
from ..settings import load_settings
from ..tracking.address import SQLITE, absolute_uri
from .registry import FileRegistry, ServerRegistry, registry_at

CHECK = "promotions"


def check_decisions(root: Path) -> Finding:
    """The worst of what is to be said of each alias."""
    settings, history = load_settings(root / PARAMS_FILE), History(root)
    if history.git.head() is None:
        return Finding(CHECK, "right", "there is no commit yet")
    if left := left_behind(history):
        text = f"{some(left)} lies here and in no commit, so it decides nothing: a promotion was interrupted."
        return Finding(CHECK, "wrong", text, f"lineage promote --as-decided --to {settings.promotion.aliases[0]}")
    decisions, model = Decisions(history), settings.tracking.model_name
    registry = registry_at(absolute_uri(settings.tracking.uri, main_root(root)))
    # of a model that has another name by now, too: what is live may load it by the old one
    lines = [decisions.line(model, alias) for alias in decisions.aliases(model)]
    lines += [line for (name, _), line in decisions.lines.items() if name != model]
    found = [_of_alias(line, registry, settings.tracking.uri) for line in lines]
    order = ("right", "unknown", "wrong")
    return max(
        found, key=lambda finding: order.index(finding.state), default=Finding(CHECK, "right", "nothing is decided")
    )


def _of_alias(line: Line, registry: FileRegistry | ServerRegistry | None, uri: str) -> Finding:
    fix = f"lineage history {line.alias}{line.option}"
    if line.faults:
        return Finding(CHECK, "wrong", f"{some(line.faults)}.", fix)
    if line.elsewhere:
        return Finding(CHECK, "unknown", f"{some(line.elsewhere)}.", fix)
    name = f"models:/{line.model}@{line.alias}"
    if registry is None:
        if uri.startswith(SQLITE) and line.now is None:
            return Finding(CHECK, "right", f"no version has the alias {line.alias}, and nobody decided")
        return Finding(CHECK, "unknown", f"where {name} is cannot be looked at here", fix)
    try:
        named = registry.named(line.model, line.alias)
        tags = registry.tags(line.model)
        decided = registry.version(line.model, line.now.number) if line.now else None
    except TrackerError as error:
        return Finding(CHECK, "unknown", f"which version has the alias {line.alias} is unknown: {error}")
    exists = line.now is None or decided is not None
    is_same = (decided.identity if decided else None) == (line.now.identity if line.now else None)
    at = standing(line, named.version if named else None, tags, exists=exists, is_same=is_same)
    states = {"as decided": "right", "not here": "unknown"}
    return Finding(CHECK, states.get(at.where, "wrong"), at.text, at.fix)  # type: ignore[arg-type]
