"""What a package of SageMaker's Model Registry is called, holds and is approved by; how its lineage names things."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from scans.settings import Settings

from lineage.base.errors import MirrorError
from lineage.compute.sagemaker.lineage_sources import of_commit, of_object
from lineage.compute.sagemaker.settings import SageMakerSettings
from lineage.judgement.follow_up import Result
from lineage.judgement.promote import NOT_FOLLOWED, Outcome
from lineage.mirror.approval import approval_of
from lineage.mirror.graph import Graph
from lineage.mirror.group import group_name
from lineage.mirror.package import FITS
from lineage.proof.decision import Asked, Document, Version
from lineage.proof.decisions import Decision, Line

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def settings(params: dict[str, Any], **registry: Any) -> Settings:
    params = copy.deepcopy(params)
    params["compute"]["sagemaker"]["registry"] |= registry
    return Settings.model_validate(params)


def named(params: dict[str, Any], **registry: Any) -> str:
    made = settings(params, **registry)
    return group_name(made, SageMakerSettings.of(made))


def test_a_group_is_the_project_s_own(params: dict[str, Any]) -> None:
    params |= {"project_id": "1f2e3d4c-5b6a"}
    params["tracking"]["model_name"] = "Scans of the chest (v2)"
    assert named(params) == "Scans-of-the-chest-v2-1f2e3d4c"
    params["tracking"]["model_name"] = "x" * 80
    assert named(params) == f"{'x' * 54}-1f2e3d4c"
    assert named(params, group="team-models") == "team-models"


@pytest.mark.parametrize("group", ["scans-0a1b2c", "scans-ffffff"])
def test_a_group_as_mlflow_apps_name_them_is_refused(params: dict[str, Any], group: str) -> None:
    params["tracking"]["model_name"] = "scans"
    with pytest.raises(MirrorError, match="an MLflow app of SageMaker's"):
        named(params, group=group)
    assert named(params, group=f"{group}0") == f"{group}0"


def version(number: int) -> Version:
    name = f"{number:x}"
    return Version(
        number=str(number), identity=name * 64, weights=name * 64, dataset=f"{name * 32}.dir", commit=name * 40
    )


def decided(*steps: tuple[str, int | None]) -> Line:
    """The decisions that gave the alias to these versions."""
    line = Line("scans", "champion")
    for number, (kind, to) in enumerate(steps, start=1):
        document = Document.model_validate(
            {
                "project_id": "p1",
                "model": "scans",
                "alias": "champion",
                "number": number,
                "previous": None,
                "kind": kind,
                "version": None if to is None else version(to),
                "before": line.now,
                "by": "Tester <tester@example.org>",
                "at": datetime(2026, 1, 31, tzinfo=UTC),
                "reason": "it was wrong" if kind == "demote" else "",
                "gates": [],
                "accepted": [],
                "asked": Asked(sha256="0" * 64, settings={}),
                "framework": "1",
            }
        )
        line.decisions.append(Decision(document, document.path, f"{number:x}" * 64, COMMIT, is_here=True))
    return line


@pytest.mark.parametrize(
    ("steps", "statuses"),
    [
        ([], "pending pending pending"),
        ([("promote", 1)], "approved pending pending"),
        ([("promote", 1), ("promote", 2)], "pending approved pending"),
        ([("promote", 1), ("promote", 2), ("demote", 1)], "approved rejected pending"),
        ([("promote", 1), ("promote", 2), ("demote", 1), ("promote", 3)], "pending rejected approved"),
        ([("promote", 2), ("demote", None)], "pending rejected pending"),
        ([("promote", 2), ("demote", None), ("promote", 2)], "pending approved pending"),
        ([("promote", 1), ("promote", 3), ("promote", 1)], "approved pending pending"),
    ],
)
def test_who_has_the_alias_is_approved_and_nobody_else(steps: list[Any], statuses: str) -> None:
    line = decided(*steps)
    words = {"approved": "Approved", "rejected": "Rejected", "pending": "PendingManualApproval"}
    found = [approval_of(line, str(number), f"{number:x}" * 64).status for number in (1, 2, 3)]
    assert found == [words[word] for word in statuses.split()]
    # another model under the number, as in a registry that was made again
    assert approval_of(line, "1", "f" * 64).status == approval_of(line, "2", "f" * 64).status == words["pending"]


def test_why_is_said_with_the_decision() -> None:
    line = decided(("promote", 1), ("promote", 2), ("demote", 1))
    back = approval_of(line, "2", "2" * 64)
    assert back.text == "not champion any more by promotions/scans/champion-0003.json: it was wrong"
    assert back.metadata == {
        "approval": "Rejected",
        "decision": "promotions/scans/champion-0003.json",
        "decision_sha256": "3" * 64,
    }
    assert approval_of(line, "1", "1" * 64).decision == "promotions/scans/champion-0003.json"


@pytest.mark.parametrize("text", ["abc", "s3://b/a=1+2:x@y-z_ü", "a b", "x" * 256])
def test_the_registry_takes_it(text: str) -> None:
    """CustomerMetadataValue: 1 to 256 letters, numbers, blanks and a few signs."""
    assert FITS.fullmatch(text)


@pytest.mark.parametrize("text", ["x" * 257, "", "a?b", "a%2F", "a\nb", "a\tb", "a(b)"])
def test_the_registry_does_not_take_it(text: str) -> None:
    assert not FITS.fullmatch(text)


def test_addresses_mean_something_to_others() -> None:
    md5 = f"{'ab' * 16}.dir"
    assert of_object("s3://bucket/dvc/", md5) == f"s3://bucket/dvc/files/md5/ab/{md5[2:]}"
    for url in ("https://host/a.git", "git@host:a/b.git", "ssh://host/a"):
        assert of_commit(url, COMMIT) == f"{url}#{COMMIT}"
    for folder in (None, "/home/ada/a.git", "../a.git", "file:///home/ada/a.git"):
        assert of_commit(folder, COMMIT) == f"git:{COMMIT}"


class Long:
    """A chain that is longer than one question goes, as AWS answers about it."""

    def __init__(self, length: int) -> None:
        self.length, self.asked = length, 0

    def client(self, _: str) -> Any:
        return SimpleNamespace(query_lineage=self._query)

    def _query(self, *, StartArns: list[str], MaxDepth: int, **_: Any) -> dict[str, Any]:  # noqa: N803  as boto3 has it
        self.asked += 1
        first = int(StartArns[0].rpartition("/")[2])
        last = min(first + MaxDepth, self.length)
        ends = [(name(number), name(number + 1)) for number in range(first, last)]
        return {"Edges": [{"SourceArn": source, "DestinationArn": end} for source, end in ends]}


def name(number: int) -> str:
    return f"arn:aws:sagemaker:r:1:context/{number}"


@pytest.mark.parametrize(("length", "asked"), [(3, 1), (10, 2), (11, 2), (35, 4)])
def test_a_question_goes_as_far_as_there_is_something(length: int, asked: int) -> None:
    chain = Long(length)
    found = Graph(chain).reached(name(0), "Descendants")  # type: ignore[arg-type]
    assert [vertex.arn for vertex in found] == [name(number) for number in range(1, length + 1)]
    assert chain.asked == asked


def test_a_decision_is_what_it_is_whatever_follows_it() -> None:
    done, missed = Result("x", is_done=True), Result("y", is_done=False, fix="again")
    outcome = Outcome("models:/scans/2", "champion", "promoted", "")
    assert (outcome.is_settled, outcome.model, outcome.status) == (True, "scans", 0)
    assert Outcome("models:/scans@champion", "champion", "demoted", "").model == "scans"
    statuses = {"promoted": NOT_FOLLOWED, "as it was": NOT_FOLLOWED, "refused": 1, "inconclusive": 2}
    for verdict, status in statuses.items():
        made = Outcome("models:/scans/2", "champion", verdict, "", follow_ups=[done, missed])  # type: ignore[arg-type]
        assert made.status == status
    assert Outcome("models:/scans/2", "champion", "promoted", "", follow_ups=[done]).status == 0
    assert not Outcome("models:/scans/2", "champion", "would be promoted", "").is_settled
