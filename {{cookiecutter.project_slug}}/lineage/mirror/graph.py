"""Artifacts, actions and associations in SageMaker's ML Lineage: made where they are missing, and asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..base.errors import MirrorError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.tags import as_tags
from ..dvc.hashes import plain_md5
from .chain import Edge, Node

Direction = Literal["Ascendants", "Descendants"]
DEPTH = 10  # steps that one question goes
ENDS = {"Ascendants": ("DestinationArn", "SourceArn"), "Descendants": ("SourceArn", "DestinationArn")}


@dataclass
class Synced:
    """What is there now, and what of it is new."""

    nodes: dict[Node, str] = field(default_factory=dict)  # ARN; empty if it would be made
    made: list[str] = field(default_factory=list)  # names
    edges: int = 0
    new_edges: int = 0


@dataclass(frozen=True)
class Vertex:
    """What a question has found."""

    arn: str
    kind: str
    type: str
    name: str
    source: str
    properties: dict[str, str]


class Graph:
    """The ML Lineage of one account and region. Raises MirrorError whatever AWS or the network say."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws

    @property
    def _client(self) -> Any:
        return self._aws.client("sagemaker")

    def sync(self, edges: Iterable[Edge], *, dry_run: bool = False) -> Synced:
        """Makes what is missing of these, with both ends. What is there already stays as it is."""
        done, known = Synced(), dict[str, set[tuple[str, str]]]()
        for edge in dict.fromkeys(edges):
            ends = [self._ensure(node, done, dry_run=dry_run) for node in (edge.source, edge.destination)]
            done.edges += 1
            action = next(arn for arn, node in zip(ends, (edge.source, edge.destination), strict=True) if _is_key(node))
            if action not in known:
                known[action] = self._associations(action) if action else set()
            if (ends[0], ends[1]) in known[action] and all(ends):
                continue
            done.new_edges += 1
            if not dry_run:
                with translate_errors(
                    MirrorError, f"could not associate {edge.source.name} and {edge.destination.name}"
                ):
                    self._client.add_association(SourceArn=ends[0], DestinationArn=ends[1], AssociationType=edge.type)
        return done

    def _ensure(self, node: Node, done: Synced, *, dry_run: bool) -> str:
        if node not in done.nodes:
            look = self._find_artifact if node.kind == "Artifact" else self._find_action
            arn = look(node)
            if arn is None:
                done.made.append(node.name)
                arn = "" if dry_run else self._make(node, look)
            done.nodes[node] = arn
        return done.nodes[node]

    def _make(self, node: Node, look: Callable[[Node], str | None]) -> str:
        source: dict[str, Any] = {"SourceUri": node.source}
        if node.md5:
            source["SourceTypes"] = [{"SourceIdType": "MD5Hash", "Value": plain_md5(node.md5)}]
        if node.source_id:
            source |= {"SourceType": "dvc.lock", "SourceId": node.source_id}
        asked = {"Source": source, "Properties": node.properties, "Tags": as_tags(self._aws.tags)}
        asked = {**asked, f"{node.kind}Name": node.name, f"{node.kind}Type": node.type}
        with translate_errors(
            MirrorError, f"could not make the {node.kind.lower()} {node.name} in SageMaker's ML Lineage"
        ):
            try:
                if node.kind == "Artifact":
                    return str(self._client.create_artifact(**asked)["ArtifactArn"])
                return str(self._client.create_action(**asked, Status="Completed")["ActionArn"])
            except self._client.exceptions.ClientError:
                found = look(node)  # somebody else has made it meanwhile
                if found is None:
                    raise
                return found

    def _find_artifact(self, node: Node) -> str | None:
        """The artifact of this address. Raises MirrorError if it says that it is of another hash."""
        found = self.artifact(node.source)
        if found is None:
            return None
        stated = {
            each["Value"] for each in found["Source"].get("SourceTypes") or [] if each["SourceIdType"] == "MD5Hash"
        }
        if node.md5 and stated and plain_md5(node.md5) not in stated:
            raise MirrorError(
                f"{found['ArtifactArn']} says of {node.source} that its MD5 is {', '.join(sorted(stated))}."
            )
        return str(found["ArtifactArn"])

    def artifact(self, source: str) -> dict[str, Any] | None:
        """The artifact of an address, as AWS lists it."""
        with translate_errors(MirrorError, f"could not look for {source} in SageMaker's ML Lineage"):
            pages = self._client.get_paginator("list_artifacts").paginate(SourceUri=source)
            return next((dict(each) for page in pages for each in page["ArtifactSummaries"]), None)

    def _find_action(self, node: Node) -> str | None:
        with translate_errors(MirrorError, f"could not look for the action {node.name} in SageMaker's ML Lineage"):
            try:
                return str(self._client.describe_action(ActionName=node.name)["ActionArn"])
            except self._client.exceptions.ResourceNotFound:
                return None

    def _associations(self, arn: str) -> set[tuple[str, str]]:
        """What an entity is associated with, in both directions."""
        with translate_errors(MirrorError, f"could not list the associations of {arn}"):
            pages = self._client.get_paginator("list_associations")
            return {
                (str(each["SourceArn"]), str(each["DestinationArn"]))
                for end in ("SourceArn", "DestinationArn")
                for page in pages.paginate(**{end: arn})
                for each in page["AssociationSummaries"]
            }

    def reached(self, arn: str, direction: Direction) -> list[Vertex]:
        """All that led to an entity, or came of it, nearest first, however far it is."""
        here, there = ENDS[direction]
        far: dict[str, int] = {arn: 0}
        todo = [arn]
        while todo:
            start = todo.pop(0)
            steps, edges = {start: 0}, self._edges(start, direction)
            for _ in range(DEPTH):
                for edge in edges:
                    if edge[here] in steps:
                        steps.setdefault(edge[there], steps[edge[here]] + 1)
            for each, distance in steps.items():
                if each not in far:
                    far[each] = far[start] + distance
                    todo += [each] if distance >= DEPTH else []  # one question ends there
        return [self.look(each) for each in sorted(far, key=lambda one: far[one]) if each != arn]

    def _edges(self, arn: str, direction: Direction) -> list[dict[str, str]]:
        asked: dict[str, Any] = {"StartArns": [arn], "Direction": direction, "IncludeEdges": True, "MaxDepth": DEPTH}
        edges: list[dict[str, str]] = []
        with translate_errors(MirrorError, f"could not ask SageMaker's ML Lineage about {arn}"):
            while True:  # boto3 has no paginator for it
                page = self._client.query_lineage(**asked)
                edges += page.get("Edges") or []
                if not page.get("NextToken"):
                    return edges
                asked["NextToken"] = page["NextToken"]

    def look(self, arn: str) -> Vertex:
        """What there is to say of an entity."""
        kind = arn.split(":")[5].partition("/")[0]
        with translate_errors(MirrorError, f"could not look at {arn}"):
            if kind == "artifact":
                said = self._client.describe_artifact(ArtifactArn=arn)
            elif kind == "action":
                said = self._client.describe_action(ActionName=arn.rpartition("/")[2])
            else:  # of others: a job of SageMaker's, a context
                return Vertex(arn, kind, "", arn.rpartition("/")[2], "", {})
        part = kind.capitalize()
        name, source = str(said.get(f"{part}Name") or ""), str((said.get("Source") or {}).get("SourceUri") or "")
        return Vertex(arn, kind, str(said.get(f"{part}Type") or ""), name, source, dict(said.get("Properties") or {}))


def _is_key(node: Node) -> bool:
    """Whether associations are looked up by it: each has an action at one end, or ends in a package."""
    return node.kind == "Action" or node.type == "ModelPackage"
