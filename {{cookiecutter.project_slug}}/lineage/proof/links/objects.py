"""The links that DVC holds: the objects of the chain in remote and cache, the scores, the records of the dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ...base.errors import LineageError
from ...base.printable import some
from ...contract import Role
from ...dvc.dvcfile import kept_outs, read_lock
from ...dvc.hashes import Hashed, hash_bytes, listing, plain_md5
from ...git.tree import LINEAGE
from ...records.layout import RECORDS
from ...settings import flatten
from ..case import ModelCase
from ..dataset import compare_manifest, subject_tree
from ..erased import FOLDER, Erasure
from ..recompute import CheckResult, stages_of_model
from ..removed import how_removed
from ..result_commits import holds_model


def metrics(case: ModelCase) -> CheckResult:
    """The scores in lineage.json are those that evaluate wrote for this model."""
    result = CheckResult()
    document = case.document
    result.equal("the model that was scored", case.recorded.evaluated, document["model"]["md5"], LINEAGE)
    md5 = case.recorded.made(Role.SCORES)
    if md5 is None:
        result.equal("the scores", None, "recorded")
        return result
    stated, scores = flatten(document["metrics"]), flatten(json.loads(case.evidence.objects.read(md5)))
    for key in sorted({*stated, *scores}):
        result.equal(key, stated.get(key), scores.get(key), f"object {md5}")
    return result


def remote_objects(case: ModelCase, *, rehash: bool) -> CheckResult:
    """Every object of the chain is in the DVC remote, whole.

    Its content is read where the cache has no copy to read, and with `rehash` in any case.
    """
    result = CheckResult()
    objects, places = case.evidence.objects, case.evidence.places
    wanted = {md5: (path, sizes) for md5, path, sizes in _objects(case)}
    gone: list[str] = []  # absent, as an erasure explains
    unshown: list[str] = []  # of these, the ones that only the tombstone says held somebody erased
    waiting: list[str] = []  # absent, in the cache here
    lost: list[str] = []  # absent, not in the cache either
    absent: list[str] = []  # both, by hash
    for md5, held in objects.held(wanted).items():
        path, size = wanted[md5]
        what = f"{path} ({places.url(md5)})"
        erasure = _excuse(case, path, md5) if held.size is None else None
        if erasure is not None:
            gone.append(f"{path}, {erasure.title}")
            unshown += [path] if _is_beside_records(case, path) else []
        elif held.size is None and (what_rests := _used_again(case, md5)):
            result.fault(
                f"{what} is absent: it was erased, and {what_rests} rests on it again (`lineage data push` sends it)"
            )
        elif held.size is None and (stated := case.evidence.erasures.stated(md5)):
            is_only_said = _is_of(case, path, Role.RAW) and (not stated.datasets or _is_beside_records(case, path))
            if is_only_said or _is_of(case, path, Role.PREDICTIONS):
                result.unknown.append(
                    f"{path}, {stated.title}: nothing shows that anybody erased was in it, only the tombstone says so"
                )
            else:
                result.fault(
                    f"{what} is absent. {FOLDER}/{stated.id} names it, but an erasure deletes no such object, or it "
                    "held nobody who was erased"
                )
        elif held.size is None:
            cached = objects.cached(md5) is not None
            absent.append(md5)
            (waiting if cached else lost).append(path)
            result.fault(f"{what} is absent, the cache here {'has it' if cached else 'lacks it too'}")
        elif not held.is_file:
            result.equal(what, "a folder", "an object")
        else:
            result.equal(what, f"{held.size} bytes", f"{size if size is not None else held.size} bytes")
    if lost:
        result.fix = f"`{_push(case)}` in a clone whose cache has them, or a backup of the remote, brings them back"
    elif waiting:
        result.fix = f"`{_push(case)}` sends them"
    there = [md5 for md5, held in objects.held(wanted).items() if held.size is not None and held.is_file]
    # listings are small, and everything else is found through them: always read
    read = [md5 for md5 in there if rehash or md5.endswith(".dir") or objects.hash_cached(md5) is None]
    sha256 = _known_sha256(case)
    for md5, found in objects.rehash_all(read).items():
        _compare(result, f"the content of {wanted[md5][0]} ({places.url(md5)})", found, md5, sha256)
    by_sha256 = sum(md5 in sha256 for md5 in read)
    result.note = f"; content read of {len(read)} of {len(wanted)}, {by_sha256} of these by SHA-256 too"
    if len(read) < len(there):
        result.note += " (--rehash reads all)"
    if len(result.faults) == len(waiting) + len(lost):  # nothing but absent: counts say more than addresses
        result.summary = _absent(places.remote_url, len(wanted), waiting, lost)
        result.summary = f"{result.summary} {how_removed(case, absent, wanted)}".strip() if absent else ""
    if len(there) < len(wanted) and case.evidence.erasures.refused:
        result.note += f"; {'; '.join(case.evidence.erasures.refused)}"
    if unshown:
        result.note += f"; that {some(unshown)} held who was erased, only the tombstone says"
    but = f" but {len(gone)} that were erased" if gone else ""
    result.meaning = f"checks hold: all objects{but} are in {places.remote_url} with their sizes"
    if case.evidence.erasures.of_dataset(case.dataset):
        result.erased += gone
    else:  # the data it was trained on are whole
        of_data = [what for what in gone if _is_of(case, what, Role.DATASET)]
        if of_data:
            result.note += (
                f"; {len(of_data)} objects of its dataset version were erased, and the cache here has them still "
                f"(`lineage erase ID... --plan` finds them): {some(of_data)}"
            )
        if of_raw := [what for what in gone if what not in of_data]:  # that it shares with others
            result.note += f"; its dataset version is whole, but part of its raw data was erased: {'; '.join(of_raw)}"
    return _with_note_of_erased(case, there, result)


def cached_objects(case: ModelCase) -> CheckResult:
    """Every object of the chain that the cache holds has the bytes that its name promises."""
    result = CheckResult()
    sha256 = _known_sha256(case)
    for md5, path, _ in _objects(case):
        found = case.evidence.objects.hash_cached(md5)
        if found is not None:
            _compare(result, f"{path} (object {md5} of the cache)", found, md5, sha256)
    return result


def dataset(case: ModelCase) -> CheckResult:
    """The manifest equals the id columns of the shards, and both belong to the dataset by its listing."""
    result = CheckResult()
    md5 = case.dataset
    erased = case.evidence.erasures.of_dataset(md5)
    stated, computed = case.document["dataset"]["subjects"], subject_tree(case.evidence.objects, md5, erased)
    root = computed.root_in(md5)
    result.equal("the root over the subjects", stated["root"], root, "the manifest, recomputed")
    result.equal("the salt of that root", stated["salt"], computed.salt, "the manifest")
    if erased:
        result.meaning = (
            "checks hold: the root and the salt are those of what is left of the manifest; rows and images were not "
            "compared"
        )
        result.erased.append(f"{len(erased.keys)} of {len(computed)} subjects, and the shards that they were in")
        return result
    rows, faults = compare_manifest(case.evidence.objects, md5)
    result.looked_at += rows
    result.faults.extend(faults)
    record = case.document["training_run"]
    if case.version is not None and record.get("run_id"):
        store = case.evidence.store_at(record["tracking_uri"])
        run = store.run(record["run_id"])
        if run and (erasure := case.evidence.erasures.of_logged(run)):
            result.note = f"; the copy of the manifest that run {record['run_id']} had logged was {erasure.title}"
            return result
        logged = store.artifact_hashes(record["run_id"], "manifest.parquet")
        listed = case.evidence.objects.listing(md5).get("manifest.parquet")
        what = f"manifest.parquet of run {record['run_id']}"
        result.equal(what, logged.md5, listed, f"the dataset {md5}")
    return result


def _objects(case: ModelCase) -> Iterator[tuple[str, str, int | None]]:
    """Every object of the chain: its hash, the path it belongs to, its size in bytes where that is known."""
    sizes = {
        file["md5"]: file["size"] for section in ("dataset", "raw") for file in case.document[section].get("files", [])
    }
    kept: dict[str, tuple[str, int | None]] = {path: (md5, None) for path, md5 in case.tree.added.items()}
    for stage in stages_of_model(case.recorded):
        kept |= {out["path"]: (out["md5"], out.get("size")) for out in kept_outs(stage, case.lock)}
    for path, (md5, size) in kept.items():
        if not md5.endswith(".dir"):
            yield md5, path, size
            continue
        yield md5, f"{path}/", None
        for name, file in _listing(case, md5).items():
            yield file, f"{path}/{name}", sizes.get(file)


def _listing(case: ModelCase, md5: str) -> dict[str, str]:
    """The files of a folder; where its listing is nowhere any more, those that lineage.json names."""
    objects = case.evidence.objects
    try:
        return objects.listing(md5)
    except LineageError:
        if not objects.is_missing(md5):
            raise
    sections = (case.document[name] for name in ("dataset", "raw"))
    return {file["path"]: file["md5"] for each in sections if each["md5"] == md5 for file in each["files"]}


def _push(case: ModelCase) -> str:
    """The command that sends the objects of this model: those of the checkout, or those of every commit."""
    is_here = holds_model(read_lock(case.evidence.root), case.identity)
    return "lineage data push" if is_here else "lineage data push --all-commits"


def _absent(remote: str, count: int, waiting: list[str], lost: list[str]) -> str:
    """One sentence on the objects that the remote lacks."""
    parts = []
    if waiting:
        parts.append(f"{len(waiting)} are in the cache here, not pushed or pushed and removed ({some(waiting)})")
    if lost:
        parts.append(f"{len(lost)} are in neither ({some(lost)})")
    return f"{len(waiting) + len(lost)} of {count} objects are not in {remote}: {'; '.join(parts)}."


def _is_of(case: ModelCase, path: str, role: Role) -> bool:
    """Whether a path is what has the role, or lies in it."""
    folders = {made.path for made in case.recorded.pipeline.made if made.role is role}
    return any(f"{path}/".startswith(f"{folder}/") for folder in folders)


def _is_beside_records(case: ModelCase, path: str) -> bool:
    """Whether it is raw data of which nothing but a tombstone can say whom it held."""
    return _is_of(case, path, Role.RAW) and path != f"{case.recorded.pipeline.path(Role.RAW)}/{RECORDS}"


def _excuse(case: ModelCase, path: str, md5: str) -> Erasure | None:
    """The erasure that explains why an object of this place in the chain is gone; None if none does."""
    is_of_dataset = _is_of(case, path, Role.DATASET) or _is_of(case, path, Role.PREDICTIONS)
    may_be_erased = is_of_dataset or _is_of(case, path, Role.RAW) or path.startswith(f"{FOLDER}/")
    if not may_be_erased or md5.endswith(".dir"):
        return None
    erasure = case.evidence.erasures.of_object(md5)
    if erasure and is_of_dataset:
        return erasure if case.evidence.erasures.of_erased_dataset(case.dataset, erasure) else None
    return erasure


def _used_again(case: ModelCase, md5: str) -> str | None:
    """What rests on an object again after the last erasure of it; None if nothing does."""
    erasure = case.evidence.erasures.named(md5)
    return case.evidence.erasures.used_again(erasure).get(md5) if erasure else None


def _with_note_of_erased(case: ModelCase, there: list[str], result: CheckResult) -> CheckResult:
    """Says of objects that were erased and are there why that is so, as far as anybody can know."""
    named = [md5 for md5 in there if case.evidence.erasures.named(md5)]
    again = [md5 for md5 in named if _used_again(case, md5)]
    if again:
        result.note += f"; {len(again)} objects that were erased before are there, because later commits rest on them"
    if left := len(named) - len(again):
        result.note += (
            f"; {left} objects that were to be erased are still there, or there again (`lineage erase --execute` goes "
            "on where it was interrupted, `lineage erase ID... --plan` finds what came back)"
        )
    return result


def _compare(result: CheckResult, what: str, found: Hashed, md5: str, sha256: dict[str, str]) -> None:
    result.equal(what, f"MD5 {found.md5}", f"MD5 {plain_md5(md5)}")
    if md5 in sha256:
        result.equal(what, f"SHA-256 {found.sha256}", f"SHA-256 {sha256[md5]}", LINEAGE)


def _known_sha256(case: ModelCase) -> dict[str, str]:
    """SHA-256 by MD5 of the objects that lineage.json names: all but what was drawn or written beside the model."""
    document = case.document
    folders = [document[section] for section in ("dataset", "raw")]
    single = [document[section] for section in ("consent", "pretrained") if document.get(section)]
    files = [
        document["model"],
        *single,
        *document["outputs"],
        *(file for folder in folders for file in folder["files"]),
    ]
    listings = {
        folder["md5"]: hash_bytes(listing({file["path"]: file["md5"] for file in folder["files"]}), folder["path"])
        for folder in folders
    }
    return {
        **{file["md5"]: file["sha256"] for file in files},
        **{md5: content.sha256 for md5, content in listings.items()},
    }
