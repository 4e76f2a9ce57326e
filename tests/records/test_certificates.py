"""Certificates hold, or are refused."""

from __future__ import annotations

import copy
import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from auditing import add_run, dataset, end, lose_manifest
from baked import Project
from command import Lineage
from consent import (
    ODD,
    OUT,
    STAYS,
    Cycle,
)
from damage import WEIGHTS


@pytest.fixture(scope="module")
def certificate(cycle: Cycle, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That OUT was excluded since the opt-out."""
    target = tmp_path_factory.mktemp("certificate") / "certificate"
    lineage(cycle.project, "audit", "excluded", OUT, "--since", cycle.moment, "--certificate", str(target))
    return target.with_suffix(".json")


def offline(project: Project, *paths: Path) -> list[tuple[int, str]]:
    """What scripts/check_certificate.py says, without any package and without the project."""
    script = str(project.root / "scripts" / "check_certificate.py")
    checks = [
        project.start("python", "-I", "-S", script, path.name, cwd=path.parent, stdout=subprocess.PIPE)
        for path in paths
    ]
    said = [check.communicate()[0] for check in checks]
    return [(check.returncode, text) for check, text in zip(checks, said, strict=True)]


CHECK = """
import json, sys
from pathlib import Path
from lineage.audit.certificate import check
from lineage.base.errors import LineageError
from lineage.proof.case import Evidence
evidence, answers = Evidence(Path.cwd()), {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        answers[path.name] = check(evidence, path)
    except LineageError as error:
        answers[path.name] = [str(error)]
print(json.dumps(answers))
"""


def against_repository(project: Project, folder: Path) -> dict[str, list[str]]:
    """What each certificate of a folder says otherwise than the repository, as `lineage audit check` finds it."""
    output = project.run("python", "-c", CHECK, str(folder), stderr=subprocess.DEVNULL)
    return json.loads(output.splitlines()[-1])


def leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a document; an empty list or object is one."""
    children = list(node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ())
    if not children:
        yield path
    for key, child in children:
        yield from leaves(child, (*path, key))


def changed(value: Any) -> Any:
    """Another value of the same kind, as close as can be."""
    if isinstance(value, int):
        return value + 1
    if isinstance(value, list):
        return ["x"]
    if value is None or value == "":
        return "x"
    last = value[-1]
    return value[:-1] + ("0" if last != "0" else "1")


def tampered(document: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    other = copy.deepcopy(document)
    node = other
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = changed(node[path[-1]])
    assert other != document
    return other


def sealed(document: dict[str, Any]) -> dict[str, Any]:
    """With the digest that its content has."""
    content = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**content, "digest": hashlib.sha256(text.encode()).hexdigest()}


def test_a_certificate_holds_offline_and_against_the_repository(
    cycle: Cycle, lineage: Lineage, certificate: Path
) -> None:
    ((status, output),) = offline(cycle.project, certificate)
    assert (status, *output.splitlines()[-2:-1]) == (0, f"HOLDS: PASSED for {OUT}.")
    assert output.splitlines()[-1].startswith("NOT CHECKED: whether these are all the models made since then")
    assert "1 of 1 dataset versions proved" in output
    assert "holds: this repository says the same" in lineage(cycle.project, "audit", "check", str(certificate))


def test_a_certificate_is_small_and_names_nobody_else(cycle: Cycle, certificate: Path) -> None:
    document = json.loads(certificate.read_text())
    for path in (certificate, certificate.with_suffix(".html")):
        text = path.read_text()
        assert set(re.findall(r"PAT-\d+", text)) == {OUT}
        assert not [odd for odd in ODD.values() if len(odd) > 1 and odd in text]
    (md5,) = [entry["md5"] for entry in document["datasets"]]
    assert md5 == dataset(cycle.project, "2")
    assert document["datasets"][0]["root"] == cycle.project.version_tags("2")["subjects_root"]
    for proof in document["datasets"][0]["proofs"]:
        assert len(proof["steps"]) == 2
        assert len(json.dumps(proof)) < 4096


def test_a_certificate_tampered_with_in_any_field(cycle: Cycle, certificate: Path, tmp_path: Path) -> None:
    document = json.loads(certificate.read_text())
    assert sealed(document) == document
    plain, resealed = tmp_path / "plain", tmp_path / "resealed"
    plain.mkdir()
    resealed.mkdir()
    paths = list(leaves(document))
    assert len(paths) > 60
    assert {path[0] for path in paths} == set(document)
    for number, path in enumerate(paths):
        other = tampered(document, path)
        (plain / f"{number:03}.json").write_text(json.dumps(other))
        if path != ("digest",):
            (resealed / f"{number:03}.json").write_text(json.dumps(sealed(other)))
    files = sorted(plain.iterdir())
    for first in range(0, len(files), 8):
        for status, output in offline(cycle.project, *files[first : first + 8]):
            assert status == 1
            assert output.startswith("REFUSED: ")
    (resealed / "whole.json").write_text(json.dumps(document))
    answers = against_repository(cycle.project, resealed)
    assert answers.pop("whole.json") == []
    hold = {paths[int(name.removesuffix(".json"))] for name, faults in answers.items() if not faults}
    assert {path[0] for path in hold} <= {"moment", "tools"}


def test_the_command_says_that_a_certificate_does_not_hold(
    cycle: Cycle, lineage: Lineage, certificate: Path, tmp_path: Path
) -> None:
    document = json.loads(certificate.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(sealed({**document, "controls": 2})))
    status, output = lineage.ask(cycle.project, "audit", "check", str(other))
    assert status == 1
    assert "controls: the certificate says 2, now 1" in output
    assert output.endswith("other.json: does not hold.\n")
    other.write_text(json.dumps({**document, "answer": "FAILED"}))
    assert "its digest is wrong" in lineage(cycle.project, "audit", "check", str(other), code=1)
    for text in ("", "{}", "[]", "no JSON", "null"):
        other.write_text(text)
        status, output = lineage.ask(cycle.project, "audit", "check", str(other))
        assert (status, "Traceback" in output) == (2, False), text
        assert "is no certificate" in output, text
        ((status, output),) = offline(cycle.project, other)
        assert status in (1, 2), text
        assert "Traceback" not in output, text


def test_forged_answers_are_refused_offline(cycle: Cycle, lineage: Lineage, certificate: Path, tmp_path: Path) -> None:
    """What a liar with the right digest would write."""
    passed = json.loads(certificate.read_text())
    lineage(
        cycle.project, "audit", "excluded", STAYS, "--since", cycle.moment, "--certificate", str(tmp_path / "f"), code=1
    )
    failed = json.loads((tmp_path / "f.json").read_text())
    lies = {
        "in": {**failed, "answer": "PASSED", "reasons": []},
        "no proof": {**passed, "datasets": [{**passed["datasets"][0], "proofs": []}]},
        "somebody else": {**passed, "question": {**passed["question"], "subjects": ["PAT-00025"]}},
        "one neighbour": {**passed, "datasets": [one_neighbour(passed["datasets"][0])]},
        "nothing": {**passed, "models": [], "datasets": [], "controls": 0},
        "earlier": {**passed, "moment": "2020-01-01T00:00:00+00:00"},
    }
    (tmp_path / "f.html").unlink()
    paths = []
    for name, lie in lies.items():
        paths.append(tmp_path / f"{name}.json")
        paths[-1].write_text(json.dumps(sealed(lie)))
    for path, (status, output) in zip(paths, offline(cycle.project, *paths), strict=True):
        assert (status, output.startswith("REFUSED: ")) == (1, True), path.name
    ((status, output),) = offline(cycle.project, tmp_path / "f.json")
    assert (status, *output.splitlines()[-2:-1]) == (0, f"HOLDS: FAILED for {STAYS}.")


def one_neighbour(entry: dict[str, Any]) -> dict[str, Any]:
    (proof,) = entry["proofs"]
    return {**entry, "proofs": [{**proof, "steps": proof["steps"][:1]}]}


def test_certificates_of_every_answer_hold(cycle: Cycle, lineage: Lineage, tmp_path: Path) -> None:
    asked = {"FAILED": (1, OUT, STAYS, ODD[35]), "INCONCLUSIVE": (2, OUT, "PAT-99999", "x' OR '1'='1' --")}
    for answer, (code, *ids) in asked.items():
        target = tmp_path / answer.lower()
        since = ("--since", cycle.moment, "--certificate", str(target))
        lineage(cycle.project, "audit", "excluded", *ids, *since, code=code)
        ((status, output),) = offline(cycle.project, target.with_suffix(".json"))
        written = [subject if subject.isascii() else f"{subject} ({ascii(subject)[1:-1]})" for subject in ids]
        assert (status, *output.splitlines()[-2:-1]) == (0, f"HOLDS: {answer} for {', '.join(written)}.")
        assert lineage.ask(cycle.project, "audit", "check", str(target.with_suffix(".json")))[0] == 0


def test_a_certificate_holds_after_later_runs_and_not_after_damage(
    project: Project, lineage: Lineage, certificate: Path
) -> None:
    moment = datetime.fromisoformat(json.loads(certificate.read_text())["moment"])
    while datetime.now(UTC).replace(microsecond=0) <= moment:
        time.sleep(0.05)
    end(project, add_run(project, dataset(project, "1"), "preprocess"))
    assert lineage.ask(project, "audit", "check", str(certificate))[0] == 0
    lose_manifest(project)
    status, output = lineage.ask(project, "audit", "check", str(certificate))
    assert status == 1
    assert 'answer: the certificate says "PASSED", now "INCONCLUSIVE"' in output


def test_a_certificate_holds_after_a_later_model(project: Project, lineage: Lineage, certificate: Path) -> None:
    """Of the same dataset version, committed, and not registered yet: nothing of it was there at that moment."""
    lock = project.root / "dvc.lock"
    later = datetime.fromisoformat(json.loads(certificate.read_text())["moment"]) + timedelta(seconds=2)
    made = [project.out("train", path) for path in (WEIGHTS, "models/run.json")]
    lock.write_text(lock.read_text().replace(made[0], "0" * 32).replace(made[1], "1" * 32))
    project.environment["GIT_COMMITTER_DATE"] = later.isoformat()
    project.commit("Third model")
    del project.environment["GIT_COMMITTER_DATE"]
    output = lineage(project, "audit", "check", str(certificate))
    assert output.endswith("holds: this repository says the same.\n")


def test_a_certificate_does_not_hold_for_now_where_a_commit_is_of_the_future(
    project: Project, lineage: Lineage, certificate: Path, tmp_path: Path
) -> None:
    """A date that is yet to come does not say that the model is not there."""
    lock, run = project.root / "dvc.lock", "models/run.json"
    project.git("checkout", "--quiet", "-b", "ahead", project.commit_of("Everybody"))
    lock.write_text(lock.read_text().replace(project.out("train", run), "1" * 32))
    project.environment["GIT_COMMITTER_DATE"] = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    project.commit("The clock is ahead")
    del project.environment["GIT_COMMITTER_DATE"]
    project.git("checkout", "--quiet", "main")
    document = json.loads(certificate.read_text())
    document["moment"] = datetime.now(UTC).replace(microsecond=0).isoformat()
    (tmp_path / "now.json").write_text(json.dumps(sealed(document)))
    output = lineage(project, "audit", "check", str(tmp_path / "now.json"), code=1)
    assert 'answer: the certificate says "PASSED", now "FAILED"' in output


def forged_by_salt(document: dict[str, Any], subject: str) -> dict[str, Any]:
    """What a holder can try: another salt moves anybody between the two leaves that a certificate shows."""
    forged = copy.deepcopy(document)
    forged["question"]["subjects"] = [subject]
    for entry in forged["datasets"]:
        (proof,) = entry["proofs"]
        proof["subject"] = subject
        low, high = (step["key"] for step in proof["steps"])
        salts = (f"{entry['salt']}{number}" for number in range(1_000_000))
        entry["salt"] = next(
            salt for salt in salts if low < hashlib.sha256(f"{len(salt)}:{salt}{subject}".encode()).hexdigest() < high
        )
    return sealed(forged)


def test_whoever_holds_a_certificate_cannot_write_one_for_somebody_else(
    cycle: Cycle, lineage: Lineage, certificate: Path, tmp_path: Path
) -> None:
    document = json.loads(certificate.read_text())
    entry = document["datasets"][0]
    forged = {
        "salt": forged_by_salt(document, STAYS),
        "old": sealed({**forged_by_salt(document, STAYS), "schema": 1}),
        "dataset": sealed({**document, "datasets": [{**entry, "md5": dataset(cycle.project, "1")}]}),
        "both": sealed(
            {
                **document,
                "datasets": [{**entry, "md5": dataset(cycle.project, "1")}],
                "models": [{**use, "datasets": [dataset(cycle.project, "1")]} for use in document["models"]],
            }
        ),
        "future": sealed({**document, "moment": "2099-01-01T00:00:00+00:00"}),
    }
    paths = [tmp_path / f"{name}.json" for name in forged]
    for path, lie in zip(paths, forged.values(), strict=True):
        path.write_text(json.dumps(lie))
    for path, (status, output) in zip(paths, offline(cycle.project, *paths), strict=True):
        assert (status, output.startswith("REFUSED: ")) == (1, True), path.name
    status, output = lineage.ask(cycle.project, "audit", "check", str(paths[0]))
    assert (status, output.endswith(f"{paths[0].name}: does not hold.\n")) == (1, True)
    answers = against_repository(cycle.project, tmp_path)
    assert [name for name, faults in answers.items() if not faults] == []
    assert "written in the future" in answers["future.json"][0]
    assert "of an old form" in answers["old.json"][0]
    assert "proves nothing" in answers["salt.json"][0]


def test_a_certificate_has_one_meaning(cycle: Cycle, lineage: Lineage, certificate: Path, tmp_path: Path) -> None:
    text = certificate.read_text()
    texts = {
        "twice": text.replace('"answer":', '"answer": "FAILED", "answer":'),
        "nan": re.sub('"copies": [0-9]+', '"copies": NaN', text),
        "float": text.replace('"controls": 1', '"controls": 1.0'),
        "true": json.dumps(sealed({**json.loads(text), "controls": True})),
        "deep": "[" * 100_000,
        "huge": '"' + "x" * 33_000_000,
        "idle": json.dumps(
            sealed({**json.loads(text), "question": {"subjects": [f"{OUT}\ufe0f"], "since": cycle.moment}})
        ),
    }
    paths = [tmp_path / f"{name}.json" for name in texts]
    for path, other in zip(paths, texts.values(), strict=True):
        path.write_text(other)
    for path, (status, output) in zip(paths, offline(cycle.project, *paths), strict=True):
        assert (status in (1, 2), "HOLDS" in output, "Traceback" in output) == (True, False, False), path.name
        status, output = lineage.ask(cycle.project, "audit", "check", str(path))
        assert (status in (1, 2), "Traceback" in output, len(output) < 1000) == (True, False, True), path.name
        assert "does not hold" in output or "is no certificate" in output, path.name


BELL = "\x1b]0;owned\x07\x9b2J\u202eX"


def test_nothing_of_others_reaches_a_terminal_as_a_command(
    cycle: Cycle, lineage: Lineage, certificate: Path, tmp_path: Path
) -> None:
    document = json.loads(certificate.read_text())
    model = {**document["models"][0], "name": BELL, "ended": None, "registered": None}
    path = tmp_path / "bell.json"
    path.write_text(json.dumps(sealed({**document, "reasons": [BELL], "models": [model, *document["models"][1:]]})))
    said = [offline(cycle.project, path)[0], lineage.ask(cycle.project, "audit", "check", str(path))]
    since = ("--since", cycle.moment)
    said.append(lineage.ask(cycle.project, "audit", "excluded", f"PAT{BELL}", *since))
    said.append(lineage.ask(cycle.project, "audit", "subject", f"PAT{BELL}"))
    said.append(lineage.ask(cycle.project, "audit", "excluded", OUT, "--since", BELL))
    said.append(lineage.ask(cycle.project, "audit", "check", f"{BELL}.json"))
    for status, output in said:
        assert status in (1, 2), output
        assert not set(output) & {"\x1b", "\x07", "\x9b", "\u202e"}, ascii(output)


@pytest.mark.parametrize("since", ["2026-W01-1", "2026W011", "2026-W01", "2026-W01-1T12:00Z", "2025-06-01x12:00"])
def test_a_week_is_no_date(cycle: Cycle, lineage: Lineage, since: str) -> None:
    status, output = lineage.ask(cycle.project, "audit", "excluded", OUT, "--since", since)
    assert (status, "PASSED" in output) == (2, False)
    assert "is no date" in output


@pytest.mark.parametrize("filler", ["\ufe0f", "\u3164", "\u034f", "\u2800", "\u200d", "\u2007"], ids=ascii)
def test_an_id_with_something_unseen_is_not_asked_for(cycle: Cycle, lineage: Lineage, filler: str) -> None:
    status, output = lineage.ask(cycle.project, "audit", "excluded", f"PAT-{filler}00023", "--since", cycle.moment)
    assert (status, f"U+{ord(filler):04X}" in output) == (2, True)


@pytest.mark.parametrize("subject", ["PAT-\u200d00023", "\u200dPAT", "PAT\u200d", "ب\u200cA"], ids=ascii)
def test_a_joiner_between_latin_letters_is_refused_offline(
    cycle: Cycle, certificate: Path, tmp_path: Path, subject: str
) -> None:
    document = json.loads(certificate.read_text())
    document["question"]["subjects"] = [subject]
    (tmp_path / "joined.json").write_text(json.dumps(sealed(document)))
    ((status, output),) = offline(cycle.project, tmp_path / "joined.json")
    assert (status, "can be no id" in output) == (1, True)
