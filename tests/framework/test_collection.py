"""`lineage gc`: what nothing needs goes, what anything needs stays, and where that is unknown nothing goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lineage.audit.certificate_form import KIND
from lineage.base.errors import ProjectError
from lineage.collection.plan import note, noted
from lineage.dvc.hashes import sha256_of_json
from lineage.dvc.remote import object_path
from lineage.evidence.log import PATH as LOG
from lineage.evidence.log import text_of
from lineage.proof.collections import FOLDER
from lineage.proof.data_push import push

from .collecting import World, environment, experiment, going, without_reflog


@pytest.fixture(scope="session")
def _world(tmp_path_factory: pytest.TempPathFactory, example_params: str) -> World:
    import mlflow

    base = tmp_path_factory.mktemp("gc")
    uri = f"sqlite:///{base}/mlflow.db"
    world = World(base, example_params, client=mlflow.MlflowClient(uri, uri))
    world.client.create_registered_model("scans")
    return world


@pytest.fixture
def world(_world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    return _world.reset()


def test_what_nothing_names_goes_and_all_else_stays(world: World) -> None:
    kept = world.run("a", "a", "a")
    world.commit()
    orphan, listing = world.put("orphan"), world.folder({"x": "of a folder", "shared.csv": "the same in all"})[0]
    plan = world.plan()
    assert (plan.unknown, plan.lost) == ([], [])
    assert going(plan) == {orphan, listing, world.put("of a folder")}
    assert {each.place for each in plan.going} == {"cache", "remote"}
    assert world.plan(cloud=False).going[0].place != "remote"
    done = world.execute(plan)
    assert (done.left, len(done.deleted)) == ([], 6)
    assert world.there() == {"cache": kept.objects, "remote": kept.objects}
    assert going(world.plan()) == set()


def test_the_record_is_in_git_before_anything_goes(world: World) -> None:
    world.run("a", "a", "a")
    world.commit()
    orphan = world.put("orphan")
    done = world.execute(world.plan())
    assert world.git("log", "--max-count=1", "--name-only", "--format=") == done.record
    document = json.loads((world.root / done.record).read_text())
    assert (document["objects"], document["reason"], document["ends"]) == ({orphan: ""}, "a test", [])
    found = world.evidence().collections.of_object(orphan)
    assert found is not None and found.path == done.record and done.record.startswith(f"{FOLDER}/")


STAYS: dict[str, Callable[[World], object]] = {
    "a branch": lambda world: (world.git("switch", "-qc", "other"), world.commit(), world.git("switch", "-q", "main")),
    "a tag": lambda world: (world.commit(), world.git("tag", "v1"), world.git("reset", "-q", "--hard", "HEAD~1")),
    "an experiment": lambda world: experiment(world, "bold-cat"),
    "a stash": lambda world: world.git("stash", "push", "--quiet", "--include-untracked"),
    "what is staged": lambda world: (world.git("add", "--all"), (world.root / "dvc.lock").write_text("stages: {}")),
    "what lies here": lambda _: None,
    "a remote branch": lambda world: (
        world.commit(),
        world.git("update-ref", "refs/remotes/old/x", "HEAD"),
        world.git("reset", "-q", "--hard", "HEAD~1"),
    ),
    "a temporary experiment": lambda world: _moved_to(world, ".dvc/tmp/exps/tmp1"),
    "another pipeline in a folder": lambda world: _moved_to(world, "other"),
    "a file of dvc add": lambda world: _as_dvc_file(world),
    "a merge that is not done": lambda world: _torn(world),
}


def _moved_to(world: World, folder: str) -> None:
    (world.root / folder).mkdir(parents=True)
    for name in ("dvc.lock", "lineage.json"):
        (world.root / name).rename(world.root / folder / name)


def _as_dvc_file(world: World) -> None:
    lines = "".join(f"- md5: {md5}\n  path: {md5[:8]}\n" for md5 in sorted(world.results[-1].objects))
    (world.root / "pictures.dvc").write_text(f"outs:\n{lines}")
    for name in ("dvc.lock", "lineage.json"):
        (world.root / name).unlink()


def _torn(world: World) -> None:
    lock = world.root / "dvc.lock"
    lock.write_text(f"<<<<<<< ours\n{lock.read_text()}=======\n>>>>>>> theirs\n")


@pytest.mark.parametrize("what", list(STAYS))
def test_what_anybody_may_come_back_to_stays(what: str, world: World) -> None:
    result = world.run("a", "a", "a")
    STAYS[what](world)
    without_reflog(world)
    orphan = world.put("orphan")
    for past in (False, True):
        plan = world.plan(past=past)
        assert going(plan) <= {orphan}, what
        assert not going(plan) & result.objects
        assert plan.is_known is (what != "a merge that is not done"), (plan.unknown, plan.lost)


def test_only_past_commits_and_runs_can_be_given_up_and_their_models_are_named(world: World) -> None:
    old = world.run("old", "old", "old")
    first = world.commit("old")
    now = world.run("now", "now", "now")
    world.commit("now")
    assert going(world.plan()) == set()
    plan = world.plan(past=True)
    raw, predictions = old.document["raw"]["md5"], world.put("predictions old old")
    assert {raw, predictions, old.document["model"]["md5"]} <= going(plan)
    assert plan.ends == [f"model {old.identity[:12]} at {first[:12]}"]
    assert all(first[:12] in each.named for each in plan.going)
    # an audit looks into each dataset version that a model rests on, and into the record of its run
    stay = {old.dataset, *(file["md5"] for file in old.document["dataset"]["files"])}
    assert not going(plan) & {*stay, *now.objects, old.document["training_run"]["md5"]}
    done = world.execute(plan)
    assert not done.left and world.there()["remote"] == {*now.objects, *stay, old.document["training_run"]["md5"]}
    again = world.plan()  # what has gone on purpose is no riddle
    assert again.is_known and going(again) == set()


NEEDS: dict[str, Callable[[World, Any], object]] = {
    "a version": lambda world, result: world.register(result),
    "a version of another project": lambda world, result: world.register(result, project_id="others"),
    "a decision": lambda world, result: _decided(world, result.identity),
    "a decision that names the commit alone": lambda world, _: _decided(world, world.git("rev-parse", "HEAD~1")),
    "a decision that was deleted since": lambda world, result: _decided_and_deleted(world, result.identity),
}


def _decided(world: World, text: str) -> None:
    path = world.root / "promotions" / "scans" / "champion-0001.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"version": text}))
    world.commit()


def _decided_and_deleted(world: World, text: str) -> None:
    _decided(world, text)
    world.git("rm", "-rq", "promotions")
    world.commit()


@pytest.mark.parametrize("what", list(NEEDS))
def test_the_past_that_something_rests_on_stays(what: str, world: World) -> None:
    old = world.run("old", "old", "old")
    world.commit("old")
    world.run("now", "now", "now")
    world.commit("now")
    NEEDS[what](world, old)
    gone = going(world.plan(past=True)) & old.objects
    if what == "a version of another project":  # only what its tags name
        assert old.document["model"]["md5"] not in gone
    else:
        assert not gone


def test_what_is_new_stays(world: World) -> None:
    orphan = world.put("orphan")
    assert going(world.plan(days=1.0)) == set()
    assert world.plan(days=1.0).stays["cache"] == {"too new": 1}
    assert going(world.plan()) == {orphan}


def test_files_that_are_not_of_dvc_stay(world: World) -> None:
    for folder in (world.root / ".dvc" / "cache" / "files" / "md5", world.remote / "files" / "md5"):
        (folder / "ab").mkdir(parents=True)
        for name in ("note.txt", "ab/note.txt", f"ab/{'0' * 30}.unpacked", f"ab/{'0' * 29}g", f"ab/.{'0' * 30}"):
            (folder / name).write_text("mine")
        (folder / "ab" / ("1" * 30)).symlink_to(folder / "note.txt")
    (world.remote / "mine").write_text("beside")
    plan = world.plan()
    assert going(plan) == set()
    assert plan.stays == {"cache": {"no objects of DVC": 5}, "remote": {"no objects of DVC": 5}}


def _unreadable_lock(world: World) -> None:
    (world.root / "dvc.lock").write_text(f"stages: [{{\n  md5: {'e' * 32}\n")
    world.commit()


def _shallow(world: World) -> None:
    world.git("fetch", "--quiet", "--depth", "1", f"file://{world.root}", "main")


def _behind_origin(world: World) -> None:
    origin = world.base / f"origin-{world.number}"
    world.git("clone", "--quiet", "--bare", str(world.root), str(origin))
    world.git("remote", "add", "origin", str(origin))
    tree = world.git("rev-parse", "HEAD^{tree}")
    commit = world.git("-C", str(origin), "commit-tree", tree, "-m", "of somebody else")
    world.git("-C", str(origin), "update-ref", "refs/exps/ab/cd/theirs", commit)


def _unreachable_origin(world: World) -> None:
    world.git("remote", "add", "origin", str(world.base / "nowhere"))


def _lost_listing(world: World) -> None:
    (world.root / "x.dvc").write_text(f"outs:\n- md5: {'e' * 32}.dir\n  path: x\n")
    world.commit()


def _no_tracker(world: World) -> None:
    path = world.root / "params.yaml"
    path.write_text(path.read_text().replace("mlflow.db", "gone.db"))


def _other_tracker_in_git(world: World) -> None:
    document = {**world.results[-1].document, "training_run": {"tracking_uri": "sqlite:////nowhere/two.db"}}
    (world.root / "lineage.json").write_text(json.dumps(document))
    world.commit()


def _version_without_commit(world: World) -> None:
    world.register(world.results[-1], model_identity="f" * 64)


def _dvc_works(world: World) -> None:
    import os

    notes = world.root / ".dvc" / "tmp"
    notes.mkdir(parents=True, exist_ok=True)
    (notes / "rwlock").write_text(json.dumps({"write": {"/x": {"pid": os.getpid(), "cmd": "dvc repro"}}}))


def _cut_off_notes(world: World) -> None:
    _dvc_works(world)
    (world.root / ".dvc" / "tmp" / "rwlock").write_text('{"wri')


def _stage_goes_on(world: World) -> None:
    notes = world.root / ".dvc" / "tmp" / "unfinished"
    notes.mkdir(parents=True)
    (notes / "train-0.json").write_text("no JSON")


def _erasure_unfinished(world: World) -> None:
    notes = world.root / ".dvc" / "tmp" / "erasures"
    notes.mkdir(parents=True)
    (notes / "x.json").write_text("{}")


def _worktree_gone(world: World) -> None:
    import shutil

    place = world.base / f"tree-{world.number}"
    world.git("worktree", "add", "--quiet", "--detach", str(place))
    shutil.rmtree(place)


UNKNOWN: dict[str, tuple[Callable[[World], object], str]] = {
    "a dvc.lock that cannot be read": (_unreadable_lock, "cannot be read"),
    "a shallow clone": (_shallow, "shallow"),
    "an experiment that was not fetched": (_behind_origin, "refs/exps"),
    "a Git remote that does not answer": (_unreachable_origin, "origin"),
    "a folder whose listing is nowhere": (_lost_listing, "nobody knows which objects belonged to it"),
    "a store of an earlier commit": (_other_tracker_in_git, "was not asked"),
    "a version that no commit holds": (_version_without_commit, "no commit here holds it"),
    "DVC at work": (_dvc_works, "dvc repro"),
    "notes of DVC that are cut off": (_cut_off_notes, "cannot be read"),
    "a stage that may go on": (_stage_goes_on, "train-0"),
    "an erasure that is not done": (_erasure_unfinished, "is damaged"),
    "a worktree that is not there": (_worktree_gone, "git worktree prune"),
}


@pytest.mark.parametrize("what", list(UNKNOWN))
def test_where_something_is_unknown_nothing_goes(what: str, world: World) -> None:
    world.run("a", "a", "a")
    world.commit()
    orphan = world.put("orphan")
    planned = world.plan()
    assert going(planned) == {orphan}
    before, (change, said) = world.there(), UNKNOWN[what]
    change(world)
    plan = world.plan()
    assert (plan.is_known, plan.going) == (False, [])
    assert said in " ".join([*plan.unknown, *plan.lost])
    done = world.execute(planned)  # what was planned before it
    assert done.unknown and not done.deleted and not done.is_whole
    assert world.there() == before
    accepted = world.plan(accept_lost=True)
    assert accepted.is_known is (not plan.unknown)


def test_a_tracker_that_is_not_there_is_an_error(world: World) -> None:
    world.put("orphan")
    _no_tracker(world)
    with pytest.raises(ProjectError):
        plan = world.plan()
        assert not plan.is_known
        raise ProjectError(plan.unknown[0])


def test_places_that_others_may_share_need_a_word(world: World, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="nothing tells whose"):
        world.plan(alone=False)
    assert world.plan(alone=False, cloud=False).is_known
    (world.root / ".dvc" / "config.local").write_text(f"[cache]\n    dir = {tmp_path}\n")
    with pytest.raises(ProjectError, match="outside of this project"):
        world.plan(alone=False, cloud=False)


def test_what_another_project_names_stays(world: World, tmp_path: Path) -> None:
    mine, theirs = world.put("mine"), world.folder({"x": "theirs"})
    other = World(tmp_path, world.params)
    other.root.mkdir()
    other.git("init", "--quiet")
    (other.root / "x.dvc").write_text(f"outs:\n- md5: {theirs[0]}\n  path: x\n")
    other.commit()
    assert going(world.plan(alone=False, projects=(str(other.root),))) == {mine}
    assert going(world.plan()) == {mine, theirs[0], *theirs[1].values()}


def _stale(world: World, other: World, theirs: str) -> None:
    """A colleague has pushed to the other project since it was cloned here."""
    origin = world.base / f"theirs-{world.number}"
    other.git("clone", "--quiet", "--bare", str(other.root), str(origin))
    other.git("remote", "add", "origin", str(origin))
    (other.root / "x.dvc").write_text(f"outs:\n- md5: {theirs}\n  path: x\n")
    other.commit()
    other.git("push", "--quiet", "origin", "main")
    other.git("reset", "--quiet", "--hard", "HEAD~1")
    other.git("update-ref", "-d", "refs/remotes/origin/main")
    without_reflog(other)


def test_a_stale_clone_of_another_project_is_noticed(world: World, tmp_path: Path) -> None:
    theirs = world.folder({"x": "theirs"})[0]
    other = World(tmp_path, world.params)
    other.root.mkdir()
    other.git("init", "--quiet")
    other.commit()
    _stale(world, other, theirs)
    plan = world.plan(alone=False, projects=(str(other.root),))
    assert (plan.is_known, plan.going) == (False, [])
    assert f"{other.root} lacks refs/heads/main of origin" in plan.unknown[0]
    other.git("fetch", "--quiet", "origin")
    plan = world.plan(alone=False, projects=(str(other.root),))
    assert (plan.unknown, going(plan)) == ([], set())
    other.git("remote", "set-url", "origin", str(tmp_path / "nowhere"))
    assert not world.plan(alone=False, projects=(str(other.root),)).is_known


def _certificate(path: Path, *datasets: str) -> str:
    """What gc looks for in a certificate of these dataset versions. Returns its digest."""
    document: dict[str, Any] = {"kind": KIND, "datasets": [{"md5": md5} for md5 in datasets]}
    digest = sha256_of_json(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**document, "digest": digest}))
    return digest


def _staged_alone(world: World, md5: str) -> None:
    path = world.root / "one.json"
    _certificate(path, md5)
    world.git("add", path.name)
    path.unlink()


CERTIFICATES: dict[str, Callable[[World, str], object]] = {
    "committed": lambda world, md5: (_certificate(world.root / "for the board" / "one.json", md5), world.commit()),
    "deleted since": lambda world, md5: (
        _certificate(world.root / "one.json", md5),
        world.commit(),
        world.git("rm", "-q", "one.json"),
        world.commit(),
    ),
    "staged": lambda world, md5: _staged_alone(world, md5),
    "lying here": lambda world, md5: _certificate(world.root / "one.json", md5),
    "a page": lambda world, md5: (world.root / "one.html").write_text(f"<title>{KIND}</title> {md5}"),
}


@pytest.mark.parametrize("what", list(CERTIFICATES))
def test_the_dataset_versions_of_certificates_stay(what: str, world: World) -> None:
    """Also where no commit and no run names them any more, as after `dvc exp remove` and `mlflow gc`."""
    world.run("a", "a", "a")
    world.commit()
    dataset, files = world.folder({"manifest.parquet": "rows", "shards/0.parquet": "images"})
    orphan = world.put("orphan")
    assert going(world.plan()) == {dataset, *files.values(), orphan}
    CERTIFICATES[what](world, dataset)
    plan = world.plan(past=True)
    assert (plan.unknown, plan.lost, going(plan)) == ([], [], {orphan})
    assert world.execute(plan).is_whole
    assert {dataset, *files.values()} <= world.there()["remote"] & world.there()["cache"]


def test_a_certificate_that_lies_elsewhere_is_shown(world: World, tmp_path: Path) -> None:
    dataset, files = world.folder({"manifest.parquet": "rows"})
    path, orphan = tmp_path / "one.json", world.put("orphan")
    digest = _certificate(path, dataset)
    assert going(world.plan()) == {dataset, *files.values(), orphan}  # of one that nobody shows nothing is known
    plan = world.plan(certificates=(str(path),))
    assert going(plan) == {orphan}
    note(world.evidence(), plan)
    assert noted(world.evidence()) == plan
    # the log knows that there is one, and not what it names
    entries = world.root / LOG
    entries.parent.mkdir()
    entries.write_bytes(text_of({"kind": "certified", "sha256": digest}) + b"\n")
    world.commit()
    without = world.plan()
    assert (without.is_known, without.going) == (False, [])
    assert digest[:12] in without.lost[0]
    assert going(world.plan(certificates=(str(path),))) == {orphan}
    path.unlink()
    with pytest.raises(ProjectError, match="is not there"):
        world.execute(plan)
    path.write_text("{}")
    with pytest.raises(ProjectError, match="is no certificate"):
        world.execute(plan)
    assert dataset in world.there()["cache"]


def test_with_past_a_version_that_mlflow_has_lost_is_not_given_up_unseen(world: World) -> None:
    old = world.run("old", "old", "old")
    old.document["model"]["version"] = "7"
    world.write(old)
    first = world.commit("old")
    world.run("now", "now", "now")
    world.commit("now")
    assert world.plan().is_known  # without --past nothing of it goes
    plan = world.plan(past=True)
    assert (plan.is_known, plan.going) == (False, [])
    assert f"models:/scans/7 is registered by lineage.json of {first[:12]}" in plan.lost[0]
    assert old.document["model"]["md5"] in going(world.plan(past=True, accept_lost=True))
    retired = world.root / "retired" / "scans-7.json"
    retired.parent.mkdir()
    of_it = {"model": "models:/scans/7", "identity": old.identity, "reason": "x", "by": "x", "at": "x"}
    retired.write_text(json.dumps(of_it))
    world.commit()
    plan = world.plan(past=True)
    assert plan.is_known and old.document["model"]["md5"] in going(plan)


def test_a_push_excuses_nothing_by_a_record_of_what_was_deleted(world: World) -> None:
    """It explains only what an earlier commit needs, and no place here has."""
    old = world.run("old", "old", "old")
    world.commit("old")
    now = world.run("now", "now", "now")
    world.commit("now")
    md5s = {out: each.document["model"]["md5"] for out, each in (("old", old), ("now", now))}
    document = {"id": "2026-01-01-x", "moment": "2026-01-01T00:00:00+00:00", "by": "x", "reason": "x", "places": []}
    path = world.root / FOLDER / f"{document['id']}.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema": 1, **document, "ends": [], "objects": dict.fromkeys(md5s.values(), "")}))
    world.commit()
    _forget(world, *md5s.values())
    done = push(world.evidence(), every=True)
    assert [each.split(",")[0] for each in done.collected] == ["models/model.safetensors"]
    assert len(done.lacking) == 1 and md5s["now"] in done.lacking[0] and path.name in done.lacking[0]
    # made again, and damaged: there is something to say, and it is no deletion
    damaged = object_path(world.root / ".dvc" / "cache", md5s["old"])
    damaged.write_text("other bytes")
    done = push(world.evidence(), every=True)
    assert done.collected == []
    assert any("does not match its hash" in each for each in done.lacking)


def _forget(world: World, *names: str) -> None:
    for name in names:
        for folder in (world.root / ".dvc" / "cache", world.remote):
            object_path(folder, name).unlink()


def test_what_is_needed_since_it_was_planned_stays(world: World) -> None:
    orphan, other = world.put("orphan"), world.put("other")
    planned = world.plan()
    assert going(planned) == {orphan, other}
    (world.root / "x.dvc").write_text(f"outs:\n- md5: {orphan}\n  path: x\n")
    later = world.put("not planned")
    done = world.execute(planned)
    assert {each.md5 for each in done.deleted} == {other}
    assert done.needed_again == 2  # in two places
    assert world.there()["cache"] == {orphan, later}


def test_what_was_cut_off_is_brought_to_its_end(world: World) -> None:
    kept = world.run("a", "a", "a")
    world.commit()
    listing, files = world.folder({f"{n}": f"of a folder {n}" for n in range(5)})
    planned = world.plan()
    first = world.execute(replace(planned, going=[each for each in planned.going if each.md5 in (listing, files["0"])]))
    # of a folder the listing goes first: whatever it is cut off at, none is taken for whole that is not
    assert [each.md5 for each in first.deleted[:2]] == [listing, listing]
    second = world.execute(planned)
    assert (len(second.deleted), second.needed_again) == (8, 4)
    assert all(world.evidence().collections.of_object(md5) for md5 in (listing, *files.values()))
    assert world.there() == {"cache": kept.objects, "remote": kept.objects}


def test_what_an_erasure_left_of_manifests_stays(world: World) -> None:
    """Also where the file that names it is in no tip any more: its tombstone counts as long as a commit holds it."""
    left, files = world.folder({"a.parquet": "rows of the others"})
    path = world.root / "erasures" / "2026-01-01-abc" / "manifests.dvc"
    path.parent.mkdir(parents=True)
    path.write_text(f"outs:\n- md5: {left}\n  path: manifests\n")
    world.commit()
    world.git("rm", "-rq", "erasures")
    world.commit()
    orphan = world.put("orphan")
    assert going(world.plan(past=True)) == {orphan}
    assert files


def test_a_lost_listing_that_lineage_json_has_is_not_lost(world: World) -> None:
    result = world.run("a", "a", "a")
    world.commit()
    for folder in (world.root / ".dvc" / "cache", world.remote):
        object_path(folder, result.dataset).unlink()
    orphan = world.put("orphan")
    assert going(world.plan()) == {orphan}
    assert going(world.plan(past=True)) == {orphan}


WORDS = st.sampled_from("abc")
STEP = st.one_of(
    st.tuples(st.just("run"), WORDS, WORDS, WORDS),
    st.tuples(
        st.sampled_from(["commit", "register", "tag", "experiment", "stash", "amend", "back", "branch", "decide"])
    ),
    st.tuples(st.just("run and commit"), WORDS, WORDS, WORDS),
)


def _step(world: World, step: tuple[str, ...], number: int) -> None:
    """One thing that people do; where it cannot be done now, nothing."""
    kind, *words = step
    if kind.startswith("run"):
        world.run(*words)
    if kind in ("commit", "run and commit"):
        world.commit()
    elif kind == "register" and world.results:
        world.commit()
        world.register(world.results[-1])
    elif kind == "tag":
        world.git("tag", f"t{number}")
    elif kind == "experiment":
        experiment(world, f"e{number}")
    elif kind == "stash":
        world.git("stash", "push", "--quiet", "--include-untracked", code=-1)
    elif kind == "amend":
        world.git("add", "--all")
        world.git("commit", "--quiet", "--amend", "--allow-empty", "--message", "amended")
    elif kind == "back":
        world.git("reset", "--quiet", "--hard", "HEAD~1", code=-1)
    elif kind == "branch":
        world.git("switch", "--quiet", "--force", "--create", f"b{number}", code=-1)
    elif kind == "decide" and world.results:
        path = world.root / "promotions" / "scans" / f"champion-{number + 1:04d}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": world.results[0].identity}))
        world.commit()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(STEP, min_size=3, max_size=12), forget=st.booleans(), past=st.booleans())
def test_nothing_that_verify_needs_ever_goes(
    steps: list[tuple[str, ...]], forget: bool, past: bool, _world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    world = _world.reset()
    for number, step in enumerate([("run and commit", "a", "a", "a"), ("register",), *steps]):
        _step(world, step, number)
    if forget:
        without_reflog(world)
    orphan = world.put("orphan")
    held = world.evidence().git_models.models
    needed = dict(world.needed_by_verify().items())
    here = next((each for each in world.results if _lies_here(world, each.lock)), None)
    datasets = {md5 for model in held.values() for md5 in model.datasets}
    files = {
        file["md5"] for each in world.results if each.dataset in datasets for file in each.document["dataset"]["files"]
    }
    plan = world.plan(past=past, accept_lost=True)
    assert plan.unknown == []
    assert len(plan.lost) <= len(world.evidence().store.versions) - len(needed)  # versions whose commit is gone
    assert orphan in going(plan)
    for title, objects in needed.items():
        assert not going(plan) & objects, title
    assert not going(plan) & (datasets | files)
    assert here is None or not going(plan) & here.objects
    if not past:
        ends = set[str]().union(*(each.objects for each in world.results if each.identity in held))
        assert not going(plan) & ends
    assert not world.execute(plan).left
    there = world.there()
    assert world.needed_by_verify() == needed  # each listing can be read
    assert all(objects <= there["remote"] & there["cache"] for objects in needed.values())


def _lies_here(world: World, lock: str) -> bool:
    path = world.root / "dvc.lock"
    return path.exists() and path.read_text() == lock
