"""Decisions as Git holds them: added, never changed; two at once; and where the alias stands by them."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lineage.base.errors import DamageError, LineageError, PromotionError
from lineage.git.history import History
from lineage.judgement.bench import not_committed
from lineage.judgement.decide import commit, one_at_a_time, take_back, tidy
from lineage.judgement.gates.answer import Answer
from lineage.judgement.history import history
from lineage.judgement.judge import ask, of_first, of_former
from lineage.proof.decision import GATES, Accepted, Asked, Document, Gate, State, Version, parse, path_of, sha256_of
from lineage.proof.decisions import Decisions, Line, left_behind, standing
from lineage.proof.story import _since

MODEL = "scans"
PARAMS = "project_id: p1\npromotion:\n  aliases: [champion, shadow]\n"


def version(number: int) -> Version:
    name = f"{number:x}"
    return Version(
        number=str(number), identity=name * 64, weights=name * 64, dataset=f"{name * 32}.dir", commit=name * 40
    )


def answers(**states: Any) -> list[Gate]:
    """What all gates answered: PASS, unless said otherwise."""
    return [Gate(name=name, state=states.get(name, "PASS"), text="", figures={}) for name in GATES]


def decision(line: Line, to: int | None, kind: Any = "promote", **changes: Any) -> Document:
    given: dict[str, Any] = {
        "project_id": "p1",
        "model": MODEL,
        "alias": "champion",
        "number": len(line.decisions) + 1,
        "previous": line.last.sha256 if line.last else None,
        "kind": kind,
        "version": None if to is None else version(to),
        "before": line.now,
        "by": "Tester <tester@example.org>",
        "at": datetime(2026, 1, 31, tzinfo=UTC),
        "reason": "",
        "gates": answers(),
        "accepted": [],
        "asked": Asked(sha256="0" * 64, settings={}),
        "framework": "1",
    }
    return Document(**given | changes)


class Place:
    """A repository with a project in a folder of it."""

    def __init__(self, folder: Path) -> None:
        self.top, self.root = folder, folder / "project"
        self.root.mkdir(parents=True)
        self.git("init", "--quiet", "--initial-branch", "main", "..")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")
        (self.root / "params.yaml").write_text(PARAMS)
        (self.root / "dvc.yaml").write_text("stages: {}\n")
        self.save("first")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.root), *arguments]
        done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
        return done.stdout.strip()

    def save(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "-m", message)

    def line(self) -> Line:
        return Decisions(History(self.root)).line(MODEL, "champion")

    def decide(self, to: int | None, kind: Any = "promote", **changes: Any) -> Any:
        return commit(self.root, decision(self.line(), to, kind, **changes))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "repository")


def test_each_follows_the_one_before_and_a_commit_holds_nothing_else(place: Place) -> None:
    (place.root / "other.txt").write_text("mine")
    place.git("add", "other.txt")
    first, second = place.decide(1), place.decide(2)
    line = place.line()
    assert (line.faults, line.elsewhere) == ([], [])
    assert [each.version.number for each in line.decisions if each.version] == ["1", "2"]
    assert (line.decisions[1].document.previous, line.decisions[1].document.before) == (first.sha256, version(1))
    assert line.decisions == [first, second]
    shown = place.git("show", "--name-only", "--format=%s", first.commit)
    assert shown.split("\n\n") == [
        "Promote models:/scans/1 to champion",
        "project/promotions/scans/champion-0001.json",
    ]
    assert place.git("diff", "--cached", "--name-only", "--relative") == "other.txt"  # what was staged still is
    assert Decisions(History(place.root)).aliases(MODEL) == ["champion", "shadow"]


def test_going_back_leads_past_those_that_were_demoted(place: Place) -> None:
    def before() -> list[str]:
        return [each.number for each in place.line().before]

    for number in (1, 2, 3):
        place.decide(number)
    assert before() == ["1", "2"]
    place.decide(2, "demote", reason="x")
    assert before() == ["1"]
    place.decide(4)
    assert before() == ["1", "2"]  # not 3
    place.decide(None, "demote", reason="x")
    assert before() == []


def test_the_same_model_is_gone_back_to_whichever_commit_holds_it_by_now(place: Place) -> None:
    for number in (1, 2, 3):
        place.decide(number)
    found_since = version(2).model_copy(update={"commit": "f" * 40})
    place.decide(2, "demote", version=found_since, reason="x")
    assert [each.number for each in place.line().before] == ["1"]


@pytest.mark.parametrize("how", ["edited", "removed", "removed and squashed away"])
def test_what_was_decided_is_not_changed_unnoticed(place: Place, how: str) -> None:
    place.decide(1)
    path = place.root / path_of(MODEL, "champion", 1)
    if how == "edited":
        path.write_text(path.read_text().replace("Tester", "Somebody"))
        place.save("nothing")
        assert "was changed or removed by commit" in place.line().faults[0]
    elif how == "removed":
        path.unlink()
        place.save("nothing")
        assert "was changed or removed by commit" in place.line().faults[0]
    else:  # only what MLflow was told is left
        sha256 = place.line().decisions[0].sha256
        place.git("reset", "--quiet", "--hard", "HEAD~1")
        line = place.line()
        assert line.decisions == []
        assert standing(line, "1", {"champion_decision_sha256": sha256}).where == "not here"
        assert standing(line, "1", {}).where == "moved"


def test_one_that_is_missing_or_does_not_follow_shows(place: Place) -> None:
    place.decide(1)
    place.decide(2, number=3)
    assert place.line().faults == [
        "promotions/scans/champion-0002.json is missing, before promotions/scans/champion-0003.json"
    ]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"previous": "1" * 64}, "does not follow the decision before it"),
        ({"project_id": "p2"}, "is of another project (p2)"),
        ({"gates": []}, "was made without asking verified, consent, weights, thresholds, comparison, drift"),
        ({"gates": answers()[:-2]}, "was made without asking comparison, drift"),
        ({"kind": "demote", "gates": answers()[:1]}, "was made without asking consent"),
        ({"gates": answers(drift="FAIL")}, "although drift did not pass"),
        ({"gates": answers(drift="INCONCLUSIVE")}, "although drift did not pass"),
        (
            {
                "gates": answers(drift="FAIL"),
                "accepted": [Accepted(gates=["drift"], reason="x")],
            },
            "although drift did not pass",
        ),
    ],
)
def test_a_decision_that_nobody_could_have_made_so(place: Place, changes: dict[str, Any], said: str) -> None:
    place.decide(1, **changes)
    assert said in place.line().faults[0]


def test_two_at_once_meet_as_a_conflict_and_the_one_that_is_kept_counts(place: Place) -> None:
    place.decide(1)
    place.git("checkout", "--quiet", "-b", "theirs")
    place.decide(3)
    place.git("checkout", "--quiet", "main")
    line = place.line()
    assert line.elsewhere == [
        f"promotions/scans/champion-0002.json of commit {line.decisions[1].commit[:12]} is not in HEAD: merge it first"
    ]
    assert not line.decisions[1].is_here
    commit(place.root, decision(Line(MODEL, "champion", line.decisions[:1]), 2))
    assert "two were made at once" in place.line().elsewhere[0]
    with pytest.raises(subprocess.CalledProcessError):
        place.git("merge", "--quiet", "theirs")
    place.git("checkout", "--ours", "promotions")
    place.save("Theirs did not count")
    line = place.line()
    assert (line.elsewhere, line.faults, line.now) == ([], [], version(2))


def test_a_hook_that_refuses_or_changes_it_leaves_nothing(place: Place) -> None:
    head, hook = place.git("rev-parse", "HEAD"), place.top / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(parents=True, exist_ok=True)
    for script, said in (
        ("echo not on a friday >&2; exit 1", "not on a friday. Nothing was decided"),
        ("echo >> project/promotions/scans/champion-0001.json; git add -A", "a hook of Git changed"),
    ):
        hook.write_text(f"#!/bin/sh\n{script}\n")
        hook.chmod(0o755)
        with pytest.raises(PromotionError, match=said):
            place.decide(1)
        assert place.git("rev-parse", "HEAD") == head
        assert place.git("status", "--porcelain") == ""
        assert not (place.root / "promotions").exists()


def test_what_was_never_committed_is_found_and_taken_away(place: Place) -> None:
    folder = place.root / "promotions" / MODEL
    folder.mkdir(parents=True)
    for name in ("champion-0001.json", ".champion-0002.json.partial", "notes.txt"):
        (folder / name).write_text("{}")
    place.git("add", "promotions/scans/champion-0001.json")
    history = History(place.root)
    assert left_behind(history) == [
        f"promotions/scans/{name}" for name in (".champion-0002.json.partial", "champion-0001.json")
    ]
    assert place.line().decisions == []
    tidy(place.root, history)
    assert left_behind(history) == []
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]  # that is nobody's of ours
    assert sorted(path.name for path in (place.root / ".dvc" / "tmp" / "promotions").iterdir()) == [
        ".champion-0002.json.partial",
        "champion-0001.json",
    ]
    place.decide(1)
    assert left_behind(history) == []


def test_what_could_not_be_read_again_is_not_decided(place: Place) -> None:
    gate = Gate(name="comparison", state="PASS", text="", figures={"slices": ["x" * 100] * 11_000})
    head = place.git("rev-parse", "HEAD")
    with pytest.raises(PromotionError, match="larger than 1048576 bytes"):
        place.decide(1, gates=[gate])
    assert (place.git("rev-parse", "HEAD"), place.git("status", "--porcelain")) == (head, "")


def test_only_what_was_made_last_is_taken_back(place: Place) -> None:
    before = place.git("rev-parse", "HEAD")
    made = place.decide(1)
    (place.root / "mine.txt").write_text("x")
    place.save("mine")
    head = place.git("rev-parse", "HEAD")
    take_back(place.root, made.path, before)
    assert place.git("rev-parse", "HEAD") == head


def test_one_at_a_time(place: Place) -> None:
    twice = pytest.raises(PromotionError, match="another promotion is under way")
    with one_at_a_time(place.root), twice, one_at_a_time(place.root):
        pass
    with one_at_a_time(place.root):
        pass


@pytest.mark.parametrize(
    ("pointed", "marked", "exists", "where"),
    [
        ("2", 2, True, "as decided"),
        ("2", 1, True, "unfinished"),  # killed before the last tags
        ("1", 1, True, "unfinished"),  # killed before the alias
        (None, 1, True, "unfinished"),
        ("1", 2, True, "moved"),  # it was carried out, so somebody moved it back
        ("7", 1, True, "moved"),
        ("7", 2, True, "moved"),
        (None, 2, True, "moved"),
        (None, 2, False, "gone"),
        ("2", 9, True, "not here"),
        ("1", 9, True, "not here"),
    ],
)
def test_where_the_alias_stands(place: Place, pointed: str | None, marked: int, exists: bool, where: str) -> None:
    made = {1: place.decide(1).sha256, 2: place.decide(2).sha256, 9: "9" * 64}
    found = standing(place.line(), pointed, {"champion_decision_sha256": made[marked]}, exists=exists)
    assert found.where == where
    assert found.fix or where == "as decided"


@pytest.mark.parametrize(("pointed", "marked"), [("1", True), ("1", False), (None, False)])
def test_another_model_of_the_same_number_is_not_what_was_decided(
    place: Place, pointed: str | None, marked: bool
) -> None:
    """A registry that was recreated counts from 1 again."""
    made = place.decide(1)
    tags = {"champion_decision_sha256": made.sha256} if marked else {}
    if not marked:
        assert standing(place.line(), pointed, tags).where == "unfinished"
    found = standing(place.line(), pointed, tags, is_same=False)
    assert (found.where, "is about another model than version 1" in found.text) == ("gone", True)


def test_a_page_says_that_a_version_has_the_alias_no_more(place: Place) -> None:
    def since(number: int) -> str:
        evidence = SimpleNamespace(decisions=Decisions(History(place.root)))
        version = SimpleNamespace(name=MODEL, version=str(number))
        return _since(SimpleNamespace(evidence=evidence, version=version), "champion")  # type: ignore[arg-type]

    place.decide(1)
    assert since(1) == ""
    place.decide(2)
    assert (since(1), since(2)) == (
        f"it does not have it any more: {path_of(MODEL, 'champion', 2)} gives it to version 2",
        "",
    )
    place.decide(None, "demote", reason="wrong on images of site B")
    assert since(2).endswith(" takes it away: wrong on images of site B")


def test_settings_that_gates_answer_by_are_committed(place: Place) -> None:
    history, params = History(place.root), place.root / "params.yaml"
    assert not_committed(history, place.root) == []
    params.write_text(f"{PARAMS}privacy: {{name: none}}\n")
    assert not_committed(history, place.root) == ["privacy"]
    params.write_text(PARAMS.replace("shadow", "live"))
    assert not_committed(history, place.root) == ["promotion"]


def answering(state: State, text: str = "100 of 100 records") -> Any:
    return lambda: Answer(state, text, {"champion": "2"})


def test_where_nobody_is_champion_any_more_the_last_one_is_compared_with(place: Place) -> None:
    for number, kind in ((1, "promote"), (2, "promote"), (None, "demote")):
        place.decide(number, kind, reason="x" if kind == "demote" else "")
    line = place.line()
    assert (line.now, line.former) == (None, version(2))
    taken = "no version is champion by promotions/scans/champion-0003.json; the last that was is version 2"
    expected: dict[State, State] = {"PASS": "PASS", "INCONCLUSIVE": "INCONCLUSIVE", "FAIL": "INCONCLUSIVE"}
    for state, said in expected.items():
        answer = of_former(line, answering(state), version(1).identity)
        assert (answer.state, answer.text) == (said, f"{taken}. Against that one: 100 of 100 records")
        assert answer.figures == {"champion": None, "former": "2"}
    again = of_former(line, answering("PASS"), version(2).identity)  # it equals itself
    assert (again.state, again.text.startswith(f"{taken}: this very model")) == ("INCONCLUSIVE", True)

    def erased() -> Answer:
        raise LineageError("of the champion, version 2: its predictions were erased.")

    answer = ask({"comparison": lambda: of_former(line, erased)})["comparison"]
    assert (answer.state, answer.text) == (
        "INCONCLUSIVE",
        f"{taken}: of the champion, version 2: its predictions were erased.",
    )
    place.decide(None, "demote", reason="by hand")
    assert place.line().former == version(2)
    place.decide(3)
    assert place.line().former is None


def test_the_first_under_another_name_of_the_model_is_said_to_be_compared_with_nobody(place: Place) -> None:
    (place.root / "params.yaml").write_text(f"{PARAMS}tracking: {{model_name: new, uri: sqlite:///mlflow.db}}\n")
    place.save("another name")
    place.decide(1)
    decisions = Decisions(History(place.root))
    assert of_first(Answer("PASS", "none has it"), []).text == "none has it"
    others = decisions.others("new", "champion")
    assert of_first(Answer("PASS", "none has it"), others).text == (
        "none has it; not compared with models:/scans@champion"
    )
    # and commands about the old name say so
    assert standing(others[0], "7", {}).fix == "lineage promote --as-decided --to champion --model scans"
    assert decisions.line("new", "champion").option == ""
    assert (decisions.named(None, "new"), decisions.named(MODEL, "new")) == ("new", MODEL)
    with pytest.raises(PromotionError, match=r"no decision is about a model scan. There are new, scans"):
        history(place.root, "champion", "scan", as_json=False)
    with pytest.raises(LineageError, match=r"is about an alias chmapion. There are champion, shadow"):
        history(place.root, "chmapion", as_json=False)


def test_an_alias_that_nobody_decided_on(place: Place) -> None:
    line = place.line()
    assert standing(line, None, {}).where == "as decided"
    found = standing(line, "3", {})
    assert (found.where, found.fix) == ("moved", "lineage promote models:/scans/3 --to champion")


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.update(schema=2),
        lambda document: document.update(extra=1),
        lambda document: document["version"].update(number="-1"),
        lambda document: document["version"].update(commit="HEAD"),
        lambda document: document.update(number=2),  # of another file
        lambda document: document.update(model="other"),
        lambda document: document.pop("asked"),
        lambda document: document.update(reason="\x1b[2J"),
        lambda document: document.update(by="Ada\nBob"),
        lambda document: document["gates"][0].update(text="agreed \u202eton"),
        lambda document: document.update(accepted=[{"gates": ["drift"], "reason": "x" * 2001}]),
    ],
)
def test_what_is_no_decision_is_refused(place: Place, change: Any) -> None:
    text = decision(place.line(), 1).to_json()
    path = path_of(MODEL, "champion", 1)
    assert parse(text.encode(), path).to_json() == text
    document = json.loads(text)
    change(document)
    with pytest.raises(DamageError):
        parse(json.dumps(document).encode(), path)


def test_a_file_that_is_no_decision_is_said(place: Place) -> None:
    path = place.root / path_of(MODEL, "champion", 1)
    path.parent.mkdir(parents=True)
    path.write_text('{"schema": 1, "schema": 1}')
    place.save("nothing")
    assert "is no decision: the key 'schema' is there twice" in place.line().faults[0]
    path = place.root / path_of("scans (v2)", "champion", 1)
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    place.save("nothing")
    assert "is no decision" in Decisions(History(place.root)).line("scans (v2)", "champion").faults[0]


def test_names_of_models_make_no_paths() -> None:
    assert path_of("a/../b c", "champion", 12) == "promotions/a%2F..%2Fb c/champion-0012.json"
    assert sha256_of("x") == sha256_of(b"x")
