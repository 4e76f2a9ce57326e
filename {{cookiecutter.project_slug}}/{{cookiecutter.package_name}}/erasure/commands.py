"""The command `lineage erase`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..data.ids import composed
from ..errors import ProjectError
from ..project import project_root

if TYPE_CHECKING:
    from ..proof.case import Evidence
    from .execute import Plan


def erase(
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Ids of subjects.")] = None,
    plan_only: Annotated[bool, typer.Option("--plan", help="Say what holds their bytes. Nothing is changed.")] = False,
    do_it: Annotated[
        bool, typer.Option("--execute", help="Delete it; without ids, go on with what was interrupted.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="For the tombstone in Git. No names.")] = "erasure request",
    accept_lost: Annotated[
        bool, typer.Option("--accept-lost", help="What is nowhere to be found counts as gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as JSON.")] = False,
) -> None:
    """Find, or delete for good, all bytes of some subjects. Exit status: 0 all is gone, 2 something is left."""
    from ..proof.case import Evidence
    from .execute import execute, plan, resumed, unfinished

    if plan_only == do_it:
        raise typer.BadParameter("give either --plan or --execute")
    evidence = Evidence(project_root())
    begun = unfinished(evidence)
    if not ids and not (do_it and begun):
        raise typer.BadParameter("name a subject" + ("; no erasure was interrupted here" if do_it else ""))
    if any(id_ != id_.strip() or not id_ for id_ in ids or []):
        raise ProjectError("an id is empty or has blanks around it.")
    wanted_ids = list(dict.fromkeys(map(composed, ids or [])))  # as manifests write them
    plans = [plan(evidence, wanted_ids)] if ids else [resumed(evidence, each) for each in begun]
    if nobody := _strangers(evidence, plans, wanted_ids):
        raise ProjectError(f"no manifest and no consent registry has ever held {', '.join(map(repr, nobody))}.")
    for wanted in plans:
        if as_json:
            print(json.dumps(asdict(wanted), indent=2, ensure_ascii=False))
        else:
            _show(wanted)
    if plan_only:
        return
    left: list[str] = []
    for wanted in plans:
        if wanted.is_empty and not begun:
            print(
                "nothing holds their bytes." if not wanted.unknown else "nothing that could be looked into holds them."
            )
        elif not yes and not typer.confirm(f"Delete {len(wanted.copies)} copies for good?", err=True):
            sys.exit("nothing was deleted.")
        wanted.reason = wanted.reason or reason
        left += execute(evidence, wanted, accept_lost=accept_lost)
        if (evidence.root / "erasures" / wanted.id / "tombstone.json").exists():
            print(f"tombstone: erasures/{wanted.id}/tombstone.json, committed. `git push` and `dvc push` share it.")
    for sentence in left:
        print(f"  left: {sentence}")
    if unfinished(evidence):
        print(
            "`lineage erase --execute` goes on with what is left. If what was not found is lost for good, "
            "--accept-lost ends it."
        )
    sys.exit(2 if left else 0)


def _strangers(evidence: Evidence, plans: list[Plan], ids: list[str]) -> list[str]:
    """Ids that nothing has ever held, where nothing was found: a typing error must not pass for somebody erased."""
    from ..audit.questions import never_held

    if not all(plan.is_empty and not plan.unknown and not plan.beyond for plan in plans):
        return []
    tombs = [dataset for erasure in evidence.erasures.all for dataset in erasure.datasets.values()]
    erased = {subject_id for subject_id in ids if any(tomb.holds(subject_id) for tomb in tombs)}
    return sorted(never_held(evidence, ids, erased))


def _show(plan: Plan) -> None:
    print(f"{', '.join(plan.ids)}: {len(plan.holders)} objects, {len(plan.copies)} copies.")
    for title, lines in (
        ("objects", [f"{holder.path}  {holder.md5}" for holder in plan.holders]),
        ("copies", [f"{copy.what}: {copy.title}" for copy in plan.copies]),
        ("models trained on them (they stay)", plan.models),
        ("not restorable afterwards, for anybody's records", plan.not_restorable),
        ("could not be looked into, or not be found", plan.unknown),
        ("perhaps, and so not deleted", plan.maybe),
        ("not deleted here", plan.beyond),
        ("cannot be done now", plan.blocked),
    ):
        if lines:
            print(f"{title}:")
            for line in lines:
                print(f"  {line}")
    print(
        "kept: the consent registry and its snapshots, which keep them out. Not searched: pictures, weights, code and "
        "documents (*.py, *.md), what is encrypted. Not known here: clones, restored folders, other caches and "
        "remotes, versions that a remote other than S3 keeps, artifacts of MLflow elsewhere than here but for "
        "manifests, backups, and the source of the raw data itself."
    )
