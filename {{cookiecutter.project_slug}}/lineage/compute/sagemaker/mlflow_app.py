"""MLflow apps of SageMaker's: an MLflow server that AWS runs, one or more for each account. Its ARN is a tracking.uri.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateMlflowApp.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...base.errors import DispatchError
from ...base.translated import translate_errors
from .aws import Aws
from .tags import PROJECT_TAG, as_tags

READY, FAILED = ("Created", "Updated", "UpdateFailed"), ("CreateFailed", "DeleteFailed")
GONE = ("Deleting", "Deleted")
PATIENCE, POLL = 1800, 3.0  # seconds for which one that is being made is waited for, and between two looks
LONGEST = 256  # characters of a name


@dataclass(frozen=True)
class App:
    """An app, as AWS describes it."""

    name: str
    arn: str
    status: str
    version: str  # of MLflow
    artifacts: str  # S3 address
    registers: bool  # every registered version in SageMaker's own registry too, by itself
    project_id: str | None  # whose it is; None if no tag says so

    @property
    def is_ready(self) -> bool:
        return self.status in READY


class Apps:
    """The apps of one account and region that this project may see. Raises DispatchError where AWS refuses."""

    def __init__(self, aws: Aws, project_id: str) -> None:
        self._aws = aws
        self._project_id = project_id

    @property
    def _client(self) -> Any:
        return self._aws.client("sagemaker")

    def own(self) -> list[App]:
        """Those that were made for this project, oldest first."""
        return [app for app in self._every() if app.project_id == self._project_id]

    def _every(self) -> Iterator[App]:
        with translate_errors(DispatchError, "could not list the MLflow apps"):
            pages = self._client.get_paginator("list_mlflow_apps").paginate(
                SortBy="CreationTime", SortOrder="Ascending"
            )
            summaries = [summary for page in pages for summary in page.get("Summaries", [])]
        for summary in summaries:
            if summary.get("Status") not in GONE and (app := self.find(summary["Arn"])) is not None:
                yield app

    def find(self, arn: str) -> App | None:
        """The app of this ARN; None if there is none."""
        with translate_errors(DispatchError, f"could not look at the MLflow app {arn}"):
            try:
                seen = self._client.describe_mlflow_app(Arn=arn)
            except self._client.exceptions.ResourceNotFound:
                return None
            tags = self._client.list_tags(ResourceArn=arn).get("Tags", [])
        return App(
            name=str(seen.get("Name", "")),
            arn=arn,
            status=str(seen.get("Status", "unknown")),
            version=str(seen.get("MlflowVersion") or "unknown"),
            artifacts=str(seen.get("ArtifactStoreUri", "")),
            registers=seen.get("ModelRegistrationMode") == "AutoModelRegistrationEnabled",
            project_id=next((tag["Value"] for tag in tags if tag["Key"] == PROJECT_TAG), None),
        )

    def create(self, name: str, role: str, artifacts: str, *, registers: bool) -> App:
        """Makes an app and waits until it answers. One of this name that the project has already is taken as it is."""
        app = next((one for one in self.own() if one.name == name), None)
        if app is None:
            mode = "AutoModelRegistrationEnabled" if registers else "AutoModelRegistrationDisabled"
            with translate_errors(DispatchError, f"could not make the MLflow app {name}"):
                arn = self._client.create_mlflow_app(
                    Name=name,
                    ArtifactStoreUri=artifacts,
                    RoleArn=role,
                    ModelRegistrationMode=mode,
                    Tags=as_tags(self._aws.tags),
                )["Arn"]
            print(f"{arn} is being made; that takes some minutes.", flush=True)
            app = self.find(arn)
        return self._ready(app, name)

    def _ready(self, app: App | None, name: str) -> App:
        until = time.monotonic() + PATIENCE
        while app is not None and not app.is_ready:
            if app.status in FAILED:
                raise DispatchError(f"the MLflow app {app.arn} is {app.status}: the console of SageMaker says why.")
            if time.monotonic() > until:
                raise DispatchError(
                    f"the MLflow app {app.arn} is still {app.status}. `lineage aws mlflow status` looks."
                )
            time.sleep(POLL)  # between two looks
            app = self.find(app.arn)
        if app is None:
            raise DispatchError(f"the MLflow app {name} is gone before it was ready.")
        return app

    def delete(self, app: App) -> None:
        """Asks AWS to delete an app of this project. Raises DispatchError for one of others."""
        if app.project_id != self._project_id:
            raise DispatchError(
                f"{app.arn} does not have the tag {PROJECT_TAG}={self._project_id}: it was not made for this project. "
                "Whoever it belongs to deletes it in the console of SageMaker."
            )
        with translate_errors(DispatchError, f"could not delete the MLflow app {app.arn}"):
            self._client.delete_mlflow_app(Arn=app.arn)


def default_name(model: str, project_id: str) -> str:
    """What an app is called that nobody has named: after the model, and no other project's."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", model).strip("-") or "mlflow"
    suffix = re.sub(r"[^A-Za-z0-9]+", "", project_id)[:8]
    return f"{readable[: LONGEST - len(suffix) - 1].rstrip('-')}-{suffix}"
