"""Writes what is known of a model in the words of a standard, into a file or a folder. Nothing is sent anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import LineageError, ProjectError, or_none
from ..base.pages import write_whole
from ..contract import Role
from ..proof.case import ModelCase
from .facts import Decided, Facts, Gate, Proved, facts_of, names_in
from .formats.annex_iv import annex_iv
from .formats.croissant import croissant
from .formats.cyclonedx import cyclonedx
from .formats.model_card import model_card
from .formats.openlineage import openlineage
from .formats.prov import prov
from .formats.ro_crate import METADATA, ro_crate
from .formats.spdx import spdx
from .ids import Search, require_no_ids, search_in
from .standards import Standard

if TYPE_CHECKING:
    from ..proof.verify import Verdict


@dataclass(frozen=True)
class Exported:
    """The text of each file by its name; `unchecked`: why no id could be looked for in them, if so."""

    files: dict[str, str]
    unchecked: str = ""


# what makes a document from the facts; that of the annex may be a page too, and an RO-Crate is several files
WRITERS: dict[Standard, Callable[[Facts], Any]] = {
    Standard.cyclonedx: cyclonedx,
    Standard.spdx: spdx,
    Standard.croissant: croissant,
    Standard.prov: prov,
    Standard.openlineage: openlineage,
    Standard.model_card: model_card,
}
# which files, by name, beside the metadata in an RO-Crate: what they are called, and their media type
IN_CRATE = {
    "README.md": (Standard.model_card, "Model card", "text/markdown"),
    "model.cdx.json": (Standard.cyclonedx, "Bill of materials, CycloneDX", "application/json"),
    "model.spdx.json": (Standard.spdx, "Bill of materials, SPDX", "application/json"),
    "dataset.croissant.json": (Standard.croissant, "The dataset version, Croissant", "application/ld+json"),
    "annex-iv.md": (Standard.annex_iv, "Technical documentation, EU AI Act", "text/markdown"),
}


def facts_of_case(case: ModelCase, verdict: Verdict | None = None) -> tuple[Facts, Search, str]:
    """The facts of a model, what finds the ids of its data, and why these cannot be searched, if so.

    Raises LineageError if no commit holds the model, or its lineage.json is not there.
    """
    document, commit, history = case.document, case.commit, case.history
    if case.version is None and document != case.claimed:
        raise LineageError(f"the lineage.json that was named is not that of commit {commit[:12]}. `lineage verify` it.")
    search: Search = frozenset[str]().intersection
    unchecked = ""
    try:
        search = search_in(case.evidence.objects, document["dataset"]["md5"])
    except (ProjectError, KeyError) as error:
        unchecked = str(error)
    data_commit = history.data_commit(document["dataset"]["md5"])
    started, ended = _times(case)
    facts = facts_of(
        document,
        commit=commit,
        committed=_moment(case, commit),
        lock=(case.tree.read(document["environment"]["path"]) or b"").decode(errors="replace"),
        withheld=frozenset(search(names_in(document))),
        data_commit=data_commit,
        data_committed=_moment(case, data_commit) if data_commit else None,
        data_version=history.data_version(document["dataset"]["md5"]),
        framework=(case.tree.read("lineage/VERSION") or b"").decode(errors="replace").strip() or None,
        stage=or_none(lambda: case.stage(Role.MODEL).name),
        split_by=or_none(lambda: _split_by(case, document["dataset"]["md5"])),
        started=started,
        ended=ended,
        decisions=tuple(_decisions(case)),
        proved=_proved(verdict) if verdict else None,
    )
    return facts, search, unchecked


def export(facts: Facts, standard: Standard, search: Search, unchecked: str = "", *, as_page: bool = False) -> Exported:
    """The files of an export. Raises LineageError if one of them held an id of a record or a subject."""
    if standard is Standard.ro_crate:
        files = {name: _made(facts, kind, search) for name, (kind, _, _) in IN_CRATE.items()}
        crate = ro_crate(facts, {name: (shown, media) for name, (_, shown, media) in IN_CRATE.items()})
        require_no_ids(crate, search)
        return Exported({METADATA: _json(crate), **files}, unchecked)
    return Exported({_name(standard, as_page=as_page): _made(facts, standard, search, as_page=as_page)}, unchecked)


def _made(facts: Facts, standard: Standard, search: Search, *, as_page: bool = False) -> str:
    document = annex_iv(facts, as_page=as_page) if standard is Standard.annex_iv else WRITERS[standard](facts)
    require_no_ids(document, search)
    return document if isinstance(document, str) else _json(document)


def write(exported: Exported, target: Path, *, is_folder: bool) -> list[Path]:
    """Writes one file to `target`, or several into the folder `target`. Raises ProjectError where that is not empty."""
    if not is_folder:
        (text,) = exported.files.values()
        write_whole(target, text)
        return [target]
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ProjectError(f"{target} is not an empty folder. Name one that does not exist.")
    target.mkdir(parents=True, exist_ok=True)
    for name, text in exported.files.items():
        write_whole(target / name, text)
    return [target / name for name in exported.files]


def _name(standard: Standard, *, as_page: bool) -> str:
    if standard is Standard.model_card:
        return "README.md"
    if standard is Standard.annex_iv:
        return f"annex-iv.{'html' if as_page else 'md'}"
    return f"{standard}.json"


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _moment(case: ModelCase, commit: str) -> datetime:
    return datetime.fromisoformat(case.history.info(commit).date)


def _times(case: ModelCase) -> tuple[datetime | None, datetime | None]:
    """When the training run began and ended, as MLflow has it; None where that cannot be asked or does not know."""
    from ..proof.stage_runs import training_run

    run = or_none(lambda: training_run(case)) if case.evidence.asks_mlflow else None
    if run is None:
        return None, None
    found = (run.info.start_time, run.info.end_time)
    started, ended = (datetime.fromtimestamp(one / 1000, UTC) if one else None for one in found)
    return started, ended


def _split_by(case: ModelCase, md5: str) -> str:
    from ..proof.dataset import describe

    return str(describe(case.evidence.objects, md5)["split_by"])


def _decisions(case: ModelCase) -> Iterable[Decided]:
    """The decisions that gave this model an alias, or took it from it, oldest first."""
    identity, name = case.identity, case.document["model"]["name"]
    found = []
    for (model, alias), line in case.evidence.decisions.lines.items():
        for each in line.decisions if model == name else ():
            given = each.version is not None and each.version.identity == identity
            before = each.document.before
            if given or (before is not None and before.identity == identity):
                gates = tuple(Gate(gate.name, gate.state) for gate in each.document.gates)
                found.append(Decided(alias, each.document.kind, each.document.at, each.commit, given, gates))
    return sorted(found, key=lambda each: each.at)


def _proved(verdict: Verdict) -> Proved:
    links = tuple((link.name, link.state, link.looked_at) for link in verdict.links)
    return Proved(verdict.state, datetime.now(UTC).replace(microsecond=0), links)
