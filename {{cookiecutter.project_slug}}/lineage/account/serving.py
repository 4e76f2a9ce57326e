"""Endpoints, their configurations and models: what serves, and what is left of it."""

from __future__ import annotations

from typing import Any

from .evidence import Needed
from .found import UNDER_WAY, Found
from .left import Left, age, young
from .prices import HOURS

STEADY = ("InService", "Failed", "OutOfService")


def serving(found: Found, needed: Needed, days: float) -> tuple[list[Left], frozenset[str]]:
    """What there is of endpoints, and the archives that models which stay read. A configuration stays with the
    endpoint that uses it, a model with that."""
    left, configs, models = [], set[str](), set[str]()
    for name in found.names["endpoint"]:
        said = found.described("endpoint", "describe_endpoint", EndpointName=name)
        if said is None:
            continue
        kept = found.kept_by_stack("endpoint", name) or _why(said, needed, found.tags["endpoint", name], days)
        config = str(said.get("EndpointConfigName") or "")
        if kept:
            configs.add(config.lower())
        called = str(said["EndpointName"])
        cost, usd = _hours(found, said, config)
        left.append(Left("endpoint", called, cost, kept, str(said["EndpointArn"]), usd_month=usd))
    for name in found.names["endpoint-config"]:
        said = found.described("endpoint-config", "describe_endpoint_config", EndpointConfigName=name)
        if said is None:
            continue
        kept = (
            found.kept_by_stack("endpoint-config", name)
            or _used(name in configs, "an endpoint that stays uses it", found.unseen["endpoint"])
            or young(said.get("CreationTime"), days)  # a deployment that goes on has made it, and no endpoint yet
        )
        if kept:
            models |= {str(variant["ModelName"]).lower() for variant in said.get("ProductionVariants") or []}
        left.append(
            Left("endpoint-config", str(said["EndpointConfigName"]), "nothing", kept, str(said["EndpointConfigArn"]))
        )
    of_models, archives = _models(found, models | _of_transforms(found), days)
    return left + of_models, archives


def _why(said: dict[str, Any], needed: Needed, tags: dict[str, str], days: float) -> str:
    name, status = str(said["EndpointName"]), str(said["EndpointStatus"])
    if status not in STEADY:
        return f"it is {status}"
    changed = said.get("LastModifiedTime") or said.get("CreationTime")
    return needed.endpoint(name, status, tags) or young(changed, days, "it was made or changed")


def _used(is_used: bool, why: str, unseen: list[str]) -> str:
    """Why something stays; also where nobody could see whether it is used."""
    return why if is_used else f"{unseen[0]}, which cannot be looked at, may use it" if unseen else ""


def _hours(found: Found, said: dict[str, Any], config: str) -> tuple[str, float | None]:
    """What an endpoint has run for, in hours of instances, and a month of it: it is billed while it is there."""
    seen = found.described("endpoint-config", "describe_endpoint_config", EndpointConfigName=config) if config else None
    wanted = seen or {}
    kinds = {str(one["VariantName"]): str(one.get("InstanceType")) for one in wanted.get("ProductionVariants") or []}
    hours = age(said.get("CreationTime")) / 3600
    parts, instances = [], []
    for variant in said.get("ProductionVariants") or []:
        count = int(variant.get("CurrentInstanceCount") or variant.get("DesiredInstanceCount") or 1)
        kind = kinds.get(str(variant["VariantName"]), "instance")
        instances.append((kind, count))
        parts.append(f"{count} x {kind}, {count * hours:.1f} instance hours by now")
    usd = found.prices.running(instances)
    if usd is not None:
        parts.append(f"${usd / HOURS * hours:,.2f} by now")
    return "; ".join(parts) or "billed by the hour", usd


def _of_transforms(found: Found) -> set[str]:
    """The models of batch transforms that go on."""
    going_on = (said for said in found.transforms if said["TransformJobStatus"] in UNDER_WAY)
    return {str(said["ModelName"]).lower() for said in going_on}


def _models(found: Found, used: set[str], days: float) -> tuple[list[Left], frozenset[str]]:
    left, archives = [], set[str]()
    for name in found.names["model"]:
        said = found.described("model", "describe_model", ModelName=name)
        if said is None:
            continue
        unseen = [*found.unseen["endpoint"], *found.unseen["endpoint-config"], *found.unseen["transform-job"]]
        kept = (
            found.kept_by_stack("model", name)
            or _used(name in used, "a configuration or a job that stays uses it", unseen)
            or young(said.get("CreationTime"), days)
        )
        left.append(Left("model", str(said["ModelName"]), "nothing", kept, str(said["ModelArn"])))
        if kept:
            archives.add(str((said.get("PrimaryContainer") or {}).get("ModelDataUrl") or ""))
    return left, frozenset(archives)
