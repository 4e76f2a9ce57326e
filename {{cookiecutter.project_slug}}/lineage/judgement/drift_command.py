"""The sub-command `lineage drift`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import LineageError, ProjectError
from ..base.project import project_root
from ..base.terminal import block, print_answer

if TYPE_CHECKING:
    from .drift import Drift

X = "models:/NAME/3, models:/NAME@candidate, a hash, a Git revision, or a profile.json: the reference."
Y = "The same: what is held against it. Without it and --data: the workspace."
STATUS = {"no drift": 0, "drift": 1, "INCONCLUSIVE": 2}


def drift(
    reference: Annotated[str, typer.Argument(metavar="X", help=X)],
    other: Annotated[str | None, typer.Argument(metavar="[Y]", help=Y)] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="PLACE", help="Images in a folder, a table of them, or raw records."),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option("--split", help="Only these splits of X and Y: train, val, test.")
    ] = None,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Only write the profile of X there.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The answer as JSON.")] = False,
) -> None:
    """Say whether data look otherwise than those of X. Exit status: 0 no drift, 1 drift, 2 unknown."""
    if other and data:
        raise typer.BadParameter("name Y or give --data, not both")
    if data and split:
        raise typer.BadParameter("--split is for dataset versions: what --data names is not divided")
    if save and (other or data):
        raise typer.BadParameter("--save writes the profile of X and compares nothing")
    try:
        if save:
            _save(reference, save)
            return
        names, answer = _answer(reference, other, data, split or [])
    except Exception as error:  # status 1 would say that there is drift
        known = isinstance(error, ProjectError)
        said = block(str(error) if known else f"{type(error).__name__}: {error}")
        print(f"lineage: INCONCLUSIVE: {said}", file=sys.stderr)
        sys.exit(2)
    if as_json:
        print_answer(json.dumps({"reference": names[0], "other": names[1], **answer.to_dict()}, indent=2))
    else:
        from .show_drift import show_drift

        show_drift(*names, answer)
    sys.exit(STATUS[answer.verdict])


def _save(reference: str, target: Path) -> None:
    from ..proof.case import Evidence
    from ..records.profile import write_profile
    from .profiles import of_target

    _, profile = of_target(Evidence(project_root(), shared=True), reference)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_profile(target, profile)
    print(f"written: {target}, the profile of {reference}. `git add` it; data.drift.against={target} judges by it.")


def _answer(reference: str, other: str | None, data: Path | None, splits: list[str]) -> tuple[tuple[str, str], Drift]:
    from ..dvc.dvcfile import PARAMS_FILE
    from ..proof.case import Evidence
    from ..settings import flatten, read_params
    from .drift import compare
    from .profiles import SHOWN, of_data, of_target, of_workspace

    root = project_root()
    evidence = Evidence(root, shared=True)
    name, before = of_target(evidence, reference)
    if unknown := [each for each in splits if each not in before.splits]:
        raise LineageError(f"{reference} has no split {unknown[0]}. It has {', '.join(before.splits)}.")
    if data is None:
        other_name, after = of_target(evidence, other) if other else of_workspace(root)
        return (name, other_name), compare(before, after, splits)
    settings = flatten(read_params(root / PARAMS_FILE))
    measured = of_data(data.expanduser(), before, settings.get("data.missing_value"))
    answer = compare(before, measured.profile)
    answer.not_compared += measured.said
    if not measured.names_subjects:
        answer.after.pop("subjects")
    if wrong := measured.unreadable:
        shown = "; ".join(f"{each!r} ({why})" for each, why in sorted(wrong.items())[:SHOWN])
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        answer.unknown.append(f"{len(wrong)} images cannot be read: {shown}{more}")
    return (name, str(data)), answer
