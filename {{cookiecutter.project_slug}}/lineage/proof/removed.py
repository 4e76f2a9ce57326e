"""What became of objects that are absent, as far as anything says: `lineage gc`, a bucket's own notes, `dvc gc`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from ..base.errors import LineageError
from ..dvc.deleted import Deleted, deleted_at
from ..git.tree import Tree
from .case import Evidence, ModelCase
from .data_push import recorded_outs

ASKED = 20  # objects that a bucket is asked about
BRANCHES = 20  # that are compared


def how_removed(case: ModelCase, absent: Collection[str], wanted: Collection[str]) -> str:
    """Sentences on why objects of `wanted`, all that a model needs, are not in the remote; empty if nothing says it."""
    return " ".join(_sentences(case, absent, wanted))


def _sentences(case: ModelCase, absent: Collection[str], wanted: Collection[str]) -> Iterator[str]:
    evidence = case.evidence
    taken = Counter(document.title for md5 in absent if (document := evidence.collections.of_object(md5)))
    for title, count in taken.items():
        yield f"{count} were deleted by {title}."
    if deleted := _of_bucket(evidence, sorted(absent)[:ASKED]):
        kept = sum(each.is_kept for each in deleted)
        first = min(each.moment for each in deleted).isoformat(timespec="seconds")
        back = f"; it keeps an older version of {kept}, which brings these back" if kept else ""
        yield f"The bucket says that {len(deleted)} were deleted there, the first at {first}{back}."
    if not taken and (where := _left_by_dvc_gc(case, absent, wanted)):
        yield (
            f"This is what `dvc gc --cloud` leaves: all that {where} records is there, and nothing that only other "
            "commits need (`lineage gc` keeps what versions need)."
        )


def _of_bucket(evidence: Evidence, hashes: list[str]) -> list[Deleted]:
    """What a bucket says of some objects; nothing where it may not be asked."""
    places = evidence.places
    try:
        said = places.for_all(hashes, lambda md5: deleted_at(places.remote_files, places.remote_path(md5)))
    except Exception:  # of S3, and of who may not list versions: it is a hint, and no proof rests on it
        return []
    return [each for each in said.values() if each is not None]


def _left_by_dvc_gc(case: ModelCase, absent: Collection[str], wanted: Collection[str]) -> str:
    """The branch whose objects alone are there; empty if there is none."""
    history, gone = case.history, set(absent)
    refs = history.git.lines("for-each-ref", "refs/heads", "refs/remotes", "--format=%(refname:lstrip=2)")
    for name in ["HEAD", *refs][:BRANCHES]:
        if not (commit := history.resolve(name)):
            continue
        try:
            kept = set(_objects_of(case.evidence, history.at(commit)))
            if not kept or kept & gone or set(wanted) - kept != gone:
                continue
            if all(held.size is not None for held in case.evidence.objects.held(kept).values()):
                return "this checkout" if name == "HEAD" else f"branch {name}"
        except LineageError:
            continue
    return ""


def _objects_of(evidence: Evidence, tree: Tree) -> Iterator[str]:
    """Everything that a commit records and DVC keeps."""
    for md5 in (*recorded_outs(tree.pipeline, tree.lock).values(), *tree.added.values()):
        yield md5
        if md5.endswith(".dir"):
            yield from evidence.objects.listing(md5).values()
