"""The links that DVC holds: the objects of the chain in remote and cache, the scores, the records of the dataset."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ...data.raw import RECORDS
from ...lineage.chain import SCORES
from ...lineage.facts import DATASET, MODEL, RAW
from ...lineage.hashes import Hashed, hash_bytes, listing
from ...pipeline.dvcfile import kept_outs, locked_hash, read_lock
from ...printable import some
from ...settings import flatten
from ..case import Case
from ..commits import holds_model
from ..dataset import compare_manifest, subject_tree
from ..erasures import FOLDER, Erasure
from ..history import LINEAGE
from ..recompute import Tally, stages_of_model


def metrics(case: Case) -> Tally:
    """The scores in lineage.json are those that evaluate wrote for this model."""
    tally = Tally()
    document = case.document
    evaluated = locked_hash(case.lock.get("evaluate"), "deps", MODEL)
    tally.equal("the model that was scored", evaluated, document["model"]["md5"], LINEAGE)
    md5 = locked_hash(case.lock.get("evaluate"), "outs", SCORES)
    if md5 is None:
        tally.equal(SCORES, None, "recorded")
        return tally
    stated, scores = flatten(document["metrics"]), flatten(json.loads(case.evidence.objects.read(md5)))
    for key in sorted({*stated, *scores}):
        tally.equal(key, stated.get(key), scores.get(key), f"object {md5}")
    return tally


def remote_objects(case: Case, *, rehash: bool) -> Tally:
    """Every object of the chain is in the DVC remote, whole.

    Its content is read where the cache has no copy to read, and with `rehash` in any case.
    """
    tally = Tally()
    objects = case.evidence.objects
    wanted = {md5: (path, sizes) for md5, path, sizes in _objects(case)}
    gone: list[str] = []  # absent, as an erasure explains
    unshown: list[str] = []  # of these, the ones that only the tombstone says held somebody erased
    waiting: list[str] = []  # absent, in the cache here
    lost: list[str] = []  # absent, not in the cache either
    for md5, held in objects.held(wanted).items():
        path, size = wanted[md5]
        what = f"{path} ({objects.url(md5)})"
        erasure = _excuse(case, path, md5) if held.size is None else None
        if erasure is not None:
            gone.append(f"{path}, {erasure.title}")
            unshown += [path] if _is_beside_records(path) else []
        elif held.size is None and (what_rests := _used_again(case, md5)):
            tally.fault(
                f"{what} is absent: it was erased, and {what_rests} rests on it again (`lineage data push` sends it)"
            )
        elif held.size is None and (stated := case.evidence.erasures.stated(md5)):
            if _is_raw(path) and (not stated.datasets or _is_beside_records(path)):
                tally.unknown.append(
                    f"{path}, {stated.title}: nothing shows that anybody erased was in it, only the tombstone says so"
                )
            else:
                tally.fault(
                    f"{what} is absent. {FOLDER}/{stated.id} names it, but an erasure deletes no such object, or it "
                    "held nobody who was erased"
                )
        elif held.size is None:
            cached = objects.cached(md5) is not None
            (waiting if cached else lost).append(path)
            tally.fault(f"{what} is absent, the cache here {'has it' if cached else 'lacks it too'}")
        elif not held.is_file:
            tally.equal(what, "a folder", "an object")
        else:
            tally.equal(what, f"{held.size} bytes", f"{size if size is not None else held.size} bytes")
    if lost:
        tally.remedy = f"`{_push(case)}` in a clone whose cache has them, or a backup of the remote, brings them back"
    elif waiting:
        tally.remedy = f"`{_push(case)}` sends them"
    there = [md5 for md5, held in objects.held(wanted).items() if held.size is not None and held.is_file]
    # listings are small, and everything else is found through them: always read
    read = [md5 for md5 in there if rehash or md5.endswith(".dir") or objects.hash_cached(md5) is None]
    sha256 = _known_sha256(case)
    for md5, found in objects.rehash_all(read).items():
        _compare(tally, f"the content of {wanted[md5][0]} ({objects.url(md5)})", found, md5, sha256)
    by_sha256 = sum(md5 in sha256 for md5 in read)
    tally.note = f"; content read of {len(read)} of {len(wanted)}, {by_sha256} of these by SHA-256 too"
    if len(read) < len(there):
        tally.note += " (--rehash reads all)"
    if len(tally.faults) == len(waiting) + len(lost):  # nothing but absent: counts say more than addresses
        tally.summary = _absent(objects.remote_url, len(wanted), waiting, lost)
    if len(there) < len(wanted) and case.evidence.erasures.refused:
        tally.note += f"; {'; '.join(case.evidence.erasures.refused)}"
    if unshown:
        tally.note += f"; that {some(unshown)} held who was erased, only the tombstone says"
    but = f" but {len(gone)} that were erased" if gone else ""
    tally.meaning = f"checks hold: all objects{but} are in {objects.remote_url} with their sizes"
    if case.evidence.erasures.of_dataset(_dataset(case)):
        tally.erased += gone
    else:  # the data it was trained on are whole
        of_data = [what for what in gone if what.startswith(f"{DATASET}/")]
        if of_data:
            tally.note += (
                f"; {len(of_data)} objects of its dataset version were erased, and the cache here has them still "
                f"(`lineage erase ID... --plan` finds them): {some(of_data)}"
            )
        if of_raw := [what for what in gone if what not in of_data]:  # that it shares with others
            tally.note += f"; its dataset version is whole, but part of its raw data was erased: {'; '.join(of_raw)}"
    return _with_note_of_erased(case, there, tally)


def cached_objects(case: Case) -> Tally:
    """Every object of the chain that the cache holds has the bytes that its name promises."""
    tally = Tally()
    sha256 = _known_sha256(case)
    for md5, path, _ in _objects(case):
        found = case.evidence.objects.hash_cached(md5)
        if found is not None:
            _compare(tally, f"{path} (object {md5} of the cache)", found, md5, sha256)
    return tally


def dataset(case: Case) -> Tally:
    """The manifest equals the id columns of the shards, and both belong to the dataset by its listing."""
    tally = Tally()
    md5 = _dataset(case)
    erased = case.evidence.erasures.of_dataset(md5)
    stated, computed = case.document["dataset"]["subjects"], subject_tree(case.evidence.objects, md5, erased)
    root = computed.root_in(md5)
    tally.equal("the root over the subjects", stated["root"], root, "the manifest, recomputed")
    tally.equal("the salt of that root", stated["salt"], computed.salt, "the manifest")
    if erased:
        tally.meaning = (
            "checks hold: the root and the salt are those of what is left of the manifest; rows and images were not "
            "compared"
        )
        tally.erased.append(f"{len(erased.keys)} of {len(computed)} subjects, and the shards that they were in")
        return tally
    rows, faults = compare_manifest(case.evidence.objects, md5)
    tally.looked_at += rows
    tally.faults.extend(faults)
    record = case.document["training_run"]
    if case.version is not None and record.get("run_id"):
        store = case.evidence.store_at(record["tracking_uri"])
        run = store.run(record["run_id"])
        if run and (erasure := case.evidence.erasures.of_logged(run)):
            tally.note = f"; the copy of the manifest that run {record['run_id']} had logged was {erasure.title}"
            return tally
        logged = store.artifact(record["run_id"], "manifest.parquet")
        listed = case.evidence.objects.listing(md5).get("manifest.parquet")
        what = f"manifest.parquet of run {record['run_id']}"
        tally.equal(what, hash_bytes(logged, what).md5, listed, f"the dataset {md5}")
    return tally


def _objects(case: Case) -> Iterator[tuple[str, str, int | None]]:
    """Every object of the chain: its hash, the path it belongs to, its size in bytes where that is known."""
    pipeline, lock = case.history.pipeline(case.commit), case.lock
    sizes = {
        file["md5"]: file["size"] for section in ("dataset", "raw") for file in case.document[section].get("files", [])
    }
    kept: dict[str, tuple[str, int | None]] = {
        path: (md5, None) for path, md5 in case.history.added(case.commit).items()
    }
    for stage in stages_of_model(pipeline, lock):
        kept |= {out["path"]: (out["md5"], out.get("size")) for out in kept_outs(stage, lock)}
    for path, (md5, size) in kept.items():
        if not md5.endswith(".dir"):
            yield md5, path, size
            continue
        yield md5, f"{path}/", None
        for name, file in case.evidence.objects.listing(md5).items():
            yield file, f"{path}/{name}", sizes.get(file)


def _push(case: Case) -> str:
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


def _is_raw(path: str) -> bool:
    return f"{path}/".startswith(f"{RAW}/")


def _is_beside_records(path: str) -> bool:
    """Whether it is raw data of which nothing but a tombstone can say whom it held."""
    return _is_raw(path) and path != f"{RAW}/{RECORDS}"


def _dataset(case: Case) -> str:
    """The dataset version that the model was trained on."""
    return locked_hash(case.lock["train"], "deps", DATASET) or ""


def _excuse(case: Case, path: str, md5: str) -> Erasure | None:
    """The erasure that explains why an object of this place in the chain is gone; None if none does."""
    if not f"{path}/".startswith((f"{RAW}/", f"{DATASET}/", f"{FOLDER}/")) or md5.endswith(".dir"):
        return None
    erasure = case.evidence.erasures.of_object(md5)
    if erasure and path.startswith(f"{DATASET}/"):
        return erasure if case.evidence.erasures.of_erased_dataset(_dataset(case), erasure) else None
    return erasure


def _used_again(case: Case, md5: str) -> str | None:
    """What rests on an object again after the last erasure of it; None if nothing does."""
    erasure = case.evidence.erasures.named(md5)
    return case.evidence.erasures.used_again(erasure).get(md5) if erasure else None


def _with_note_of_erased(case: Case, there: list[str], tally: Tally) -> Tally:
    """Says of objects that were erased and are there why that is so, as far as anybody can know."""
    named = [md5 for md5 in there if case.evidence.erasures.named(md5)]
    again = [md5 for md5 in named if _used_again(case, md5)]
    if again:
        tally.note += f"; {len(again)} objects that were erased before are there, because later commits rest on them"
    if left := len(named) - len(again):
        tally.note += (
            f"; {left} objects that were to be erased are still there, or there again (`lineage erase --execute` goes "
            "on where it was interrupted, `lineage erase ID... --plan` finds what came back)"
        )
    return tally


def _compare(tally: Tally, what: str, found: Hashed, md5: str, sha256: dict[str, str]) -> None:
    tally.equal(what, f"MD5 {found.md5}", f"MD5 {md5.removesuffix('.dir')}")
    if md5 in sha256:
        tally.equal(what, f"SHA-256 {found.sha256}", f"SHA-256 {sha256[md5]}", LINEAGE)


def _known_sha256(case: Case) -> dict[str, str]:
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
