"""Random damage to random parts of a proved project is always found, and harmless variation never is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from baked import Project
from command import Lineage

SECOND = "models:/traceable-digits/2"
SEED = 20261121


def times(few: int, many: int) -> pytest.MarkDecorator:
    """A few times in every run of the tests, many times in `make test-long`."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.long)])


@pytest.fixture(scope="module")
def subject(linked: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the linked project. Whatever a test changes it changes back."""
    return linked.copy(tmp_path_factory.mktemp("mutations"))


def files_of(project: Project) -> list[Path]:
    """Everything outside of Git that the proof of the second model rests on: objects, cache, artifacts."""
    lock = project.lock
    stages = ("config", "fetch", "preprocess", "train", "evaluate")
    names = {out["md5"] for stage in stages for out in lock[stage]["outs"]}
    for listing in [name for name in names if name.endswith(".dir")]:
        names |= {entry["md5"] for entry in project.listing(listing)}
    client = project.store().client
    version = client.get_model_version("traceable-digits", "2")
    model = client.get_logged_model(version.source.removeprefix("models:/"))
    artifacts = Path(model.artifact_location.removeprefix("file://"))
    run = project.root / "mlartifacts" / version.tags["training_run_id"] / "artifacts"
    return [
        *(project.object(name) for name in sorted(names)),
        *(project.cached(name) for name in sorted(names)),
        *(path for path in sorted(artifacts.rglob("*")) if path.is_file()),
        run / "manifest.parquet",
        run / "packages.txt",
    ]


def mutate(data: bytes, chance: random.Random) -> bytes:
    """A few random bytes of `data` changed, cut off, put in, or exchanged."""
    at = chance.randrange(len(data) + 1)
    noise = chance.randbytes(chance.randint(1, 8))
    way = chance.choice(("change", "cut", "insert", "drop"))
    if way == "change":
        return data[:at] + noise + data[at + len(noise) :]
    if way == "cut":
        return data[:at]
    return data[:at] + noise + data[at:] if way == "insert" else data[:at] + data[at + len(noise) :]


@times(15, 300)
def test_random_damage_is_never_passed_over_and_the_object_is_named(
    count: int, subject: Project, lineage: Lineage
) -> None:
    assert lineage.verify(subject, SECOND, "--rehash").state == "PASS"
    chance = random.Random(SEED)
    files = files_of(subject)
    for number in range(count):
        path = chance.choice(files)
        before = path.read_bytes()
        after = mutate(before, chance)
        if after == before or is_extra_package(path, before, after):
            continue
        path.chmod(0o644)
        path.write_bytes(after)
        proof = lineage.verify(subject, SECOND, "--rehash")
        assert proof.state in ("FAIL", "INCONCLUSIVE"), f"{number}: {path} (seed {SEED})"
        # an object by its hash, an artifact by its path
        name = path.name if "md5" not in path.parts else path.name.removesuffix(".dir")
        assert name in proof.output, f"{number}: {path} is not named (seed {SEED})\n{proof.not_passed}"
        path.write_bytes(before)
    assert lineage.verify(subject, SECOND, "--rehash").state == "PASS"


def is_extra_package(path: Path, before: bytes, after: bytes) -> bool:
    """Whether only packages were touched that the lock does not ask for: what else is installed proves nothing."""
    if path.name != "packages.txt":
        return False
    lock = (path.parents[3] / "requirements.lock").read_text()
    changed = set(before.splitlines()) ^ set(after.splitlines())
    return not any(line.split(b"==")[0].decode(errors="replace") + "==" in lock for line in changed)


TABLES = {
    "tags": ("value", "key IN ('dvc_data_md5', 'dvc_raw_md5', 'dvc_model_md5', 'model_sha256', 'project_id')"),
    "params": ("value", "key <> 'data_git_commit_id'"),
    "model_version_tags": ("value", "key NOT IN ('lineage_status', 'data_version', 'register_run_id')"),
}


@times(8, 100)
def test_a_random_value_of_the_store_is_never_passed_over(count: int, subject: Project, lineage: Lineage) -> None:
    chance = random.Random(SEED)
    database = subject.root / "mlflow.db"
    whole = database.read_bytes()
    run = subject.store().client.get_model_version("traceable-digits", "2").tags["training_run_id"]
    for number in range(count):
        table = chance.choice(sorted(TABLES))
        column, where = TABLES[table]
        of = "version = 2" if table == "model_version_tags" else f"run_uuid = '{run}'"
        pick = f"SELECT rowid FROM {table} WHERE {where} AND {of} ORDER BY key LIMIT 1 OFFSET {chance.randrange(5)}"
        changed = subject.sql(f"UPDATE {table} SET {column} = {column} || 'x' WHERE rowid = ({pick})")
        assert changed == 1
        proof = lineage.verify(subject, SECOND)
        assert proof.status in (1, 2), f"{number}: {pick} (seed {SEED})\n{proof.output}"
        database.write_bytes(whole)


def variations(project: Project, chance: random.Random) -> dict[str, Callable[[], object]]:
    """What people do to a project without changing what a model was made of."""
    root = project.root
    number = chance.randrange(10**9)

    def commit() -> None:
        (root / "notes.md").write_text(f"note {number}\n")
        project.commit(f"Note {number}")
        project.git("push", "--quiet", "origin", f"HEAD:refs/heads/notes-{number}")

    def touch() -> None:
        chance.choice([path for path in files_of(project) if path.exists()]).touch()

    def object_of_others() -> None:
        path = project.remote / "files" / "md5" / "ab" / f"{number:030x}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("another project's")

    def run_of_others() -> None:
        project.store().client.create_run("0", tags={"project_id": "pother", "dvc_stage": "train"})

    def own_tag() -> None:
        project.store().client.set_model_version_tag("traceable-digits", "2", f"reviewed_{number}", "yes")

    def own_metric() -> None:
        run = project.store().client.get_model_version("traceable-digits", "2").tags["training_run_id"]
        project.store().client.log_metric(run, f"later_{number}", 1.0)

    def alias() -> None:
        project.store().client.set_registered_model_alias("traceable-digits", "shadow", "2")

    def forget_cached() -> None:
        cached = [path for path in files_of(project) if path.is_relative_to(root / ".dvc" / "cache") and path.exists()]
        if cached:
            path = chance.choice(cached)
            path.chmod(0o644)
            path.unlink()

    return {
        "a commit": commit,
        "a branch": lambda: project.git("branch", "--force", f"branch-{number % 7}"),
        "a tag": lambda: project.git("tag", "--force", f"tag-{number % 7}"),
        "packed refs": lambda: project.git("pack-refs", "--all"),
        "collected garbage": lambda: project.git("gc", "--quiet"),
        "a detached head": lambda: project.git("checkout", "--quiet", "--detach", "HEAD"),
        "an older head": lambda: project.git("checkout", "--quiet", "--force", "--detach", "main~1"),
        "main again": lambda: project.git("checkout", "--quiet", "--force", "main"),
        "a file touched": touch,
        "an edited workspace": lambda: (root / "params.yaml").write_text((root / "params.yaml").read_text() + "# x\n"),
        "an untracked file": lambda: (root / f"scratch-{number % 7}.txt").write_text("x"),
        "outputs removed": lambda: shutil.rmtree(root / "models", ignore_errors=True),
        "an object of others": object_of_others,
        "a run of others": run_of_others,
        "a tag of one's own": own_tag,
        "a metric of one's own": own_metric,
        "an alias": alias,
        "an object gone from the cache": forget_cached,
    }


@times(20, 300)
def test_harmless_variations_raise_no_alarm(count: int, linked: Project, lineage: Lineage, tmp_path: Path) -> None:
    project = linked.copy(tmp_path)
    chance = random.Random(SEED)
    for number in range(count):
        known = variations(project, chance)
        name = chance.choice([*sorted(known), "link"])
        known.get(name, lambda: lineage(project, "link"))()
        proof = lineage.verify(project, SECOND)
        assert (proof.status, proof.not_passed) == (0, {}), f"{number}: {name} (seed {SEED})"
