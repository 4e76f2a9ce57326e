"""What `lineage aws ml-lineage` has left in SageMaker's ML Lineage: the chains of models that are nowhere any more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..base.errors import DispatchError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from .evidence import Needed
from .found import Found
from .left import Left, young
from .registered import IDENTITY

KINDS = ("artifact", "action", "context")


@dataclass(frozen=True)
class _Entity:
    kind: str
    name: str  # as its ARN has it
    arn: str
    said: dict[str, Any]
    edges: frozenset[tuple[str, str]]  # associations, as pairs of ARNs

    @property
    def others(self) -> set[str]:
        """What it is associated with."""
        return {arn for edge in self.edges for arn in edge} - {self.arn}

    @property
    def title(self) -> str:
        return str(self.said.get(f"{self.kind.capitalize()}Name") or self.name)


def entities(found: Found, needed: Needed, days: float) -> list[Left]:
    """Artifacts, actions and contexts that bear the tag.

    Of a model that is somewhere, all stays that led to it and all that came of it. So does what is associated with
    something that does not bear the tag, for that may be another project's chain.
    """
    ours = {entity.arn: entity for entity in _described(found)}
    why = {
        arn: _kept(found, needed, entity, ours) or young(entity.said.get("CreationTime"), days)
        for arn, entity in ours.items()
    }
    own = {arn: kept for arn, kept in why.items() if kept}
    kept = dict(own)
    for end in (0, 1):  # up to what led to it, down to what came of it
        todo, seen = list(own), set(own)
        while todo:
            arn = todo.pop()
            for reached in {edge[end] for edge in ours[arn].edges} & ours.keys() - seen:
                kept.setdefault(reached, "it belongs to a chain that stays")
                seen.add(reached)
                todo.append(reached)
    return [
        Left(entity.kind, entity.title, "nothing", kept.get(arn, ""), arn, tuple(" ".join(e) for e in entity.edges))
        for arn, entity in ours.items()
    ]


def _kept(found: Found, needed: Needed, entity: _Entity, ours: dict[str, _Entity]) -> str:
    """Why an entity stays by itself."""
    if stack := found.kept_by_stack(entity.kind, entity.name):
        return stack
    properties = entity.said.get("Properties") or {}
    if IDENTITY in properties and (why := needed.package(properties[IDENTITY])):
        return why
    if foreign := sorted(entity.others - ours.keys()):
        return f"it is associated with {foreign[0]}, which does not bear the tag"
    return ""


def _described(found: Found) -> list[_Entity]:
    seen = []
    for kind in KINDS:
        for name in found.names[kind]:
            arn = found.arns[kind, name]
            key = {"ArtifactArn": arn} if kind == "artifact" else {f"{kind.capitalize()}Name": name}
            said = found.described(kind, f"describe_{kind}", **key)
            if said is not None:
                seen.append(_Entity(kind, name, arn, said, _edges(found.aws, arn)))
    return seen


def _edges(aws: Aws, arn: str) -> frozenset[tuple[str, str]]:
    with translate_errors(DispatchError, f"could not list the associations of {arn}"):
        pages = aws.client("sagemaker").get_paginator("list_associations")
        return frozenset(
            (str(each["SourceArn"]), str(each["DestinationArn"]))
            for end in ("SourceArn", "DestinationArn")
            for page in pages.paginate(**{end: arn})
            for each in page["AssociationSummaries"]
        )


def delete_entity(aws: Aws, item: Left) -> None:
    """Deletes an entity and its associations: while it has some, AWS keeps it."""
    client = aws.client("sagemaker")
    for edge in item.addresses:
        source, _, destination = edge.partition(" ")
        with suppress(client.exceptions.ResourceNotFound):  # it went with the other end
            client.delete_association(SourceArn=source, DestinationArn=destination)
    if item.kind == "artifact":
        client.delete_artifact(ArtifactArn=item.arn)
    elif item.kind == "action":
        client.delete_action(ActionName=item.arn.rpartition("/")[2])
    else:
        client.delete_context(ContextName=item.arn.rpartition("/")[2])
