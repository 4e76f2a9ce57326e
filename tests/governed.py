"""A project whose stages are sent to SageMaker in an account that has its infra/, with IAM in force."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aws_standin.permissions import LOG, SWITCH
from aws_standin.place import client_of
from aws_standin.policy import Need, is_allowed
from baked import GUARD, Project, bake, remove_hooks, use_perceptron
from cloud import IMAGE, REGION, Cloud, settings, warm_image
from infrastructure import Infrastructure, make_role
from servers import NO_ARTIFACTS, aws_standin, mlflow_server


@dataclass
class Governed(Cloud):
    """The running parts; its project acts as the launcher."""

    infrastructure: Infrastructure

    def act_as(self, role: str, project: Project) -> Project:
        """The same project, with the credentials of a session in another role."""
        return replace(project, environment={**project.environment, **session(self.client("sts"), role)})

    def put(self, role: str, *, without: str = "") -> None:
        """Gives a role its policies, without the statement of that Sid."""
        wanted = self.infrastructure.roles()[role]
        for policy in wanted["Policies"]:
            document = policy["PolicyDocument"]
            kept = [statement for statement in document["Statement"] if statement["Sid"] != without]
            text = json.dumps({**document, "Statement": kept})
            self.client("iam").put_role_policy(
                RoleName=wanted["RoleName"], PolicyName=policy["PolicyName"], PolicyDocument=text
            )

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Every request that a role has made, with what it needed and whether it was allowed."""
        return [json.loads(line) for line in (self.state / LOG).read_text(encoding="utf-8").splitlines()]

    @cached_property
    def statements(self) -> dict[str, list[dict[str, Any]]]:
        """The statements of each role's policies."""
        return {
            name: [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]
            for name, role in self.infrastructure.roles().items()
        }

    def needed(self, role: str) -> set[str]:
        """The Sids of the statements without which a request that was made and allowed would be refused."""
        name = self.infrastructure.roles()[role]["RoleName"]
        made = [request for request in self.requests if request["role"] == name and request["allowed"]]
        needs = [Need(request["action"], request["resource"], request["context"]) for request in made]
        found = set()
        for statement in self.statements[role]:
            others = [other for other in self.statements[role] if other is not statement]
            if not all(is_allowed(need, [{"Statement": others}]) for need in needs):
                found.add(statement["Sid"])
        return found


def session(sts: Any, role: str) -> dict[str, str]:
    """The variables of the environment for a session in a role."""
    keys = sts.assume_role(RoleArn=role, RoleSessionName="ada")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


@contextlib.contextmanager
def governed(folder: Path, installed: Project, **choices: str) -> Iterator[Governed]:
    """Starts everything in `folder`; the project is baked with its infra/, and that is set up with these parameters."""
    root = bake(folder, infra="yes", dvc_remote_url="s3://traceable-digits-data-123456789012/dvc")
    remove_hooks(root)
    use_perceptron(root)
    guard = {"PYTHONPATH": str(GUARD), "LOOPBACK_ONLY": str(folder / "left.log")}
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true"}
    with (
        warm_image(folder, installed) as executables,
        aws_standin(folder, {IMAGE: executables}, **guard, **quiet) as endpoint,
    ):
        where = {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        project = Project(root, installed.venv, {**installed.environment, **where, **guard, **quiet})
        infrastructure = Infrastructure(
            root,
            ProjectId=project.params["project_id"],
            NotifyEmail="ops@example.org",
            CiSubject="repo:org/digits:ref:refs/heads/main",
            **choices,
        )
        infrastructure.set_up(lambda service: client_of(service, endpoint, REGION))
        running = Governed(folder, endpoint, "", project, infrastructure)
        (folder / SWITCH).touch()
        outputs = infrastructure.outputs()
        server = running.act_as(outputs["MlflowRole"], project)
        running.project = running.act_as(outputs["LauncherRole"], project)
        # as an app of SageMaker's does: clients read and write artifacts themselves
        artifacts = outputs["ArtifactsAddress"]
        with mlflow_server(server, folder / "mlflow.db", artifacts, NO_ARTIFACTS) as uri:
            running.tracking = uri
            yield running


def overrides(running: Governed, *more: str) -> list[str]:
    """What sends stages there, as docs/infrastructure.md has it."""
    outputs = running.infrastructure.outputs()
    place = {"role": outputs["JobsRole"], "bucket": outputs["JobsBucketName"], "install": "image"}
    return ["train=debug", *settings(running.tracking, **place), *more]


__all__ = ["Governed", "governed", "make_role", "overrides", "session"]
