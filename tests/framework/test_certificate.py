"""Both checkers of certificates, held against each other and against the truth, with honest and with forged ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lineage.audit.certificate_form import KIND, SCHEMA, SIZE, fault_of_form, read
from lineage.audit.certificate_proofs import faults_of
from lineage.base.errors import LineageError
from lineage.dvc.hashes import sha256_of_json
from lineage.records.merkle import Tree, subject_key

from .conftest import ROOT

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POOL = [*(f"PAT-{number:05d}" for number in range(1, 12)), "Anne Müller", "患者 7", "x' OR '1'='1", "%", "می\u200cروم"]
SALTS = ["project-1", "", "0", "salt", "9:"]
MD5S = [f"{number:032x}.dir" for number in range(1, 4)]
COMMIT = "c" * 40


def _load_script() -> Any:
    spec = spec_from_file_location("check_certificate", ROOT / "scripts" / "check_certificate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _load_script()


@dataclass
class World:
    """What is so, and a certificate that says it."""

    subjects: dict[str, set[str]]  # by dataset version
    roots: dict[str, str]
    document: dict[str, Any]


def world(
    subjects: dict[str, set[str]], salts: dict[str, str], models: list[list[str]], asked: list[str], doubt: bool = False
) -> World:
    """An honest certificate. `models` are the dataset versions of each."""
    trees = {md5: Tree(salts[md5], subjects[md5]) for md5 in subjects}
    used = sorted({md5 for datasets in models for md5 in datasets})
    uses = [use(number, sorted(set(datasets))) for number, datasets in enumerate(models)]
    reasons = [
        f"{subject} is in {entry['name']}"
        for entry in uses
        for md5 in entry["datasets"]
        for subject in asked
        if subject in subjects[md5]
    ]
    answer = "FAILED" if reasons else "INCONCLUSIVE" if doubt else "PASSED"
    entries = [
        {
            "md5": md5,
            "commit": COMMIT,
            "root": trees[md5].root_in(md5),
            "salt": salts[md5],
            "subjects": len(trees[md5]),
            "proofs": [
                {"subject": subject, "steps": [vars(step) for step in trees[md5].prove(subject)]} for subject in asked
            ],
        }
        for md5 in used
    ]
    document = {
        "kind": KIND,
        "schema": SCHEMA,
        "question": {"subjects": asked, "since": (NOW - timedelta(days=30)).isoformat()},
        "answer": answer,
        "reasons": list(dict.fromkeys([*reasons, *(["a reason"] if doubt else [])])),
        "scope": {"store": "sqlite:///mlflow.db", "project": "p"},
        "looked_at": {
            "versions": len(uses),
            "runs": 3,
            "logged models": 0,
            "models in Git": len(uses),
            "models in Git alone": 0,
            "results in Git": 0,
            "results in Git alone": 0,
            "stores": 1,
            "dataset versions": len(used),
            "made since": len(uses),
            "dataset versions since": len(used),
        },
        "controls": len(used),
        "copies": 0,
        "models": uses,
        "without_model": [],
        "datasets": entries,
        "moment": NOW.isoformat(),
        "commit": COMMIT,
        "tools": {"python": "3.11.7"},
    }
    return World(subjects, {md5: trees[md5].root_in(md5) for md5 in used}, sealed(document))


def use(number: int, datasets: list[str]) -> dict[str, Any]:
    made = (NOW - timedelta(days=number)).isoformat()
    return {
        "name": f"models:/digits/{number}",
        "state": "READY",
        "started": made,
        "ended": None,
        "registered": made,
        "committed": None,
        "datasets": datasets,
        "commit": COMMIT,
    }


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """With the digest that its content has: anybody can compute it."""
    content = {key: value for key, value in document.items() if key != "digest"}
    return {**content, "digest": sha256_of_json(content)}


def offline(document: Any) -> list[str] | None:
    """What the script says; None if it refuses."""
    try:
        said: list[str] = SCRIPT.check(document, now=NOW)
    except SCRIPT.RefusedError:
        return None
    return said


def holds_for_package(document: Any) -> bool:
    return isinstance(document, dict) and fault_of_form(document) is None and not faults_of(document, NOW)


def both(document: Any) -> bool:
    """Whether both say that it holds; they must agree."""
    by_script, by_package = offline(document) is not None, holds_for_package(document)
    assert by_script == by_package, (by_script, fault_of_form(document) or faults_of(document, NOW))
    return by_script


@st.composite
def worlds(draw: st.DrawFn) -> World:
    md5s = draw(st.lists(st.sampled_from(MD5S), min_size=1, unique=True))
    subjects = {md5: draw(st.sets(st.sampled_from(POOL), min_size=draw(st.integers(0, 5)))) for md5 in md5s}
    salts = {md5: draw(st.sampled_from(SALTS)) for md5 in md5s}
    models = [[md5] for md5 in md5s] + draw(st.lists(st.lists(st.sampled_from(md5s), min_size=1), max_size=2))
    asked = draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=3, unique=True))
    return world(subjects, salts, models, asked, draw(st.booleans()))


# Changes


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a document, the lists and objects too."""
    if path:
        yield path
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in [*children]:
        yield from places(child, (*path, key))


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def put(document: Any, path: tuple[Any, ...], value: Any) -> None:
    at(document, path[:-1])[path[-1]] = value


def _is_leaf(node: Any) -> bool:
    return isinstance(node, dict) and "position" in node


@st.composite
def others(draw: st.DrawFn, value: Any, document: dict[str, Any]) -> Any:
    """Another value in the place of one: near to it, of another kind, or one that stands elsewhere."""
    near: list[Any] = [None, True, 0, -1, 1.0, "", [], {}, 1 << 60, "PASSED", "FAILED", "INCONCLUSIVE", "\ud800"]
    if isinstance(value, bool) or value is None:
        near += [NOW.isoformat()]
    elif isinstance(value, int):
        near += [value + 1, value - 1, float(value), str(value), bool(value), value ^ 1]
    elif isinstance(value, str):
        near += [value.upper(), f" {value}", f"{value}\n", value[:-1], f"{value}0", f"0{value[1:]}"]
        near += [f"{value}\u200b", f"{value}\ufe0f", value.replace("-", "\u2010"), *POOL, *SALTS, *MD5S]
    elif isinstance(value, list):
        near += [value[:-1], value[1:], value[::-1], value + value[:1], [value], {"0": value}]
        if value and _is_leaf(value[0]):
            leaves = [part for part in (at(document, path) for path in places(document)) if _is_leaf(part)]
            near += [[one, other] for one in leaves for other in leaves]
    elif isinstance(value, dict):
        near += [{**value, "more": 1}, dict(list(value.items())[1:]), list(value.values())]
    same_name = [
        at(document, path) for path in places(document) if path[-1] in ("steps", "path", "root", "salt", "key")
    ]
    return copy.deepcopy(draw(st.sampled_from([*near, *same_name])))


def exchange_subject(document: dict[str, Any], old: str, new: str) -> None:
    document["question"]["subjects"] = [
        new if subject == old else subject for subject in document["question"]["subjects"]
    ]
    for entry in document["datasets"]:
        for proof in entry.get("proofs", []):
            proof["subject"] = new if proof["subject"] == old else proof["subject"]


@st.composite
def forgeries(draw: st.DrawFn) -> tuple[World, dict[str, Any]]:
    """A certificate that was changed in one to three ways, mostly with the right digest."""
    made = draw(worlds())
    document = copy.deepcopy(made.document)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["value", "value", "value", "subject", "whitewash", "shorten", "swap"]))
        is_whole = fault_of_form(document) is None
        if kind == "swap":
            one, other = (draw(st.sampled_from([*places(document)])) for _ in range(2))
            first, second = copy.deepcopy(at(document, one)), copy.deepcopy(at(document, other))
            put(document, one, second)
            if len(one) == len(other):  # else it may be gone
                put(document, other, first)
        elif kind == "whitewash":
            document["answer"], document["reasons"] = draw(st.sampled_from(["PASSED", "INCONCLUSIVE"])), []
        elif kind == "subject" and is_whole:
            exchange_subject(
                document, draw(st.sampled_from(document["question"]["subjects"])), draw(st.sampled_from(POOL))
            )
        elif kind == "shorten" and is_whole and document["datasets"]:
            gone = draw(st.sampled_from(document["datasets"]))["md5"]
            document["models"] = [entry for entry in document["models"] if gone not in entry["datasets"]]
            document["datasets"] = [entry for entry in document["datasets"] if entry["md5"] != gone]
            count = document["looked_at"]
            count["made since"], count["dataset versions since"] = len(document["models"]), len(document["datasets"])
            document["controls"] = len(document["datasets"])
        else:
            path = draw(st.sampled_from([*places(document)]))
            put(document, path, draw(others(at(document, path), document)))
    with_digest = draw(st.integers(0, 9)) > 0
    try:
        return made, sealed(document) if with_digest else document
    except UnicodeEncodeError:  # half a character
        return made, document


@given(worlds())
def test_an_honest_certificate_holds_for_both(made: World) -> None:
    assert both(made.document)
    said = offline(made.document) or []
    inside = {
        f"{subject} is in dataset {md5}"
        for md5 in made.roots
        for subject in made.document["question"]["subjects"]
        if subject in made.subjects[md5]
    }
    assert {sentence for sentence in said if " is in dataset " in sentence} == inside


@settings(max_examples=400)
@given(forgeries())
def test_under_the_true_roots_no_forgery_says_what_is_not_so(forgery: tuple[World, dict[str, Any]]) -> None:
    made, document = forgery
    if not both(document):
        return
    said = offline(document) or []
    for entry in document["datasets"]:
        if made.roots.get(entry["md5"]) == entry.get("root"):
            for subject in document["question"]["subjects"]:
                is_in = f"{subject} is in dataset {entry['md5']}" in said
                assert is_in == (subject in made.subjects[entry["md5"]])


@settings(max_examples=100)
@given(forgeries())
def test_whoever_is_in_all_models_passes_in_no_forgery(forgery: tuple[World, dict[str, Any]]) -> None:
    made, document = forgery
    if both(document) and document["answer"] == "PASSED":
        true = [entry["md5"] for entry in document["datasets"] if made.roots.get(entry["md5"]) == entry.get("root")]
        assert not any(subject in made.subjects[md5] for md5 in true for subject in document["question"]["subjects"])


# Attacks, one by one

IN, OUT = "PAT-00001", "PAT-00023"
EVERYBODY = {f"PAT-{number:05d}" for number in range(1, 23)}


@pytest.fixture(scope="module")
def passed() -> World:
    """Excludes OUT from two models on two dataset versions; IN is in both."""
    subjects = {MD5S[0]: EVERYBODY, MD5S[1]: EVERYBODY | {"PAT-00024"}}
    made = world(subjects, dict.fromkeys(subjects, "optout"), [[MD5S[0]], [MD5S[1]]], [OUT])
    assert made.document["answer"] == "PASSED"
    return made


def test_another_salt_does_not_move_a_subject_between_two_leaves(passed: World) -> None:
    """What anybody could do who held one certificate, when the root did not cover the salt."""
    document = copy.deepcopy(passed.document)
    exchange_subject(document, OUT, IN)
    for entry in document["datasets"]:
        (proof,) = entry["proofs"]
        between = [step["key"] for step in proof["steps"]]
        low, high = (between[0], between[1]) if len(between) == 2 else ("0" * 64, "f" * 64)
        salts = (f"optout{number}" for number in range(100_000))
        entry["salt"] = next(salt for salt in salts if low < subject_key(salt, IN).hex() < high)
    assert not both(sealed(document))


def test_a_proof_is_right_for_one_dataset_version_only() -> None:
    """Equal subjects, equal salt: what the manifests state is the same, and what is registered is not."""
    subjects = {MD5S[0]: EVERYBODY, MD5S[1]: EVERYBODY}
    made = world(subjects, dict.fromkeys(subjects, "s"), [[MD5S[0]], [MD5S[1]]], [OUT])
    assert len({*made.roots.values()}) == 2
    document = copy.deepcopy(made.document)
    first, second = document["datasets"]
    for name in ("root", "proofs"):
        document["datasets"][0] = {**first, name: second[name]}
        holds = both(sealed(document))
        assert holds == (name == "proofs")  # the same tree has the same proofs
    document["datasets"] = [{**first, **{key: second[key] for key in second if key != "md5"}}, second]
    assert not both(sealed(document))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 22])
def test_leaves_that_enclose_somebody_who_is_there(count: int) -> None:
    """Who is in the tree lies between two leaves as well, which are no neighbours; or before or after a single one."""
    everybody = sorted(f"PAT-{number:05d}" for number in range(1, count + 1))
    tree = Tree("optout", everybody)
    [*leaves] = sorted((step for subject in everybody for step in tree.prove(subject)), key=lambda step: step.position)
    made = world({MD5S[0]: {*everybody}}, {MD5S[0]: "optout"}, [[MD5S[0]]], [OUT])
    for subject in everybody:
        [own] = tree.prove(subject)
        before, after = leaves[: own.position], leaves[own.position + 1 :]
        pairs = [[one, other] for one in before for other in after]
        for shown in [*pairs, *([leaf] for leaf in before + after), [], *([own, leaf] for leaf in leaves)]:
            document = copy.deepcopy(made.document)
            exchange_subject(document, OUT, subject)
            document["datasets"][0]["proofs"][0]["steps"] = [vars(step) for step in shown]
            assert not both(sealed(document))


def test_the_old_form_is_refused(passed: World) -> None:
    old = sealed({**passed.document, "schema": 1})
    assert not both(old)
    assert "of an old form, whose proofs can be forged" in str(fault_of_form(old))
    with pytest.raises(SCRIPT.RefusedError, match="of an old form, whose proofs can be forged"):
        SCRIPT.check(old, now=NOW)


LIES = {
    "hexadecimal in capitals": ("datasets", 0, "root", str.upper),
    "a blank in a hash": ("datasets", 0, "root", lambda text: f"{text[:32]} {text[32:]}"),
    "a shorter hash": ("datasets", 0, "root", lambda text: text[:62]),
    "a path in capitals": ("datasets", 0, "proofs", 0, "steps", 0, "path", 0, str.upper),
    "false for nothing": ("copies", lambda _: False),
    "a fraction for nothing": ("copies", float),
    "a position that is no whole number": ("datasets", 0, "proofs", 0, "steps", 0, "position", float),
    "a negative position": ("datasets", 0, "proofs", 0, "steps", 0, "position", lambda value: value - 1000),
    "a leaf twice": ("datasets", 0, "proofs", 0, "steps", lambda steps: steps[:1] * 2),
    "three leaves": ("datasets", 0, "proofs", 0, "steps", lambda steps: [*steps, steps[0]]),
    "leaves the other way round": ("datasets", 0, "proofs", 0, "steps", lambda steps: steps[::-1]),
    "no leaves": ("datasets", 0, "proofs", 0, "steps", lambda _: []),
    "more leaves than there are": ("datasets", 0, "subjects", lambda count: count + 1),
    "an empty tree": ("datasets", 0, "subjects", lambda _: 0),
    "one more in a proof": ("datasets", 0, "proofs", 0, lambda proof: {**proof, "note": "x"}),
    "a proof twice": ("datasets", 0, "proofs", lambda proofs: proofs * 2),
    "a dataset version twice": ("datasets", lambda entries: [*entries, entries[0]]),
    "a model twice": ("models", lambda uses: [*uses, uses[0]]),
    "a model without data": ("models", 0, "datasets", lambda _: []),
    "no models": ("models", lambda _: []),
    "another hash of the data": ("datasets", 0, "md5", lambda text: f"f{text[1:]}"),
    "the hash of the data in capitals": ("datasets", 0, "md5", lambda text: text.upper()),
    "no zone": ("moment", lambda text: text[:-6]),
    "a week": ("question", "since", lambda _: "2026-W01-1T00:00:00+00:00"),
    "a day": ("question", "since", lambda _: "2026-01-01"),
    "the future": ("moment", lambda _: (NOW + timedelta(minutes=6)).isoformat()),
    "before its question": ("moment", lambda _: (NOW - timedelta(days=60)).isoformat()),
    "a model of the future": ("models", 0, "registered", lambda _: (NOW + timedelta(hours=1)).isoformat()),
    "a model of long ago": ("models", 0, "registered", lambda _: None),
    "a commit that is none": ("commit", lambda _: "HEAD"),
    "another answer": ("answer", lambda _: "FAILED"),
    "no answer": ("answer", lambda _: "passed"),
    "INCONCLUSIVE without a reason": ("answer", lambda _: "INCONCLUSIVE"),
    "PASSED with a reason": ("reasons", lambda _: ["it is not known"]),
    "one control less": ("controls", lambda count: count - 1),
    "one control more": ("controls", lambda count: count + 1),
    "another field": ("scope", lambda scope: {**scope, "more": ""}),
    "nobody": ("question", "subjects", lambda _: []),
    "somebody twice": ("question", "subjects", lambda ids: ids * 2),
    "somebody else": ("question", "subjects", lambda _: [IN]),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_with_the_right_digest_is_refused_by_both(lie: tuple[Any, ...], passed: World) -> None:
    document, (*path, change) = copy.deepcopy(passed.document), lie
    if path[-1] == "registered" and change(None) is None:
        document["models"][0]["started"] = "2020-01-01T00:00:00+00:00"
        document["models"][0]["ended"] = "2020-01-01T00:00:00+00:00"
    put(document, tuple(path), change(at(document, tuple(path))))
    assert not both(sealed(document))


@pytest.mark.parametrize(
    "written",
    [
        f"{IN} ",
        f"{IN}\u200b",
        f"{IN}\ufe0f",
        f"{IN}\u3164",
        f"{IN}\u034f",
        f"{IN}\u2800",
        f"{IN}\u00a0x",
        f"\x1b[2J{IN}",
        "",
    ],
    ids=ascii,
)
def test_another_way_of_writing_an_id_is_not_proved_to_be_excluded(written: str) -> None:
    made = world({MD5S[0]: EVERYBODY}, {MD5S[0]: "s"}, [[MD5S[0]]], [written])
    assert made.document["answer"] == "PASSED"
    assert not both(made.document)


def test_decomposed_letters_are_refused() -> None:
    made = world({MD5S[0]: {"Zo\u00eb"}}, {MD5S[0]: "s"}, [[MD5S[0]]], ["Zoe\u0308"])
    assert not both(made.document)


def test_clocks_may_differ_a_little(passed: World) -> None:
    assert both(sealed({**passed.document, "moment": (NOW + timedelta(minutes=4)).isoformat()}))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8])
def test_trees_of_few_leaves_and_subjects_at_their_ends(count: int) -> None:
    everybody = [f"P-{number}" for number in range(60)]
    made = world({MD5S[0]: {*everybody[:count]}}, {MD5S[0]: "s"}, [[MD5S[0]]], everybody)
    assert both(made.document)


def test_nodes_of_the_tree_are_no_leaves() -> None:
    """A second preimage: the tree's own upper nodes, given out as keys of a smaller tree."""
    made = world({MD5S[0]: EVERYBODY}, {MD5S[0]: "s"}, [[MD5S[0]]], [OUT])
    for levels in (1, 2, 3):
        document = copy.deepcopy(made.document)
        entry = document["datasets"][0]
        for step in entry["proofs"][0]["steps"]:
            step["key"], step["path"] = step["path"][levels - 1], step["path"][levels:]
            step["position"] >>= levels
        entry["subjects"] = -(-entry["subjects"] >> levels)
        assert not both(sealed(document))


def test_a_last_leaf_that_is_repeated_makes_another_root() -> None:
    """Trees that repeat their last leaf give two lists one root (CVE-2012-2459); this one lifts it instead."""
    for count in range(1, 20):
        tree = Tree("s", [f"P-{number}" for number in range(count)])
        assert len({tree.root, Tree("s", [f"P-{number}" for number in range(count + 1)]).root}) == 2
    made = world({MD5S[0]: {"A", "B", "C"}}, {MD5S[0]: "s"}, [[MD5S[0]]], ["A"])
    document = copy.deepcopy(made.document)
    document["datasets"][0]["subjects"] = 4
    assert not both(sealed(document))


def test_the_script_can_be_asked_about_somebody(passed: World) -> None:
    assert SCRIPT.check(passed.document, [OUT], NOW)
    for ids in ([IN], [OUT, IN], ["PAT-00023 "], ["PАT-00023"]):  # noqa: RUF001  a Cyrillic letter
        with pytest.raises(SCRIPT.RefusedError, match="about other ids"):
            SCRIPT.check(passed.document, ids, NOW)


# Texts


def read_by_script(path: Path) -> bool:
    try:
        document = SCRIPT.read(path)
    except SCRIPT.UnreadableError:
        return False
    return offline(document) is not None


def read_by_package(path: Path) -> bool:
    try:
        return holds_for_package(read(path))
    except LineageError:
        return False


TEXTS = {
    "as it was written": (lambda text: text, True),
    "without blanks": (lambda text: json.dumps(json.loads(text), separators=(",", ":")), True),
    "in another order": (lambda text: json.dumps(dict(reversed(json.loads(text).items()))), True),
    "a key twice": (lambda text: text.replace('"answer":', '"answer": "FAILED", "answer":'), False),
    "a key twice further down": (lambda text: text.replace('"position":', '"position": 0, "position":', 1), False),
    "NaN": (lambda text: text.replace('"copies": 0', '"copies": NaN'), False),
    "infinity": (lambda text: text.replace('"copies": 0', '"copies": Infinity'), False),
    "a fraction": (lambda text: text.replace('"copies": 0', '"copies": 0.0'), False),
    "an exponent": (lambda text: text.replace('"copies": 0', '"copies": 0e5'), False),
    "a huge number": (lambda text: text.replace('"copies": 0', f'"copies": 1{"0" * 10_000}'), False),
    "two documents": (lambda text: text * 2, False),
    "something behind it": (lambda text: text + "x", False),
    "half a character": (lambda text: text.replace('"sqlite:', '"\\ud800sqlite:'), False),
    "a mark in front": (lambda text: "\ufeff" + text, False),
    "deep nesting": (lambda _: "[" * 200_000, False),
    "deep objects": (lambda _: '{"a":' * 200_000, False),
    "nothing": (lambda _: "", False),
    "null": (lambda _: "null", False),
    "a list": (lambda text: f"[{text}]", False),
}


@pytest.mark.parametrize(("change", "holds"), TEXTS.values(), ids=TEXTS)
def test_a_file_has_one_meaning(change: Any, holds: bool, passed: World, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    path.write_text(change(json.dumps(passed.document, indent=2)), encoding="utf-8")
    assert read_by_script(path) == read_by_package(path) == holds


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    made = world({MD5S[0]: EVERYBODY}, {MD5S[0]: "s"}, [[MD5S[0]]], ["Anne Müller"])
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(made.document, ensure_ascii=False), encoding=encoding)
    assert not read_by_script(path)
    assert not read_by_package(path)


def test_a_huge_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    with path.open("wb") as file:
        file.truncate(100 * SIZE)
    with pytest.raises(LineageError, match="more than 32 MB"):
        read(path)
    with pytest.raises(SCRIPT.UnreadableError, match="more than 32 MB"):
        SCRIPT.read(path)
    assert SCRIPT.SIZE == SIZE


@example("\x1b[2J\u202e\x9b")
@given(st.text())
def test_the_script_prints_nothing_that_a_terminal_obeys(text: str) -> None:
    assert SCRIPT.show(text).isprintable()
