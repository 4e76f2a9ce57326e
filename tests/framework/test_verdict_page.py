"""The verdict as a page: whoever reads it without help learns what was asked, the answer, and what it does not say."""

from __future__ import annotations

from pathlib import Path

from lineage.proof.verdict_page import write_verdicts
from lineage.proof.verify import ATTESTATION, LIMITS, NOT_ATTESTED, Link, Verdict

LINKS = (
    Link("version", "PASS", "26 of 26 properties and tags are those of lineage.json.", 26),
    Link("DVC remote", "FAIL", "1 of 43: <b>an object</b> is missing.", 43, ("gone",), "`dvc pull` brings it back"),
)


def page(tmp_path: Path, *verdicts: Verdict) -> str:
    write_verdicts(list(verdicts), "models:/scans/3", "sqlite:///mlflow.db", tmp_path / "verdict.html")
    return (tmp_path / "verdict.html").read_text()


def test_it_says_what_was_asked_the_answer_how_to_check_it_and_what_it_does_not_say(tmp_path: Path) -> None:
    text = page(tmp_path, Verdict("models:/scans/3", LINKS))
    parts = ("What was asked", "The answer", "How it can be checked", "What it does not say")
    assert [text.index(f"<h2>{part}</h2>") for part in parts] == sorted(
        text.index(f"<h2>{part}</h2>") for part in parts
    )
    assert "FAIL: records of this model contradict each other, or bytes are missing or changed." in text
    assert "What to do now: <code>dvc pull</code> brings it back" in text
    assert "1 of 43: &lt;b&gt;an object&lt;/b&gt; is missing." in text
    assert LIMITS.split("(")[0] in text


def test_an_attestation_is_spoken_of_only_where_it_holds(tmp_path: Path) -> None:
    others = "others check it with their own tools"
    assert others not in page(tmp_path, Verdict("models:/scans/3", LINKS))
    assert others not in page(tmp_path, Verdict("models:/scans/3", (Link(ATTESTATION, "FAIL", "a fault", 3),)))
    assert others in page(tmp_path, Verdict("models:/scans/3", (Link(ATTESTATION, "PASS", "all hold", 3),)))
    assert "no branch or tag here has an attestation" in page(tmp_path, Verdict("m", LINKS, (NOT_ATTESTED,)))


def test_where_mlflow_was_not_asked_it_says_so(tmp_path: Path) -> None:
    text = page(tmp_path, Verdict("lineage.json", LINKS[:1], asks_mlflow=False))
    assert "PASS: what Git and DVC record of this model agrees" in text
    assert "MLflow, and the files registered there, were not looked at." in text
    assert "Git, DVC and MLflow" not in text


def test_it_can_be_printed_and_needs_no_network(tmp_path: Path) -> None:
    text = page(tmp_path, Verdict("models:/scans/3", LINKS[:1]))
    assert "@media print" in text
    assert "@page" in text
    assert not any(word in text for word in ("<script", "http://", "https://", "src="))


def test_without_a_model_it_says_so(tmp_path: Path) -> None:
    assert "No model of this project belongs to it." in page(tmp_path)
