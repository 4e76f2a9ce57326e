"""Each damage is done to a copy of a real project: found, named, never passed over."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from conftest import Lineage, Project, mlflow_server

SECOND = "models:/traceable-digits/2"
WEIGHTS = "models/model.safetensors"


@pytest.fixture
def project(linked: Project, tmp_path: Path) -> Project:
    """A copy of the linked project, to damage."""
    return linked.copy(tmp_path)


def overwrite(path: Path, data: bytes) -> None:
    """Objects are read-only."""
    path.chmod(0o644)
    path.write_bytes(data)


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def rewrite(project: Project, change: Callable[[], object], subject: str = "Second model") -> None:
    """The last commit as if `change` had been part of it, and nothing left of the one that was."""
    change()
    project.git("commit", "--quiet", "--all", "--amend", "--allow-empty", "--message", subject)
    project.git("push", "--quiet", "--force", "origin", "main")
    project.git("reflog", "expire", "--expire=now", "--all")
    project.git("gc", "--quiet", "--prune=now")


def edit(path: Path, old: str, new: str) -> Callable[[], object]:
    def change() -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return change


def lock_edit(project: Project, stage: str, path: str) -> None:
    """Another hash for `path` in the entry of `stage` in dvc.lock."""
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    start = text.index(f"\n  {stage}:\n")
    at = text.index(f"path: {path}\n", start)
    found = re.compile(r"md5: ([0-9a-f]{32})").search(text, at)
    assert found
    lock.write_text(text[: found.start(1)] + "0" * 32 + text[found.end(1) :])


def shards(project: Project) -> list[str]:
    listing = project.listing(project.out("preprocess", "data/processed"))
    return [entry["md5"] for entry in listing if entry["relpath"].startswith("shards/")]


def manifest(project: Project) -> str:
    listing = project.listing(project.out("preprocess", "data/processed"))
    return next(entry["md5"] for entry in listing if entry["relpath"] == "manifest.parquet")


def artifact(project: Project, name: str) -> Path:
    """A file of the second version as the registry hands it out."""
    client = project.store().client
    model = client.get_model_version("traceable-digits", "2").source.removeprefix("models:/")
    folder = Path(client.get_logged_model(model).artifact_location.removeprefix("file://"))
    return next(folder.rglob(name))


def training_run(project: Project, number: str = "2") -> str:
    return project.store().client.get_model_version("traceable-digits", number).tags["training_run_id"]


def run_artifact(project: Project, name: str) -> Path:
    return project.root / "mlartifacts" / training_run(project) / "artifacts" / name


# --- Git


def test_a_commit_that_is_gone(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("commit", "--quiet", "--allow-empty", "--message", "Second model")  # the same words are no proof
    rewrite(project, lambda: None)
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (1, "FAIL")
    assert "is absent" in proof.not_passed["result commit"]
    assert "dvc.lock" in proof.not_passed
    lineage(project, "link")
    assert lineage.verify(project, SECOND).state == "FAIL"


def test_a_commit_that_no_ref_leads_to(project: Project, lineage: Lineage) -> None:
    project.git("reset", "--quiet", "--hard", "HEAD~1")
    project.git("update-ref", "-d", "refs/remotes/origin/main")
    assert "in no ref" in lineage.verify(project, SECOND).not_passed["result commit"]


def test_a_commit_that_was_not_pushed(project: Project, lineage: Lineage) -> None:
    origin = project.git("remote", "get-url", "origin")
    project.git("-C", origin, "update-ref", "refs/heads/main", "HEAD~1")
    assert "not pushed" in lineage.verify(project, SECOND).not_passed["result commit"]


def test_a_git_remote_that_does_not_answer(project: Project, lineage: Lineage) -> None:
    shutil.rmtree(project.git("remote", "get-url", "origin"))
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.not_passed
    assert list(proof.not_passed) == ["result commit"]


def test_a_shallow_clone_cannot_tell(project: Project, lineage: Lineage, tmp_path: Path) -> None:
    project.git("commit", "--quiet", "--allow-empty", "--message", "Later")
    project.git("push", "--quiet", "origin", "main")
    origin = project.git("remote", "get-url", "origin")
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{origin}", str(tmp_path / "shallow")], check=True)
    shutil.rmtree(project.root / ".git")
    shutil.move(tmp_path / "shallow" / ".git", project.root / ".git")
    proof = lineage.verify(project, SECOND)
    assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.not_passed
    assert "git fetch --unshallow" in proof.not_passed["result commit"]
    project.git("fetch", "--quiet", "--unshallow")
    assert lineage.verify(project, SECOND).state == "PASS"


@pytest.mark.parametrize(
    ("stage", "path", "links"),
    [
        ("train", "data/processed", {"result commit", "dvc.lock"}),  # another model identity: no commit holds this one
        ("train", WEIGHTS, {"result commit", "dvc.lock"}),
        ("preprocess", "data/raw", {"code", "lineage.json"}),
        ("preprocess", "data/processed", {"code"}),
        ("fetch", "data/raw", {"code"}),
        ("evaluate", "metrics/test.json", {"metrics"}),
        ("register", "lineage.json", {"lineage.json"}),
    ],
)
def test_dvc_lock_edited_by_hand(stage: str, path: str, links: set[str], project: Project, lineage: Lineage) -> None:
    rewrite(project, lambda: lock_edit(project, stage, path))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert links <= set(proof.not_passed)


def test_a_parameter_in_dvc_lock_edited_by_hand(project: Project, lineage: Lineage) -> None:
    rewrite(project, edit(project.root / "dvc.lock", "data.fraction: 1.0", "data.fraction: 0.5"))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert "data.fraction" in proof.not_passed["parameters"]
    assert "data.fraction" in proof.not_passed["parameters in MLflow"]


@pytest.mark.parametrize(
    ("file", "link"),
    [
        ("traceable_digits/model/training.py", "code"),
        ("traceable_digits/data/selection.py", "code"),
        ("traceable_digits/serving.py", "code"),
        ("conf/train/default.yaml", "code"),
        ("params.yaml", "code"),
        ("requirements.lock", "environment"),
        ("dvc.yaml", None),
    ],
)
def test_a_file_edited_between_run_and_commit(file: str, link: str | None, project: Project, lineage: Lineage) -> None:
    path = project.root / file
    rewrite(project, lambda: path.write_text(path.read_text() + "\n# edited afterwards\n"))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    if link is None:  # a comment in dvc.yaml changes nothing that was run
        assert proof.not_passed == {}
    else:
        assert proof.state == "FAIL"
        named = [str(path) for path in (Path(file), *Path(file).parents[:-1])]  # the file, or a folder it is in
        assert any(name in proof.not_passed[link] for name in named)


def test_a_command_edited_between_run_and_commit(project: Project, lineage: Lineage) -> None:
    rewrite(project, edit(project.root / "dvc.yaml", "python -m traceable_digits.stages.train", "python -m evil"))
    lineage(project, "link")
    assert "the command of stage train" in lineage.verify(project, SECOND).not_passed["code"]


def test_an_older_lineage_file_put_back(project: Project, lineage: Lineage) -> None:
    older = project.git("show", "HEAD~1:lineage.json") + "\n"
    rewrite(project, lambda: (project.root / "lineage.json").write_text(older))
    lineage(project, "link")
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert "lineage.json" in proof.not_passed["lineage.json"]
    assert lineage.verify(project, "lineage.json").state == "FAIL"


def test_an_older_lineage_file_in_the_workspace(project: Project, lineage: Lineage) -> None:
    (project.root / "lineage.json").write_text(project.git("show", "HEAD~1:lineage.json") + "\n")
    proof = lineage.verify(project, "lineage.json")
    assert proof.state == "FAIL"
    assert "dvc.lock beside it" in proof.not_passed["lineage.json"]


def test_an_untracked_module_in_the_run(project: Project, lineage: Lineage) -> None:
    extra = project.root / "traceable_digits" / "model" / "extra.py"
    extra.write_text("FACTOR = 2\n")
    project.compose("train=debug", "train.seed=9")
    project.dvc("repro")
    extra.unlink()  # or: forgotten in `git add`
    project.commit("Third model")
    project.git("push", "--quiet", "origin", "main")
    project.dvc("push", "--quiet")
    lineage(project, "link")
    proof = lineage.verify(project, "models:/traceable-digits/3")
    assert list(proof.not_passed) == ["code"]
    assert "traceable_digits/model" in proof.not_passed["code"]
    assert "extra.py" in proof.not_passed["code"]


# --- MLflow


def test_a_parameter_edited_in_the_store(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    assert project.sql("UPDATE params SET value = '0.5' WHERE key = 'train.lr' AND run_uuid = ?", run) == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["parameters in MLflow"]
    assert "train.lr" in proof.not_passed["parameters in MLflow"]


@pytest.mark.parametrize(
    "change",
    ["DELETE FROM params WHERE key = 'train.lr'", "INSERT INTO params SELECT 'train.magic', '1', run_uuid FROM runs"],
)
def test_a_parameter_removed_or_added_in_the_store(change: str, project: Project, lineage: Lineage) -> None:
    assert project.sql(change) > 0
    assert list(lineage.verify(project, SECOND).not_passed) == ["parameters in MLflow"]


VERSION_TAGS = [
    "model_identity",
    "dvc_raw_md5",
    "dvc_data_md5",
    "data_sha256",
    "dvc_model_md5",
    "model_sha256",
    "environment_md5",
    "artifact_sha256",
    "training_run_id",
    "mlflow.source.git.commit",
    "git_dirty",
    "result_git_commit_id",
    "data_git_commit_id",
]


@pytest.mark.parametrize("tag", VERSION_TAGS)
def test_a_tag_of_the_version_edited(tag: str, project: Project, lineage: Lineage) -> None:
    new = project.git("rev-parse", "HEAD~2") if "git_commit_id" in tag else "0" * 32
    assert project.sql("UPDATE model_version_tags SET value = ? WHERE key = ? AND version = 2", new, tag) == 1
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert tag in proof.output or new[:12] in proof.output


@pytest.mark.parametrize(
    "tag", ["dvc_raw_md5", "dvc_data_md5", "dvc_model_md5", "data_sha256", "dvc_stage", "environment_md5"]
)
def test_a_tag_of_the_training_run_edited(tag: str, project: Project, lineage: Lineage) -> None:
    changed = project.sql(
        "UPDATE tags SET value = ? WHERE key = ? AND run_uuid = ?", "f" * 32, tag, training_run(project)
    )
    assert changed == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["training run"]
    assert (tag in proof.output) or tag == "dvc_stage"


def test_the_dataset_of_the_run_edited(project: Project, lineage: Lineage) -> None:
    assert project.sql("UPDATE datasets SET digest = ?", "0" * 32 + ".dir") > 0
    assert list(lineage.verify(project, SECOND).not_passed) == ["training run"]


def test_a_deleted_run(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    project.store().client.delete_run(run)
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["training run"]
    assert run in proof.not_passed["training run"]
    assert "deleted" in proof.not_passed["training run"]


def test_a_purged_run(project: Project, lineage: Lineage) -> None:
    run = training_run(project)
    for table in ("tags", "params", "metrics", "latest_metrics", "runs"):
        project.sql(f"DELETE FROM {table} WHERE run_uuid = ?", run)
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert run in proof.not_passed["training run"]


def test_a_version_pointed_to_another_run(project: Project, lineage: Lineage) -> None:
    first = training_run(project, "1")
    assert project.sql("UPDATE model_versions SET run_id = ? WHERE version = 2", first) == 1
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["version"]
    assert first in proof.not_passed["version"]


def test_a_version_pointed_to_another_model(project: Project, lineage: Lineage) -> None:
    changed = project.sql(
        "UPDATE model_versions SET source = (SELECT source FROM model_versions WHERE version = 1) WHERE version = 2"
    )
    assert changed == 1
    assert {"version", "registered artifact"} <= set(lineage.verify(project, SECOND).not_passed)


@pytest.mark.parametrize("name", ["model.safetensors", "serving.py", "requirements.txt", "MLmodel", "python_env.yaml"])
def test_a_registered_file_replaced(name: str, project: Project, lineage: Lineage) -> None:
    path = artifact(project, name)
    overwrite(path, flip(path.read_bytes()))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["registered artifact"]
    assert name in proof.not_passed["registered artifact"]


def test_a_registered_file_added_or_removed(project: Project, lineage: Lineage) -> None:
    path = artifact(project, "serving.py")
    (path.parent / "sitecustomize.py").write_text("print('hello')\n")
    assert "sitecustomize.py" in lineage.verify(project, SECOND).not_passed["registered artifact"]
    (path.parent / "sitecustomize.py").unlink()
    path.unlink()
    fault = lineage.verify(project, SECOND).not_passed["registered artifact"]
    assert re.search(r"serving\.py of \S+ is absent", fault)


def test_loading_the_model_is_no_damage_but_other_bytecode_is(project: Project, lineage: Lineage) -> None:
    load = (
        "import mlflow; uri = 'sqlite:///mlflow.db'; mlflow.set_tracking_uri(uri); mlflow.set_registry_uri(uri); "
        f"mlflow.pyfunc.load_model('{SECOND}')"
    )
    project.run("python", "-c", load)
    compiled = artifact(project, "serving.*.pyc")
    assert artifact(project, "registered_model_meta").exists()
    assert lineage.verify(project, SECOND).not_passed == {}
    other = next(path for path in compiled.parents[1].rglob("*.pyc") if path != compiled)
    overwrite(compiled, compiled.read_bytes()[:16] + other.read_bytes()[16:])  # Python would run it, not serving.py
    assert compiled.name in lineage.verify(project, SECOND).not_passed["registered artifact"]


def test_another_list_of_packages(project: Project, lineage: Lineage) -> None:
    path = run_artifact(project, "packages.txt")
    path.write_text(re.sub(r"^torch==.*$", "torch==1.0.0", path.read_text(), flags=re.MULTILINE))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["environment"]
    assert "package torch" in proof.not_passed["environment"]


# --- DVC


OBJECT_DAMAGES: dict[str, Callable[[Path, Path], None]] = {
    "deleted": lambda path, other: path.unlink(),
    "truncated": lambda path, other: overwrite(path, path.read_bytes()[:-1]),
    "emptied": lambda path, other: overwrite(path, b""),
    "extended": lambda path, other: overwrite(path, path.read_bytes() + b"\0"),
    "one bit flipped": lambda path, other: overwrite(path, flip(path.read_bytes())),
    "swapped": lambda path, other: overwrite(path, other.read_bytes()),
    "made a folder": lambda path, other: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", list(OBJECT_DAMAGES))
@pytest.mark.parametrize("kind", ["shard", "weights", "listing", "raw"])
def test_an_object_of_the_remote(damage: str, kind: str, project: Project, lineage: Lineage) -> None:
    raw = project.listing(project.out("fetch", "data/raw"))[0]["md5"]
    victims = {
        "shard": shards(project)[3],
        "weights": project.out("train", WEIGHTS),
        "listing": project.out("preprocess", "data/processed"),
        "raw": raw,
    }
    md5 = victims[kind]
    OBJECT_DAMAGES[damage](project.object(md5), project.object(shards(project)[5]))
    proof = lineage.verify(project, SECOND, "--rehash")
    assert proof.status == 1
    assert "DVC remote" in proof.not_passed
    assert md5[2:] in proof.not_passed["DVC remote"]
    shutil.rmtree(project.root / ".dvc" / "cache")  # what is left is the damaged one
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert md5[2:] in proof.output


def test_a_spoofed_listing(project: Project, lineage: Lineage) -> None:
    """A listing that leaves a shard out, in the remote and in the cache, under the old name."""
    md5 = project.out("preprocess", "data/processed")
    entries = project.listing(md5)
    shorter = json.dumps([entry for entry in entries if entry["md5"] != shards(project)[0]]).encode()
    overwrite(project.object(md5), shorter)
    overwrite(project.cached(md5), shorter)
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert md5[2:] in proof.output


@pytest.mark.parametrize("part", ["manifest", "shard"])
def test_manifest_and_shards_that_differ(part: str, project: Project, lineage: Lineage) -> None:
    md5 = manifest(project) if part == "manifest" else shards(project)[0]
    for path in (project.object(md5), project.cached(md5)):
        overwrite(path, path.read_bytes().replace(b"SCAN-00", b"SCAN-99"))
    proof = lineage.verify(project, SECOND)
    assert proof.state == "FAIL"
    assert {"DVC cache", "dataset"} <= set(proof.not_passed)
    assert md5 in proof.output


def test_a_manifest_that_never_was_the_shards(project: Project, lineage: Lineage) -> None:
    """Every hash is right, up to dvc.lock: only reading both shows it."""
    script = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq, pyarrow as pa
path = Path("data/processed/manifest.parquet")
table = pq.read_table(path)
rows = table.to_pylist()[1:]
path.chmod(0o644)
pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path, compression="none")
"""
    project.run("python", "-c", script)
    project.dvc("commit", "--force", "preprocess")
    md5 = project.out("preprocess", "data/processed")
    check = (
        "from pathlib import Path; from traceable_digits.proof.objects import Objects; "
        "from traceable_digits.proof.dataset import compare_manifest; "
        f"print(compare_manifest(Objects(Path('.')), '{md5}'))"
    )
    output = project.run("python", "-c", check)
    assert "1796" in output
    assert "1 rows" in output
    assert "not in the manifest" in output


def test_the_manifest_logged_with_the_run_altered(project: Project, lineage: Lineage) -> None:
    path = run_artifact(project, "manifest.parquet")
    overwrite(path, flip(path.read_bytes()))
    assert list(lineage.verify(project, SECOND).not_passed) == ["dataset"]


@pytest.mark.parametrize("damage", ["one bit flipped", "truncated", "made a folder", "swapped"])
def test_a_corrupted_cache(damage: str, project: Project, lineage: Lineage) -> None:
    weights = project.out("train", WEIGHTS)
    OBJECT_DAMAGES[damage](project.cached(weights), project.cached(shards(project)[5]))
    proof = lineage.verify(project, SECOND)
    assert list(proof.not_passed) == ["DVC cache"]
    assert weights in proof.not_passed["DVC cache"]


def test_no_remote(project: Project, lineage: Lineage) -> None:
    (project.root / ".dvc" / "config.local").write_text("['remote \"storage\"']\n    url = /nowhere/at/all\n")
    proof = lineage.verify(project, SECOND)
    assert proof.status in (1, 2)
    assert "DVC remote" in proof.not_passed


# --- stores


def test_two_projects_in_one_store(project: Project, lineage: Lineage) -> None:
    project.sql("UPDATE model_version_tags SET value = 'pother' WHERE key = 'project_id' AND version = 2")
    status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert "another project" in output
    document = json.loads(lineage(project, "verify", "--all", "--json"))
    assert [model["model"] for model in document["models"]] == ["models:/traceable-digits/1"]
    assert project.params["project_id"] in document["scope"]
    assert "not looked at: 1" in document["scope"]
    project.sql("DELETE FROM model_version_tags WHERE key = 'project_id' AND version = 2")  # hidden from its project
    proof = lineage.verify(project, "--all")
    assert proof.status != 0
    assert "'INCONCLUSIVE'" in proof.state or "'FAIL'" in proof.state


def test_a_store_that_fails_once_and_then_answers(project: Project, lineage: Lineage) -> None:
    with mlflow_server(project, project.root / "mlflow.db") as server, fails_once(server, "/logged-models/") as uri:
        edit(project.root / "params.yaml", "uri: sqlite:///mlflow.db", f"uri: {uri}")()
        proof = lineage.verify(project, SECOND)
        assert (proof.status, proof.state) == (2, "INCONCLUSIVE"), proof.output
        (text,) = proof.not_passed.values()  # the one link that asked first
        assert uri in text
        assert lineage.verify(project, SECOND).not_passed == {}


@contextlib.contextmanager
def fails_once(target: str, part: str) -> Iterator[str]:
    """The address of a server that hands everything on to `target`, but refuses the first request with `part` in it."""
    refused: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if part in self.path and not refused:
                refused.append(self.path)
                self.send_error(403, "not now")
                return
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            try:
                with urlopen(Request(target + self.path, body or None, headers, method=self.command)) as response:
                    status, data = response.status, response.read()
            except HTTPError as error:
                status, data = error.code, error.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815  names that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
    assert refused


def test_a_database_that_is_locked(project: Project, lineage: Lineage) -> None:
    with contextlib.closing(sqlite3.connect(project.root / "mlflow.db", isolation_level=None)) as store:
        store.execute("BEGIN EXCLUSIVE")
        status, output = lineage.ask(project, "verify", SECOND)
    assert status == 2
    assert "Traceback" not in output
    assert lineage.verify(project, SECOND).state == "PASS"
