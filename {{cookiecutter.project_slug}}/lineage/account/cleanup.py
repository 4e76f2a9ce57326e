"""`lineage aws cleanup`: what this project left in the account, and deleting what nobody needs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..base.errors import DispatchError, ServingError
from ..base.translated import translate_errors
from ..compute.sagemaker.aws import Aws
from ..compute.sagemaker.settings import SageMakerSettings
from ..dvc.dvcfile import PARAMS_FILE
from ..dvc.remote import read_config
from ..proof.case import Evidence
from ..serving.endpoint import endpoint_name
from ..settings import load_settings
from ..settings.params import Settings
from .below import Uses, below_prefix
from .evidence import Needed
from .found import Found
from .jobs import OF_PIPELINES, of_jobs
from .kept import answers, captured
from .left import Also, Left, below
from .logs import of_endpoints, of_transforms
from .ml_lineage import delete_entity, entities
from .prices import Prices, read_prices
from .registered import GOING_ON, apps, packages, pipelines
from .serving import serving
from .stored import delete_objects


@dataclass(frozen=True)
class Plan:
    """What is left, by the account and region that were asked."""

    account: str
    region: str
    project_id: str
    left: list[Left]
    unseen: list[str]  # what is named by its tag, and cannot be looked at: gone a moment ago, or not allowed
    prices: Prices  # of that region

    @property
    def going(self) -> list[Left]:
        """What nobody needs, in the order in which it can be deleted."""
        return [item for item in self.left if item.goes]


def plan(evidence: Evidence, days: float, also: Collection[Also] = (), prices: Path | None = None) -> tuple[Aws, Plan]:
    """What is left. What is of the last `days` days stays; so does what somebody asked for, but for `also`.

    `prices` is a table in place of this project's. Raises DispatchError where AWS cannot say, LineageError if that is
    no table.
    """
    settings = load_settings(evidence.root / PARAMS_FILE)
    if not SageMakerSettings.of(settings).bucket:
        raise DispatchError("compute.sagemaker.bucket is not set, so no job of this project has left anything there.")
    aws = Aws.of(settings)
    known = read_prices(aws.region, prices)
    found, needed = Found(aws, evidence.project_id, known), Needed(evidence)
    # the remotes are no litter, wherever they lie
    remotes = [str(section["url"]) for section in read_config(evidence.root)["remote"].values() if section.get("url")]
    protected = tuple(url for url in remotes if url.startswith("s3://"))
    served, archives = serving(found, needed, days)
    registered, files = packages(found, needed, days)
    runnable, definitions = pipelines(found, days)
    staying = frozenset(each.name for each in runnable if not each.goes)
    stay = bool(found.unseen["pipeline"]) or bool(staying)
    jobs_left = of_jobs(found, protected, days, pipelines_stay=stay)
    chains = entities(found, needed, days)
    asked_for = [*answers(found, also, days), *captured(found, evidence, also, days)]
    places = [address for item in (*jobs_left, *asked_for) for address in item.addresses]
    unseen = [f"{kind} {name}" for kind, names in found.unseen.items() for name in dict.fromkeys(names)]
    is_going_on = any(each.kept.startswith(GOING_ON) for each in runnable)
    uses = Uses(archives | files, definitions, is_going_on, tuple(unseen), staying, _executions(found))
    left = [*served, *registered, *chains, *apps(found), *runnable, *jobs_left]
    left += [*of_endpoints(found, served, _usual(settings)), *of_transforms(found, days)]
    left += [_without(item, protected) for item in asked_for]
    left += below_prefix(found, uses, places, protected, days)
    return aws, Plan(aws.account or "unknown", aws.region, evidence.project_id, left, unseen, known)


def _usual(settings: Settings) -> str:
    """What `lineage deploy` calls an endpoint that nobody names; empty if the settings have no name for it."""
    with suppress(ServingError):
        return endpoint_name(settings)
    return ""


def _executions(found: Found) -> frozenset[str]:
    """The ids of executions of pipelines, by the names that SageMaker gives their jobs."""
    names = [*found.names["training-job"], *found.names["processing-job"]]
    return frozenset(match[1] for name in names if (match := re.match(rf"{OF_PIPELINES}([a-z0-9]+)-", name)))


def _without(item: Left, protected: tuple[str, ...]) -> Left:
    """A thing that stays if it lies where a DVC remote does."""
    if any(below(protected, address) for address in item.addresses):
        return replace(item, kept="a DVC remote lies there")
    return item


def execute(aws: Aws, wanted: Plan) -> Iterator[tuple[Left, str]]:
    """Deletes what goes, one after the other. Yields each with why it could not be deleted; empty if it is gone."""
    for item in wanted.going:
        try:
            with translate_errors(DispatchError, f"could not delete {item.kind} {item.name}"):
                DELETE[item.kind](aws, item)
            yield item, ""
        except DispatchError as error:
            yield item, str(error)


def _log(aws: Aws, item: Left) -> None:
    for name in item.addresses:
        group, _, stream = name.partition(":")
        aws.client("logs").delete_log_stream(logGroupName=group, logStreamName=stream)


DELETE: dict[str, Callable[[Aws, Left], Any]] = {
    "endpoint": lambda aws, item: aws.client("sagemaker").delete_endpoint(EndpointName=item.name),
    "endpoint-config": lambda aws, item: aws.client("sagemaker").delete_endpoint_config(EndpointConfigName=item.name),
    "model": lambda aws, item: aws.client("sagemaker").delete_model(ModelName=item.name),
    "model-package": lambda aws, item: aws.client("sagemaker").delete_model_package(ModelPackageName=item.arn),
    "model-package-group": lambda aws, item: aws.client("sagemaker").delete_model_package_group(
        ModelPackageGroupName=item.name
    ),
    **dict.fromkeys(("artifact", "action", "context"), delete_entity),
    "pipeline": lambda aws, item: aws.client("sagemaker").delete_pipeline(PipelineName=item.name),
    "log": _log,
    **dict.fromkeys(("objects", "answers", "captured"), delete_objects),
}
