"""SageMaker ML Lineage in memory: artifacts, actions, contexts, and which of them led to which.

https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-entities.html
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from .expressions import RefusedError

KINDS = ("Artifact", "Action", "Context")


class Entities:
    """One account's. Artifacts are one for each source, the others one for each name."""

    def __init__(self, region: str) -> None:
        self._base = f"arn:aws:sagemaker:{region}:123456789012:"
        self.found: dict[str, dict[str, Any]] = {}
        self.associations: list[dict[str, str]] = []

    def answer(self, action: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a call of SageMaker's; None if it is about something else. Raises RefusedError."""
        for kind in KINDS:
            if action == f"Create{kind}":
                return {f"{kind}Arn": self.create(kind, request)}
            if action == f"List{kind}s":
                return {f"{kind}Summaries": [each for each in self.found.values() if f"{kind}Arn" in each]}
        if action == "AddAssociation":
            return self.associate(request)
        if action == "ListAssociations":
            keys = [key for key in ("SourceArn", "DestinationArn") if key in request]
            found = [each for each in self.associations if all(each[key] == request[key] for key in keys)]
            return {"AssociationSummaries": found}
        return None

    def _arn(self, kind: str, request: dict[str, Any]) -> str:
        source = json.dumps(request["Source"], sort_keys=True)
        name = str(request.get(f"{kind}Name"))
        last = hashlib.md5(source.encode(), usedforsecurity=False).hexdigest() if kind == "Artifact" else name
        return f"{self._base}{kind.lower()}/{last}"

    def create(self, kind: str, request: dict[str, Any], *, reuse: bool = False) -> str:
        """Its ARN. Raises RefusedError if it is there, unless it is to be used again."""
        arn = self._arn(kind, request)
        if arn in self.found and not reuse:
            raise RefusedError(f"{kind} exists: {arn}")
        self.found.setdefault(arn, {**request, f"{kind}Arn": arn, "CreationTime": time.time()})
        return arn

    def associate(self, request: dict[str, str]) -> dict[str, Any]:
        """Raises RefusedError if one of the two is not there."""
        for key in ("SourceArn", "DestinationArn"):
            if request[key] not in self.found:
                raise RefusedError(f"no {request[key]}")
        if request not in self.associations:
            self.associations.append(request)
        return {key: request[key] for key in ("SourceArn", "DestinationArn")}

    def of_step(self, arguments: dict[str, Any], require: Callable[[str, str], None]) -> dict[str, Any]:
        """What a Lineage step asks for: an entity that is there is used again, siblings are named.

        `require` raises PermissionError where the role of the pipeline may not do something to a resource.
        """
        made: dict[str, dict[str, str]] = {}
        for kind in KINDS:
            asked = arguments.get(f"{kind}s") or []
            for each in asked:
                require(f"sagemaker:Create{kind}", self._arn(kind, each))
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
