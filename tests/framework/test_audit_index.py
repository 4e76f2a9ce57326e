"""The index of audits says what the manifests themselves say, and is never believed where somebody has touched it."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from lineage.audit import chunks, index_builder, index_file
from lineage.audit.chunks import COLUMNS, chunks_of
from lineage.audit.index import Index
from lineage.audit.index_builder import Builder
from lineage.audit.index_file import LOCK, ROOT, DamagedIndexError, Version, state_of
from lineage.audit.manifests import Manifests, Record
from lineage.base import hash_cache
from lineage.base.hash_cache import SETTLED
from lineage.dvc.hashes import listing, md5_of_listing
from lineage.proof.case import Evidence
from lineage.records.dataset import MANIFEST_SCHEMA, SHARD_SCHEMA
from lineage.records.layout import ROOT_KEY
from lineage.records.merkle import root_of_dataset

Row = tuple[str, ...]  # the values of COLUMNS
SUBJECTS = [f"PAT-{number:03d}" for number in range(30)]


def row(subject: int, record: int, label: str = "no") -> Row:
    content = hashlib.sha256(f"{subject} {record}".encode()).hexdigest()
    return (SUBJECTS[subject], f"SCAN-{subject:03d}-{record}", "train", label, content)


EVERYBODY = [row(subject, record) for subject in range(len(SUBJECTS)) for record in range(3)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few rows, pages of a few keys, few files: so that there are many of each."""
    for module, name, value in (
        (chunks, "ENDS", "0"),
        (chunks, "LEAST", 2),
        (chunks, "MOST", 9),
        (index_file, "ENTRIES", 4),
        (index_builder, "FILES", 2),
    ):
        monkeypatch.setattr(module, name, value)


class Place:
    """Manifests in a cache like DVC's, and an index of them."""

    def __init__(self, root: Path) -> None:
        self.cache, self.kept = root / "cache", root / "kept"
        self.folder = self.kept / "index"
        self.rows: dict[str, list[Row]] = {}

    def path(self, md5: str) -> Path:
        return self.cache / md5[:2] / md5[2:]

    def add(self, *versions: list[Row], group: int = 16) -> list[str]:
        """Adds dataset versions with these rows; they are called like their manifests here."""
        added = []
        with Builder(self.folder, self.cache) as builder:
            for rows in versions:
                data = manifest_of(rows, group)
                md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
                self.path(md5).parent.mkdir(parents=True, exist_ok=True)
                if md5 not in self.rows:
                    self.path(md5).write_bytes(data)
                self.rows[md5] = rows
                state = state_of(str(self.path(md5)))
                assert state
                builder.add(md5, self.path(md5), Version(md5, True, state))
                added.append(md5)
        return added

    @property
    def index(self) -> Index:
        return Index(self.folder, self.cache, self.kept)

    def differs(self, subjects: list[str]) -> dict[str, object]:
        """For each dataset version that the index says it knows: what it says of the subjects, where that is wrong."""
        index = self.index
        known = index.unchanged(self.rows)
        try:
            found = index.rows_of(subjects)
        except DamagedIndexError:
            return {}
        right = {md5: sorted(row for row in self.rows[md5] if row[0] in subjects) for md5 in known}
        return {md5: found.get(md5, []) for md5 in known if found.get(md5, []) != right[md5]}


def manifest_of(rows: list[Row], group: int = 16, schema: pa.Schema = MANIFEST_SCHEMA) -> bytes:
    columns = {name: [each[COLUMNS.index(name)] for each in rows] for name in schema.names}
    table = pa.table(columns, schema=schema).replace_schema_metadata({ROOT_KEY: str(len(rows))})
    return written(table, row_group_size=group, write_page_checksum=True)


def written(table: pa.Table, **how: int) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none", **how)
    data: bytes = sink.getvalue().to_pybytes()
    return data


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Five dataset versions, each without somebody more, in two steps."""
    place = Place(tmp_path)
    for some in (range(3), range(3, 5)):
        place.add(*([each for each in EVERYBODY if each[0] not in SUBJECTS[:gone]] for gone in some))
    return place


ROWS = st.lists(st.builds(row, st.integers(0, 9), st.integers(0, 5), st.sampled_from(["no", "yes"])), max_size=80)


@settings(max_examples=40)
@given(audits=st.lists(st.lists(ROWS, max_size=3), min_size=1, max_size=4), group=st.integers(1, 40))
def test_what_is_looked_up_is_what_the_manifests_hold(audits: list[list[list[Row]]], group: int) -> None:
    """Rows in any order, subjects in pieces, rows twice: whatever a manifest may be, several at a time and later."""
    with TemporaryDirectory() as scratch:
        place = Place(Path(scratch))
        for versions in audits:
            place.add(*versions, group=group)
        assert place.index.unchanged(place.rows).keys() == place.rows.keys()
        for asked in ([name] for name in SUBJECTS[:11]):
            assert place.differs(asked) == {}
        assert place.differs(SUBJECTS[3:7]) == {}
        assert place.index.rows_of(["PAT-00", "", "nobody"]) == {}


@given(rows=ROWS, groups=st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_chunks_do_not_depend_on_row_groups(rows: list[Row], groups: tuple[int, int]) -> None:
    one, other = (list(chunks_of(pq.ParquetFile(pa.BufferReader(manifest_of(rows, group))))) for group in groups)
    assert one == other
    assert [chunks.identity_of(chunk) for chunk in one] == [chunks.identity_of(chunk) for chunk in other]
    assert len({chunks.identity_of(chunk) for chunk in one}) == len({str(chunk.to_pydict()) for chunk in one})
    assert sum(chunk.num_rows for chunk in one) == len(rows)
    assert all(chunk.num_rows <= chunks.MOST for chunk in one)


def test_versions_have_their_chunks_in_common(place: Place) -> None:
    before = place.index.contents
    place.add([each for each in EVERYBODY if each[0] != SUBJECTS[20]])
    assert len(place.index.contents.chunks) - len(before.chunks) <= 5
    place.add([each for each in EVERYBODY if each[0] != SUBJECTS[20]], group=7)  # other bytes, the same rows
    assert len(place.index.contents.versions) == 7
    assert len(place.index.contents.chunks) - len(before.chunks) <= 5
    for _ in range(3):
        place.add([*EVERYBODY, row(0, len(place.rows))])
    assert len(place.index.contents.files) <= 2
    assert {path.name for path in place.index.files} == {ROOT, place.index.contents.table, *place.index.contents.files}
    assert place.differs(SUBJECTS[:25]) == {}


def damages(path: Path, other: Path, chance: random.Random) -> Iterator[tuple[str, bytes | None]]:
    """What may happen to a file of the index, everywhere in it."""
    data = path.read_bytes()
    for place in {0, len(data) - 1, *chance.sample(range(len(data)), 60)}:
        flipped = bytes([data[place] ^ 1 << chance.randrange(8)])
        yield f"byte {place}", data[:place] + flipped + data[place + 1 :]
    for length in {0, len(data) // 2, len(data) - 1, chance.randrange(len(data))}:
        yield f"cut at {length}", data[:length]
    yield "gone", None
    yield f"exchanged for {other.name}", other.read_bytes()
    yield "with more behind it", data + data[-12:]


def test_whatever_is_done_to_a_file_of_it_no_answer_is_wrong(place: Place) -> None:
    chance, noticed = random.Random(1), 0  # noqa: S311  where a byte is changed
    right = {path: path.read_bytes() for path in place.index.files}
    for path, data in right.items():
        for what, damaged in damages(path, chance.choice([each for each in right if each != path]), chance):
            path.unlink(missing_ok=True)
            if damaged is not None:
                path.write_bytes(damaged)
            for subject in (SUBJECTS[1], SUBJECTS[12], SUBJECTS[29]):
                assert place.differs([subject]) == {}, (path.name, what)
            noticed += place.index.unchanged(place.rows) == {}
        path.write_bytes(data)
    assert noticed >= 60  # whatever is done to the root is
    assert len(place.index.unchanged(place.rows)) == 5


def test_files_that_changed_places_are_not_taken_for_each_other(place: Place) -> None:
    """Two pages of the table, two chunks: each is right, and not there."""
    contents = place.index.contents
    table, rows = place.folder / contents.table, place.folder / contents.files[0]
    before, size = table.read_bytes(), 4 * index_file.ENTRY.itemsize
    table.write_bytes(before[size : 2 * size] + before[:size] + before[2 * size :])
    noticed = 0
    for subject in SUBJECTS:
        assert place.differs([subject]) == {}
        try:
            place.index.rows_of([subject])
        except DamagedIndexError:
            noticed += 1
    assert noticed >= 2
    table.write_bytes(before)
    first, second = (int(chunk["length"]) for chunk in contents.chunks[:2])
    before = rows.read_bytes()
    rows.write_bytes(before[first : first + second] + before[:first] + before[first + second :])
    with pytest.raises(DamagedIndexError):
        place.index.rows_of([SUBJECTS[0]])


def test_an_older_index_knows_less_and_nothing_wrong(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.folder, tmp_path / "older")
    newest = place.add([*EVERYBODY, row(1, 7)])
    shutil.copytree(place.folder, tmp_path / "newer")
    shutil.rmtree(place.folder)
    shutil.copytree(tmp_path / "older", place.folder)
    assert place.rows.keys() - place.index.unchanged(place.rows).keys() == set(newest)
    assert place.differs([SUBJECTS[1]]) == {}
    for name in ("older", "newer"):  # of one the root, of the other the rest
        shutil.rmtree(place.folder)
        shutil.copytree(tmp_path / ("newer" if name == "older" else "older"), place.folder)
        shutil.copy(tmp_path / name / ROOT, place.folder / ROOT)
        for subject in SUBJECTS:
            assert place.differs([subject]) == {}


def test_an_index_of_somebody_else_is_not_believed(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    hash_cache._key.cache_clear()
    assert place.index.unchanged(place.rows) == {}
    hash_cache._key.cache_clear()


def test_a_manifest_whose_file_is_another_one_is_not_known(place: Place) -> None:
    first, second, third, *_ = place.rows
    data = place.path(first).read_bytes()
    place.path(first).write_bytes(data)
    place.path(second).unlink()
    stat = place.path(third).stat()
    place.path(third).write_bytes(place.path(third).read_bytes()[::-1])
    os.utime(place.path(third), ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert place.index.unchanged(place.rows).keys() == set(list(place.rows)[3:])
    state = state_of(str(place.path(first)))
    assert state
    with Builder(place.folder, place.cache) as builder:  # hashed again, it was right
        builder.add(first, place.path(first), Version(first, True, state))
    assert place.index.unchanged(place.rows).keys() == {first, *list(place.rows)[3:]}
    assert place.index.contents.versions[first].root == str(len(place.rows[first]))
    assert place.differs([SUBJECTS[0]]) == {}


def test_a_manifest_that_changes_while_it_is_read_is_not_added(place: Place) -> None:
    rows = [row(1, 9)]
    state = [0, *(state_of(str(place.path(next(iter(place.rows))))) or [])[1:]]
    path = place.path("0" * 32)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(manifest_of(rows))
    with Builder(place.folder, place.cache) as builder:
        builder.add("0" * 32, path, Version("0" * 32, True, state))
        place.rows["0" * 32] = rows
    assert "0" * 32 not in place.index.contents.versions
    assert place.add([row(1, 8)])[0] in place.index.contents.versions
    assert place.differs([SUBJECTS[1]]) == {}


def test_what_is_no_manifest_is_not_added(place: Place) -> None:
    other = pa.schema([*MANIFEST_SCHEMA, pa.field("more", pa.string())])
    nullable = pa.schema([field.with_nullable(True) for field in MANIFEST_SCHEMA])
    broken = pa.array([b"\xff"] * 3, pa.binary()).view(pa.string())
    columns = {name: broken if name == "subject_id" else ["a"] * 3 for name in MANIFEST_SCHEMA.names}
    tables = [pa.table({name: ["a"] for name in schema.names}, schema=schema) for schema in (other, nullable)]
    known = len(place.rows)
    for number, table in enumerate([*tables, pa.table(columns, schema=MANIFEST_SCHEMA)]):
        md5 = f"{number:032d}"
        place.path(md5).parent.mkdir(parents=True, exist_ok=True)
        place.path(md5).write_bytes(written(table))
        with Builder(place.folder, place.cache) as builder:
            builder.add(md5, place.path(md5), Version(md5, True, state_of(str(place.path(md5))) or []))
    assert len(place.index.contents.versions) == known
    assert place.differs(SUBJECTS) == {}


def test_what_a_killed_audit_left_is_cleared_away(place: Place) -> None:
    left = [place.folder / name for name in ("root.17.partial", "rows-00", "table-00")]
    for path in left:
        path.write_bytes(b"some")
    assert place.differs([SUBJECTS[4]]) == {}
    assert place.index.may_hold(["nobody"])  # nobody knows what is in there
    place.add([row(2, 8)])
    assert not any(path.exists() for path in left)
    assert not place.index.may_hold(["nobody"])
    assert place.index.may_hold(["nobody", SUBJECTS[2]])


def test_one_audit_at_a_time_adds(place: Place) -> None:
    before = {path: path.read_bytes() for path in place.index.files}
    with FileLock(place.folder / LOCK):
        added = place.add([row(3, 9)])
    assert {path: path.read_bytes() for path in place.index.files} == before
    assert added[0] not in place.index.contents.versions


def test_who_reads_while_another_adds_finds_what_was_there_or_asks_the_manifests(place: Place) -> None:
    reading = place.index
    place.add([*EVERYBODY, row(5, 9)])
    with pytest.raises(DamagedIndexError):  # its table was replaced
        reading.rows_of([SUBJECTS[5]])
    reading.forget()
    assert len(place.index.contents.versions) == 6  # the other one's is not thrown away for that


def test_it_stays_within_its_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_builder, "LIMIT", place.index.contents.size)
    (refused,) = place.add([row(6, 9)])
    assert refused not in place.index.contents.versions
    with Builder(place.folder, place.cache) as builder:
        builder.make_room(place.rows, [])  # all of it is asked for
    assert len(place.index.contents.versions) == 5
    with Builder(place.folder, place.cache) as builder:
        builder.make_room([refused], [])
    assert not place.index.contents.versions
    assert place.add([row(6, 9)])[0] in place.index.contents.versions


def test_an_index_that_holds_somebody_who_was_erased_is_thrown_away(place: Place) -> None:
    with Builder(place.folder, place.cache) as builder:
        builder.make_room(place.rows, [next(iter(place.rows))])
    assert not place.index.may_hold(SUBJECTS)
    assert [path.name for path in place.index.files if path.name.startswith("rows")] == []


def test_where_nothing_can_be_written_nothing_is_added(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("a file")
    place = Place(tmp_path)
    added = place.add(EVERYBODY)
    assert place.index.unchanged(added) == {}


# --- an audit --------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, copy_to: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose files are old enough to be told from those that change now."""
    root = copy_to(tmp_path / "project")
    for command in (["init", "--quiet"], ["commit", "--quiet", "--allow-empty", "-m", "empty"]):
        subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *command], cwd=root, check=True)
    (root / ".dvc").mkdir(exist_ok=True)
    (root / ".dvc" / "config").write_text("")
    later = time.time_ns() + 2 * SETTLED
    monkeypatch.setattr(time, "time_ns", lambda: later)
    return root


def dataset(root: Path, rows: list[Row]) -> str:
    """The hash of a new dataset version in the cache."""
    manifest = manifest_of(rows)
    shard = pq.read_table(pa.BufferReader(manifest)).append_column(
        SHARD_SCHEMA.field("image"), pa.array([b""] * len(rows), pa.binary())
    )
    files = {"manifest.parquet": manifest, "shards/all.parquet": written(shard)}
    hashes = {path: hashlib.md5(data, usedforsecurity=False).hexdigest() for path, data in files.items()}
    md5 = md5_of_listing(hashes)
    for name, data in {**{hashes[path]: data for path, data in files.items()}, md5: listing(hashes)}.items():
        path = root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return md5


def test_audits_with_and_without_an_index_say_the_same(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {dataset(project, rows): rows for rows in (EVERYBODY, EVERYBODY[3:], EVERYBODY[30:], [])}
    kept = project / ".dvc" / "tmp" / "kept" / "audit"
    index = kept / "index"

    def answer() -> tuple[object, ...]:
        manifests = Manifests(Evidence(project), versions)
        ids = [SUBJECTS[29], SUBJECTS[0], "nobody"]
        first, roots = ([ask(md5) for md5 in versions] for ask in (manifests.first_subject, manifests.root))
        seen = [manifests.seen_by_training(md5) for md5 in versions]
        return manifests.records_of(ids), first, roots, seen, manifests.others_than(SUBJECTS[:29]), manifests.faults

    right = [
        Record(md5, *each) for md5, rows in versions.items() for each in rows if each[0] in (SUBJECTS[0], SUBJECTS[29])
    ]
    monkeypatch.setattr(Builder, "add", lambda *_: None)
    without = answer()
    assert without[0] == right
    assert without[1] == [SUBJECTS[0], SUBJECTS[1], SUBJECTS[10], None]
    assert without[2] == [root_of_dataset(md5, str(len(rows))) for md5, rows in versions.items()]
    assert Index(index, Path(), kept).contents.versions == {}
    monkeypatch.undo()
    later = time.time_ns() + 2 * SETTLED
    monkeypatch.setattr(time, "time_ns", lambda: later)
    assert answer() == without  # which makes it
    assert len(Index(index, Path(), kept).contents.versions) == 4
    with monkeypatch.context() as alone:
        alone.setattr(pq, "ParquetFile", lambda *_, **__: pytest.fail("a manifest was opened"))
        assert Manifests(Evidence(project), versions).records_of([SUBJECTS[29], SUBJECTS[0]]) == right
    for kind in ("root", "table-*", "rows-*"):
        for damage in (lambda data: data[: len(data) // 2], lambda data: bytes(len(data)), lambda _: b""):
            (path,) = index.glob(kind)
            path.write_bytes(damage(path.read_bytes()))
            assert answer() == without
            assert answer() == without  # made again
            assert len(Index(index, Path(), kept).contents.versions) == 4


def test_a_manifest_that_is_gone_or_changed_is_a_fault_whatever_the_index_knows(project: Path) -> None:
    gone, changed, whole = (dataset(project, rows) for rows in (EVERYBODY, EVERYBODY[3:], EVERYBODY[9:]))
    versions = [gone, changed, whole]
    assert Manifests(Evidence(project), versions).usable == versions
    cache = project / ".dvc" / "cache" / "files" / "md5"
    of = Evidence(project).objects.listing
    for md5, data in ((gone, None), (changed, b"other bytes")):
        name = of(md5)["manifest.parquet"]
        (cache / name[:2] / name[2:]).unlink()
        if data:
            (cache / name[:2] / name[2:]).write_bytes(data)
    manifests = Manifests(Evidence(project), versions)
    assert (manifests.usable, list(manifests.faults)) == ([whole], [gone, changed])
    assert {record.dataset for record in manifests.records_of([SUBJECTS[9]])} == {whole}


def test_a_copy_of_a_project_knows_its_manifests_when_they_were_hashed_again(project: Path, tmp_path: Path) -> None:
    versions = [dataset(project, rows) for rows in (EVERYBODY, EVERYBODY[3:])]
    right = Manifests(Evidence(project), versions).records_of([SUBJECTS[7]])
    copy = tmp_path / "copy"
    shutil.copytree(project, copy)
    kept = copy / ".dvc" / "tmp" / "kept" / "audit"
    cache = copy / ".dvc" / "cache" / "files" / "md5"
    assert Index(kept / "index", cache, kept).unchanged(versions) == {}
    assert Manifests(Evidence(copy), versions).records_of([SUBJECTS[7]]) == right
    assert list(Index(kept / "index", cache, kept).unchanged(versions)) == versions
