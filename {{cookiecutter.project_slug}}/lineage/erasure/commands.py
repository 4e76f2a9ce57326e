"""The command `lineage erase`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from ..base.errors import ProjectError
from ..base.printable import printable
from ..base.project import project_root
from ..base.terminal import print_answer
from ..records.ids import normalize_nfc

if TYPE_CHECKING:
    from ..proof.case import Evidence
    from .execute import Plan


REASON = 1000  # characters


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
    from .execute import by_subjects, plan, resumed, unfinished

    if plan_only == do_it:
        raise typer.BadParameter("give either --plan or --execute")
    if len(reason) > REASON:
        raise typer.BadParameter(f"a reason has at most {REASON} characters")
    evidence = Evidence(project_root())
    begun = unfinished(evidence)
    if not ids and not (do_it and begun):
        raise typer.BadParameter("name a subject" + ("; no erasure was interrupted here" if do_it else ""))
    if any(id_ != id_.strip() or not id_ for id_ in ids or []):
        raise ProjectError("an id is empty or has blanks around it.")
    wanted_ids = list(dict.fromkeys(map(normalize_nfc, ids or [])))  # as manifests write them
    left: list[str] = []
    for same in [[]] if ids else by_subjects(begun):
        evidence = Evidence(project_root())  # what the one before has deleted is gone
        wanted = resumed(evidence, same) if same else plan(evidence, wanted_ids)
        if nobody := _strangers(evidence, wanted):
            raise ProjectError(f"no manifest and no consent registry has ever held {', '.join(map(repr, nobody))}.")
        _show(wanted, as_json=as_json)
        if plan_only:
            return
        left += _execute(evidence, wanted, reason, accept_lost=accept_lost, ask=not yes)
    for sentence in left:
        print(f"  left: {printable(sentence)}")
    if unfinished(evidence):
        print(
            "`lineage erase --execute` goes on with what is left. If what was not found is lost for good, "
            "--accept-lost ends it."
        )
    sys.exit(2 if left else 0)


def _execute(evidence: Evidence, wanted: Plan, reason: str, *, accept_lost: bool, ask: bool) -> list[str]:
    """Carries it out, if it is wanted. Returns what is left."""
    from .execute import execute

    if wanted.is_empty:
        print("nothing to delete was found." if wanted.unknown + wanted.beyond else "nothing holds their bytes.")
    elif ask and not typer.confirm(f"Delete {len(wanted.copies)} copies for good?", err=True):
        sys.exit("nothing was deleted.")
    wanted.reason = wanted.reason or reason
    left = execute(evidence, wanted, accept_lost=accept_lost)
    if (evidence.root / "erasures" / wanted.id / "tombstone.json").exists():
        print(f"tombstone: erasures/{wanted.id}/tombstone.json, committed. `git push` and `dvc push` share it.")
    return left


def _strangers(evidence: Evidence, wanted: Plan) -> list[str]:
    """Ids that nothing has ever held, where nothing was found: a typing error must not pass for somebody erased."""
    from ..audit.questions import unknown_ids

    if not wanted.is_empty or wanted.unknown or wanted.beyond:
        return []
    tombs = [dataset for erasure in evidence.erasures.all for dataset in erasure.datasets.values()]
    erased = {subject_id for subject_id in wanted.ids if any(tomb.holds(subject_id) for tomb in tombs)}
    return sorted(unknown_ids(evidence, wanted.ids, erased))


def _show(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        print_answer(json.dumps(asdict(plan), indent=2, ensure_ascii=False))
        return
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
                print(f"  {printable(line)}")
    print(
        "kept: the consent registry and its snapshots, which keep them out. Not searched: pictures, weights, code and "
        "documents (*.py, *.md), what is encrypted. Not known here: clones, restored folders, other caches and "
        "remotes, versions that a remote other than S3 keeps, artifacts of MLflow elsewhere than here but for "
        "manifests, backups, and the source of the raw data itself."
    )
