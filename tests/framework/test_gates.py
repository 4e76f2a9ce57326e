"""What lets a version through a gate, what does not, and what leaves it open: on real arrays and scores."""

from __future__ import annotations

import subprocess
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml
from pydantic import ValidationError

from lineage.audit.questions import AffectedAnswer
from lineage.base.errors import DataError, LineageError, PromotionError
from lineage.contract import Role
from lineage.dvc.dvcfile import parse_pipeline
from lineage.dvc.recorded import Recorded
from lineage.git.history import History
from lineage.judgement.accept import Accept, accepted_by, parse_accept, require_reason
from lineage.judgement.drift import compare
from lineage.judgement.gates import comparison, consent, drift, thresholds, verified
from lineage.judgement.gates.answer import Answer, worst
from lineage.judgement.judge import ask
from lineage.judgement.paired import LEAST_GROUPS
from lineage.judgement.predictions import Predictions, common
from lineage.proof.decision import GATES
from lineage.proof.verify import Link, Verdict
from lineage.records.profile import Measurer, Profile, profile_from
from lineage.settings.promotion import Comparison, Drift, Promotion, Thresholds

CHANCE = np.random.default_rng(7)
ASKED = Comparison(margin=0.02, slice_margin=0.05, least_subjects=0, level=0.95)


def predictions(
    right: Any, *, subjects: list[str] | None = None, first: int = 0, site: list[str] | None = None, content: str = "a"
) -> Predictions:
    """Predictions for a test record each, numbered from `first`: right (1) or wrong (0)."""
    count = len(right)
    ids = [f"r{first + number:05d}" for number in range(count)]
    probabilities = pa.array([[1.0, 0.0] if each else [0.0, 1.0] for each in right], pa.list_(pa.float32(), 2))
    columns = {
        "record_id": ids,
        "subject_id": subjects or [f"s{each}" for each in ids],
        "split": ["test"] * count,
        "label": ["no"] * count,
        "probabilities": probabilities,
        **({"site": site} if site else {}),
        "content_sha256": [f"{content}{each}" for each in ids],
    }
    texts = {name: pa.array(each, pa.string()) for name, each in columns.items() if name != "probabilities"}
    return Predictions("0" * 32, "d.dir", ["no", "yes"], pa.table(columns | texts))


def judge(before: Predictions, after: Predictions, asked: Comparison = ASKED) -> Answer:
    return comparison.compare(common(before, after), before, after, asked)


def some_right(count: int, wrong: int) -> list[int]:
    """As many records as `count`, every so often a wrong one."""
    right = [1] * count
    for place in np.linspace(0, count - 1, wrong, dtype=int) if wrong else []:
        right[place] = 0
    return right


def test_equal_and_better_models_pass() -> None:
    same = predictions(some_right(500, 25))
    answer = judge(same, predictions(some_right(500, 25)))
    assert (answer.state, answer.figures["overall"]["difference"]) == ("PASS", 0.0)
    assert judge(same, predictions([1] * 500)).state == "PASS"


def test_a_worse_model_fails_and_says_by_how_much() -> None:
    answer = judge(predictions([1] * 500), predictions(some_right(500, 50)))
    assert answer.state == "FAIL"
    assert answer.figures["overall"]["difference"] == pytest.approx(-0.1)
    assert answer.figures["overall"]["interval"][1] < 0
    assert "all records: 1.000 -> 0.900, -0.100" in answer.text


def test_a_little_worse_within_the_margin_passes() -> None:
    # 12 of 2,000 worse, and the champion nowhere worse: surely worse, and surely by less than 0.02
    answer = judge(predictions([1] * 2000), predictions(some_right(2000, 12)))
    assert answer.figures["overall"]["interval"][1] < 0
    assert answer.state == "PASS"


def test_noise_is_neither() -> None:
    before, after = CHANCE.random(100) < 0.9, CHANCE.random(100) < 0.9
    answer = judge(predictions(before), predictions(after))
    assert answer.state == "INCONCLUSIVE"
    low, high = answer.figures["overall"]["interval"]
    assert low < -ASKED.margin < 0 < high


def test_few_subjects_say_nothing_however_many_records() -> None:
    subjects = [f"s{number % (LEAST_GROUPS - 1)}" for number in range(1000)]
    answer = judge(predictions([1] * 1000, subjects=subjects), predictions([1] * 1000, subjects=subjects))
    assert answer.state == "INCONCLUSIVE"
    assert "too small to say more (1000 records of 19 subjects, 20 are needed)" in answer.text


def test_records_of_one_subject_count_as_one() -> None:
    # 40 subjects with 50 records each; one subject in five got worse in all of its records
    subjects = [f"s{number % 40}" for number in range(2000)]
    after = [0 if number % 40 < 2 else 1 for number in range(2000)]
    answer = judge(predictions([1] * 2000, subjects=subjects), predictions(after, subjects=subjects))
    alone = judge(predictions([1] * 2000), predictions(after))
    assert alone.state == "FAIL"
    assert answer.state == "INCONCLUSIVE"  # two subjects of forty may be chance


def test_only_records_that_both_have_count_and_the_others_are_counted() -> None:
    before, after = predictions([1] * 300), predictions([0] * 100 + [1] * 200, first=200)
    answer = judge(before, after)
    assert answer.figures["records"] == {"in both": 100, "of the version": 300, "of the champion": 300}
    assert answer.state == "FAIL"
    assert answer.text.startswith("100 of 300 test records are the champion's too")


def test_an_empty_reference_is_no_proof() -> None:
    for before in (predictions([]), predictions([1] * 50, first=9000)):
        answer = judge(before, predictions([1] * 50))
        assert (answer.state, answer.text) == ("INCONCLUSIVE", "the champion was tested on none of its 50 test records")


def test_records_whose_bytes_changed_are_not_compared() -> None:
    answer = judge(predictions([1] * 50), predictions([1] * 50, content="b"))
    assert answer.state == "INCONCLUSIVE"
    assert answer.figures["not compared"] == {"relabelled": 0, "other bytes": 50}
    assert "r00000" not in answer.text + str(answer.figures)  # ids are for the terminal


def sites(*counts: int) -> list[str]:
    return [f"clinic-{number}" for number, count in enumerate(counts) for _ in range(count)]


def test_a_worse_slice_fails_a_model_that_is_better_overall() -> None:
    site = sites(800, 60)
    before = predictions(some_right(800, 120) + [1] * 60, site=site)
    after = predictions([1] * 800 + some_right(60, 30), site=site)
    answer = judge(before, after)
    assert answer.figures["overall"]["state"] == "PASS"
    assert answer.figures["slices"]["site=clinic-0"]["state"] == "PASS"
    assert answer.state == "FAIL"
    assert "site=clinic-1: 1.000 -> 0.500, -0.500" in answer.text
    assert "1 of 2 slices PASS" in answer.text


def test_a_slice_of_three_records_leaves_it_open_unless_it_is_left_out_by_name() -> None:
    site = sites(500, 3)
    before, after = predictions([1] * 503, site=site), predictions([1] * 500 + [0] * 3, site=site)
    answer = judge(before, after)
    assert answer.state == "INCONCLUSIVE"
    assert "site=clinic-1: 1.000 -> 0.000, -1.000, too small to say more (3 records of 3 subjects" in answer.text
    lenient = judge(before, after, ASKED.model_copy(update={"least_subjects": 4}))
    assert lenient.state == "PASS"
    assert "not judged, of fewer than 4 subjects: site=clinic-1" in lenient.text
    assert lenient.figures["slices"]["site=clinic-1"] == {"state": "not judged", "records": 3}


def test_a_slice_that_the_champion_never_saw_leaves_it_open() -> None:
    before = predictions([1] * 300, site=sites(300))
    after = predictions([1] * 460, site=sites(300, 160))
    answer = judge(before, after)
    assert answer.state == "INCONCLUSIVE"
    assert "site=clinic-1: the champion was tested on none of its 160 records" in answer.text
    # nor does a champion without the column hide what is in it
    assert judge(predictions([1] * 460), after).state == "PASS"


def test_a_slice_that_the_version_does_not_name_any_more_is_judged_all_the_same() -> None:
    site = sites(800, 60)
    before = predictions(some_right(800, 120) + [1] * 60, site=site)
    answer = judge(before, predictions([1] * 800 + some_right(60, 30)))  # without evaluate.slices
    assert answer.state == "FAIL"
    assert "site=clinic-1: 1.000 -> 0.500, -0.500" in answer.text


def test_a_slice_that_the_version_was_not_tested_on_leaves_it_open() -> None:
    before = predictions([1] * 460, site=sites(300, 160))
    after = predictions([1] * 300, site=sites(300))
    answer = judge(before, after)
    assert answer.state == "INCONCLUSIVE"
    assert "site=clinic-1: it was tested on none of the champion's 160 records" in answer.text
    renamed = predictions([1] * 460, site=["a" if each == "clinic-1" else each for each in sites(300, 160)])
    assert judge(before, renamed).state == "PASS"  # they are judged, under both names


def test_one_that_got_better_does_not_show_that_none_gets_worse() -> None:
    same, better = (
        judge(predictions([1] * 25), predictions([1] * 25)),
        judge(predictions(some_right(25, 1)), predictions([1] * 25)),
    )
    assert (same.state, better.state) == ("INCONCLUSIVE", "INCONCLUSIVE")


@pytest.mark.parametrize(
    ("links", "state"),
    [
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["INCONCLUSIVE", "FAIL", "ERASED"], "FAIL"),
        (["PASS", "ERASED"], "FAIL"),
        (["ERASED", "INCONCLUSIVE"], "FAIL"),  # or a reason would let it pass
        ([], "INCONCLUSIVE"),
    ],
)
def test_who_was_erased_is_no_matter_of_a_reason(links: list[Any], state: str) -> None:
    found = tuple(Link(f"link {number}", each, "", 1) for number, each in enumerate(links))
    answer = verified.judge(Verdict("models:/scans/1", found))
    assert answer.state == state
    assert ("somebody was erased" in answer.text) == ("ERASED" in links and "FAIL" not in links)


def test_nobody_that_was_looked_at_is_not_everybody() -> None:
    for datasets, state in ((0, "INCONCLUSIVE"), (1, "PASS")):
        answer = AffectedAnswer("", {"dataset versions": datasets}, (), (), ())
        assert consent.judge(answer, "registry").state == state


def test_consent_that_was_asked_for_an_earlier_model_is_not_forgotten(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        name = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *name, *arguments], check=True)

    git("init", "--quiet")
    for data, more in (("a", [{"path": "consent.csv", "md5": "c"}]), ("b", [])):
        deps = ["consent.csv"] if more else []
        make = {"cmd": "x", "deps": deps, "outs": ["data"], "meta": {"lineage": {"consent": "consent.csv"}}}
        dvc_yaml = {"stages": {"preprocess": make, "train": PIPELINE["train"]}}
        lock = {
            "preprocess": {"cmd": "x", "deps": more, "outs": [{"path": "data", "md5": f"{data * 32}.dir"}]},
            "train": {"cmd": "x", "deps": [{"path": "data", "md5": f"{data * 32}.dir"}]},
        }
        for name, content in (("dvc.yaml", dvc_yaml), ("dvc.lock", {"schema": "2.0", "stages": lock})):
            (tmp_path / name).write_text(yaml.safe_dump(content))
        git("add", "--all")
        git("commit", "--quiet", "-m", data)
    history = History(tmp_path)
    asked = {data: consent.were_asked(history, {f"{data * 32}.dir"}) for data in "abc"}
    assert asked == {"a": True, "b": False, "c": False}


PIPELINE: dict[str, Any] = {
    "train": {
        "cmd": "x",
        "deps": ["data"],
        "outs": ["model"],
        "meta": {"lineage": {"dataset": "data", "model": "model"}},
    },
    "evaluate": {"cmd": "x", "deps": ["data", "model"], "outs": ["said"], "meta": {"lineage": {"predictions": "said"}}},
}


@pytest.mark.parametrize(("tested", "is_own"), [("a.dir", True), ("b.dir", False)])
def test_a_model_is_tested_on_the_dataset_version_that_it_was_trained_on(tested: str, *, is_own: bool) -> None:
    """Test records of another version may be among those that it has learnt from."""
    lock = {
        "train": {"deps": [{"path": "data", "md5": "a.dir"}], "outs": [{"path": "model", "md5": "m"}]},
        "evaluate": {"deps": [{"path": "data", "md5": tested}, {"path": "model", "md5": "m"}]},
    }
    recorded = Recorded(lock, parse_pipeline({"stages": PIPELINE}, {}))
    context: Any = nullcontext() if is_own else pytest.raises(LineageError, match="are of dataset version b")
    with context:
        thresholds.require_own_test(recorded, Role.PREDICTIONS)


def test_among_many_slices_one_does_not_fail_by_chance() -> None:
    """Twenty slices, in one of which the version is worse as one of twenty is by chance at 95%."""
    site = [f"clinic-{number // 40:02d}" for number in range(800)]
    after = [1] * 800
    for place in (3, 8, 13, 18, 23, 28):  # 6 of 40: 0.15 worse, and the interval at 95% ends below 0
        after[place] = 0
    alone = judge(predictions([1] * 40, site=site[:40]), predictions(after[:40], site=site[:40]))
    assert alone.figures["slices"]["site=clinic-00"]["state"] == "FAIL"
    answer = judge(predictions([1] * 800, site=site), predictions(after, site=site))
    assert answer.figures["slices"]["site=clinic-00"]["state"] == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("scores", "state", "said"),
    [
        ({"accuracy": 0.9, "loss": 0.5}, "PASS", "2 of 2: accuracy is 0.9, asked is >= 0.9; loss is 0.5"),
        ({"accuracy": 0.899, "loss": 0.1}, "FAIL", "1 of 2: accuracy is 0.899, asked is >= 0.9"),
        ({"accuracy": 0.95, "loss": 0.51}, "FAIL", "1 of 2: loss is 0.51, asked is <= 0.5"),
        ({"accuracy": 0.95}, "INCONCLUSIVE", "loss is not among the scores"),
        ({"accuracy": float("nan"), "loss": 0.1}, "INCONCLUSIVE", "accuracy is not among the scores, or no number"),
        ({"accuracy": "0.95", "loss": 0.1}, "INCONCLUSIVE", "accuracy is not"),
        ({"accuracy": True, "loss": 0.1}, "INCONCLUSIVE", "accuracy is not"),
        ({"accuracy": 0.1}, "FAIL", "accuracy is 0.1"),  # what is unknown besides does not soften it
    ],
)
def test_thresholds(scores: dict[str, Any], state: str, said: str) -> None:
    answer = thresholds.compare(scores, Thresholds(at_least={"accuracy": 0.9}, at_most={"loss": 0.5}))
    assert answer.state == state
    assert said in answer.text
    assert set(answer.figures) == {"accuracy >= 0.9", "loss <= 0.5"}


def profile(images: Any) -> Profile:
    """Of grey images, shape (images, height, width)."""
    measurer = Measurer()
    for image in images:
        measurer.add("train", (8, 8), image[:, :, None].astype(np.uint8))
    texts = {name: pa.array([f"{number % 5}" for number in range(len(images))]) for name in ("subject_id", "label")}
    rows = pa.table({**texts, "split": pa.array(["train"] * len(images), pa.string())})
    return profile_from(rows, measurer.sums, {"size": 8, "channels": 1}, [])


def test_drift_is_what_its_setting_says_and_few_records_leave_it_open() -> None:
    ask_person, refuse = Drift(found="INCONCLUSIVE"), Drift(found="FAIL")
    images = CHANCE.integers(40, 120, (600, 8, 8))
    before, alike, brighter = profile(images[:300]), profile(images[300:]), profile(images[300:] + 60)
    assert drift.judge(compare(before, alike), refuse).state == "PASS"
    answer = drift.judge(compare(before, brighter), ask_person)
    assert answer.state == "INCONCLUSIVE"
    assert "brightness (PSI" in answer.text
    assert answer.figures["histograms"]["brightness"]["drifted"]
    assert drift.judge(compare(before, brighter), refuse).state == "FAIL"
    bins = replace(before, edges={**before.edges, "brightness": [1.0, *before.edges["brightness"][1:]]})
    answer = drift.judge(compare(bins, alike), refuse)  # of what was counted otherwise nobody can say
    assert (answer.state, "brightness was counted in other bins" in answer.text) == ("INCONCLUSIVE", True)
    for few in (profile(images[:3]), profile(images[:0])):
        answer = drift.judge(compare(few, brighter), refuse)
        assert answer.state == "INCONCLUSIVE"
        assert "whether they drifted cannot be said" in answer.text


def test_thresholds_may_be_nested_as_scores_are() -> None:
    asked = Thresholds.model_validate({"at_least": {"test": {"accuracy": 0.9}}, "at_most": {}})
    assert asked.at_least == {"test.accuracy": 0.9}
    with pytest.raises(ValidationError):
        Thresholds.model_validate({"at_least": {"test": {"accuracy": "high"}}, "at_most": {}})


def test_what_cannot_be_looked_at_is_inconclusive_and_hides_no_other_gate() -> None:
    def raises(error: Exception) -> Any:
        def gate() -> Answer:
            raise error

        return gate

    answers = ask(
        {
            "verified": raises(LineageError("the remote is away.", fix="mount it")),
            "consent": raises(DataError("subject P-7 is not there.")),
            "weights": raises(KeyError("P-7")),
            "drift": lambda: Answer("FAIL", "it drifted"),
        }
    )
    assert [answer.state for answer in answers.values()] == ["INCONCLUSIVE"] * 3 + ["FAIL"]
    assert (answers["verified"].text, answers["verified"].fix) == ("the remote is away.", "mount it")
    kept = "".join(str(answer.of("x")) for answer in answers.values())
    assert "P-7" not in kept  # Git keeps it for ever
    assert "P-7" in answers["consent"].more


def test_a_reason_lets_only_what_is_inconclusive_pass() -> None:
    answers = {
        "verified": Answer("PASS", ""),
        "weights": Answer("INCONCLUSIVE", ""),
        "comparison": Answer("INCONCLUSIVE", ""),
        "drift": Answer("FAIL", ""),
    }
    given = [Accept("all", "agreed"), Accept("weights", "ImageNet"), Accept("drift", "no"), Accept("verified", "no")]
    accepted, notes = accepted_by(given, answers)
    assert [(each.gates, each.reason) for each in accepted] == [(["comparison"], "agreed"), (["weights"], "ImageNet")]
    assert notes == [
        "drift is a FAIL, which no reason lets pass.",
        "--accept for verified was not needed and is not recorded.",
    ]
    assert accepted_by([], answers)[0] == []


def test_a_reason_names_its_gate() -> None:
    assert parse_accept("drift: a new scanner: agreed", GATES) == Accept("drift", "a new scanner: agreed")
    assert parse_accept(" all :x", GATES) == Accept("all", "x")
    for text in ("because", "speed: because", "drift:", "drift:  ", ": x"):
        with pytest.raises(PromotionError, match="where GATE is verified, consent"):
            parse_accept(text, GATES)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (" \n", "a reason is needed: --reason"),
        ("x" * 2001, "has 2001 characters, and a decision keeps 2000"),
        ("agreed\nverified: PASS", r"has line breaks, .*: agreed\\x0averified: PASS"),
        ("\x1b[2Jagreed", r"control characters .*\\x1b\[2Jagreed"),
        ("agreed \u202eton", r"marks of direction, .*agreed \\u202eton"),
    ],
)
def test_a_reason_that_no_decision_could_keep_is_refused_before_anything_is_asked(reason: str, said: str) -> None:
    with pytest.raises(PromotionError, match=said):
        require_reason(reason, "--reason")
    assert require_reason(f" {'ü' * 2000}\n", "--reason") == "ü" * 2000
    if reason.strip():
        with pytest.raises(PromotionError):
            parse_accept(f"drift: {reason}", GATES)


def test_whatever_a_gate_says_can_be_kept() -> None:
    kept = Answer("INCONCLUSIVE", "fatal: no\nsuch \x1b[31mthing " + "x" * 5000).of("verified")
    assert kept.text.startswith("fatal: no such \\x1b[31mthing xxx")
    assert kept.text.endswith("x ...")
    assert len(kept.text) == 4000


def test_the_worst_state_counts_and_nothing_is_no_pass() -> None:
    assert worst(["PASS", "FAIL", "INCONCLUSIVE"]) == "FAIL"
    assert worst(["PASS", "INCONCLUSIVE"]) == "INCONCLUSIVE"
    assert worst([]) == "INCONCLUSIVE"


@pytest.mark.parametrize("alias", ["candidate", "latest", "v2", "Champion", "a b", "", "@x"])
def test_aliases_that_cannot_be_decided_on(params: dict[str, Any], alias: str) -> None:
    section = params["promotion"]
    assert Promotion.model_validate(section).aliases == ["champion"]
    with pytest.raises(ValidationError):
        Promotion.model_validate({**section, "aliases": ["champion", alias]})
