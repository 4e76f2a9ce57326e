"""SageMaker ML Lineage in memory: artifacts, actions, contexts, which of them led to which, and questions about that.

https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-entities.html
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.core.resource_tagging import TaggedResource
from moto.sagemaker.models import sagemaker_backends

from . import limits
from .expressions import RefusedError
from .registry import page

KINDS = ("Artifact", "Action", "Context")
PAGE = 100
SHOWN = ("Name", "Arn", "Type")
WAYS = {"Ascendants": ("DestinationArn", "SourceArn"), "Descendants": ("SourceArn", "DestinationArn")}
Entity = dict[str, Any]


class NotFoundError(RefusedError):
    """What the service answers with ResourceNotFound."""


class Entities:
    """One account's. Artifacts are one for each SourceUri, the others one for each name."""

    def __init__(self, region: str) -> None:
        self._base = f"arn:aws:sagemaker:{region}:{DEFAULT_ACCOUNT_ID}:"
        self.found: dict[str, Entity] = {}
        self.associations: list[dict[str, Any]] = []
        self._calls: dict[str, Callable[[Entity], dict[str, Any]]] = {
            "AddAssociation": self.associate,
            "DeleteAssociation": self._dissociate,
            "ListAssociations": self._list_associations,
            "QueryLineage": self._query,
        }
        for kind in KINDS:
            self._calls[f"Create{kind}"] = partial(self._create, kind)
            self._calls[f"Describe{kind}"] = partial(self._described, kind)
            self._calls[f"Delete{kind}"] = partial(self._delete, kind)
            self._calls[f"List{kind}s"] = partial(self._list, kind)
        backend = sagemaker_backends[DEFAULT_ACCOUNT_ID][region]
        of_moto = backend.iter_tagged_resources  # the tagging API asks this for all that has a tag

        def with_entities() -> Iterator[TaggedResource]:
            yield from of_moto()
            for arn, each in list(self.found.items()):
                yield TaggedResource(arn, _tags(each), f"sagemaker:{arn.split(':')[5].partition('/')[0]}")

        backend.iter_tagged_resources = with_entities  # type: ignore[method-assign]

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call; None if it is about something else. Raises RefusedError, NotFoundError."""
        if action == "ListTags" and request["ResourceArn"] in self.found:
            return {"Tags": self.found[request["ResourceArn"]].get("Tags") or []}
        if action not in self._calls:
            return None
        limits.check(action, request)
        return self._calls[action](request)

    def _create(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        return {f"{kind}Arn": self.create(kind, request)}

    def _new_arn(self, kind: str, request: dict[str, Any]) -> str:
        """That of an entity that is to be made."""
        name = str(request.get(f"{kind}Name"))
        source = str(request["Source"]["SourceUri"])
        last = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest() if kind == "Artifact" else name
        return f"{self._base}{kind.lower()}/{last}"

    def create(self, kind: str, request: dict[str, Any], *, reuse: bool = False) -> str:
        """Its ARN. Raises RefusedError if it is there, unless it is to be used again."""
        arn = self._new_arn(kind, request)
        if arn in self.found and not reuse:
            raise RefusedError(f"{kind} exists: {arn}")
        self.found.setdefault(arn, {**request, f"{kind}Arn": arn, "CreationTime": time.time()})
        return arn

    def associate(self, request: dict[str, Any]) -> dict[str, Any]:
        """Raises NotFoundError if one of the two is not there."""
        ends = {key: request[key] for key in ("SourceArn", "DestinationArn")}
        for arn in ends.values():
            self._known(arn)
        if not any(all(each[key] == ends[key] for key in ends) for each in self.associations):
            self.associations.append({**request, "CreationTime": time.time()})
        return ends

    def of_step(self, arguments: dict[str, Any], require: Callable[[str, str], None]) -> dict[str, Any]:
        """What a Lineage step asks for: an entity that is there is used again, siblings are named.

        `require` raises PermissionError where the role of the pipeline may not do something to a resource.
        """
        made: dict[str, dict[str, str]] = {}
        for kind in KINDS:
            asked = arguments.get(f"{kind}s") or []
            for each in asked:
                require(f"sagemaker:Create{kind}", self._new_arn(kind, each))
            made[kind] = {each[f"{kind}Name"]: self.create(kind, each, reuse=True) for each in asked}
        for each in arguments.get("Associations") or []:
            ends = {
                f"{end}Arn": each[end].get("Arn") or made[each[end]["Type"]][each[end]["Name"]]
                for end in ("Source", "Destination")
            }
            for arn in ends.values():
                require("sagemaker:AddAssociation", arn)
            self.associate({**ends, "AssociationType": each["AssociationType"]})
        return {f"{kind}Arns": arns for kind, arns in made.items()}

    def tags_of(self, arn: str) -> dict[str, str]:
        """The tags of an entity; none if there is none."""
        return _tags(self.found.get(arn) or {})

    def _known(self, arn: str) -> Entity:
        if arn not in self.found:
            raise NotFoundError(f"{arn} does not exist.")
        return self.found[arn]

    def _arn(self, kind: str, request: dict[str, Any]) -> str:
        """That of an entity that is asked for, by name or ARN."""
        name = str(request.get(f"{kind}Arn") or request.get(f"{kind}Name"))
        return name if name.startswith("arn:") else f"{self._base}{kind.lower()}/{name}"

    def _described(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in self._known(self._arn(kind, request)).items() if key != "Tags"}

    def _delete(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        arn = self._arn(kind, request)
        self._known(arn)
        if any(arn in (each["SourceArn"], each["DestinationArn"]) for each in self.associations):
            raise RefusedError(f"{arn} has associations: delete them first.")
        del self.found[arn]
        return {f"{kind}Arn": arn}

    def _dissociate(self, request: dict[str, Any]) -> dict[str, Any]:
        ends = {key: request[key] for key in ("SourceArn", "DestinationArn")}
        kept = [each for each in self.associations if any(each[key] != ends[key] for key in ends)]
        if len(kept) == len(self.associations):
            raise NotFoundError("there is no such association")
        self.associations = kept
        return ends

    def _list(self, kind: str, request: dict[str, Any]) -> dict[str, Any]:
        keys = [*(f"{kind}{part}" for part in SHOWN), "Source", "CreationTime", "Status"]
        found = [
            {key: each[key] for key in keys if key in each}
            for each in self.found.values()
            if f"{kind}Arn" in each
            and request.get("SourceUri") in (None, each["Source"]["SourceUri"])
            and request.get(f"{kind}Type") in (None, each[f"{kind}Type"])
        ]
        return page(f"{kind}Summaries", found, request, PAGE)

    def _list_associations(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = [key for key in ("SourceArn", "DestinationArn", "AssociationType") if key in request]
        found = [each for each in self.associations if all(each.get(key) == request[key] for key in keys)]
        return page("AssociationSummaries", found, request, PAGE)

    def _query(self, request: dict[str, Any]) -> dict[str, Any]:
        """Who is reached from the first within so many steps, by the way that is asked for: never there and back."""
        [start] = request["StartArns"]
        self._known(start)
        way = request.get("Direction", "Both")
        reached: dict[str, int] = {}
        edges: list[dict[str, Any]] = []
        for here, there in (ends for name, ends in WAYS.items() if way in (name, "Both")):
            todo, seen = [(start, 0)], {start}
            while todo:
                arn, steps = todo.pop(0)
                for each in self.associations if steps < request.get("MaxDepth", 10) else []:
                    if each[here] != arn:
                        continue
                    edges += [each] if each not in edges else []
                    if each[there] not in seen:
                        seen.add(each[there])
                        reached.setdefault(each[there], steps + 1)
                        todo.append((each[there], steps + 1))
        wanted = request.get("Filters") or {}
        vertices = [vertex for arn in reached if _fits(vertex := self._vertex(arn), wanted)]
        answer = page("Vertices", vertices, request, 50)
        shown = [
            {key: each[key] for key in ("SourceArn", "DestinationArn", "AssociationType") if key in each}
            for each in edges
        ]
        return {**answer, "Edges": shown if request.get("IncludeEdges", True) else []}

    def _vertex(self, arn: str) -> dict[str, Any]:
        kind = next(kind for kind in KINDS if f"{kind}Arn" in self.found[arn])
        return {"Arn": arn, "Type": self.found[arn][f"{kind}Type"], "LineageType": kind}


def _fits(vertex: dict[str, Any], wanted: dict[str, Any]) -> bool:
    types, kinds = wanted.get("Types"), wanted.get("LineageTypes")
    return (not types or vertex["Type"] in types) and (not kinds or vertex["LineageType"] in kinds)


def _tags(entity: Entity) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in entity.get("Tags") or []}
