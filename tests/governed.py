"""A project whose stages are sent to SageMaker in an account that has its infra/, with IAM in force."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from aws_standin.permissions import LOG, SWITCH
from aws_standin.place import client_of
from aws_standin.policy import Need, is_allowed
from baked import GUARD, Project, bake, remove_hooks, use_perceptron
from cloud import IMAGE, REGION, Cloud, settings, warm_image
from infrastructure import Infrastructure, make_role
from servers import NO_ARTIFACTS, aws_standin, mlflow_server

PIPELINE = "traceable-digits"


@dataclass
class Governed(Cloud):
    """The running parts; its project acts as the launcher."""

    infrastructure: Infrastructure

    def act_as(self, role: str, project: Project) -> Project:
        """The same project, with the credentials of a session in another role."""
        return replace(project, environment={**project.environment, **session(self.client("sts"), role)})

    def client_as(self, role: str, service: str) -> Any:
        """A client in a session of a role."""
        arn = f"arn:aws:iam::123456789012:role/traceable-digits-{role}"
        keys = {name.lower(): value for name, value in session(self.client("sts"), arn).items()}
        return boto3.client(service, endpoint_url=self.endpoint, region_name=REGION, **keys)

    @contextlib.contextmanager
    def without(self, role: str, sid: str) -> Iterator[None]:
        """Takes a statement from a role meanwhile."""
        assert sid in {statement["Sid"] for statement in self.statements[role]}
        self.put(role, without=sid)
        try:
            yield
        finally:
            self.put(role)

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


def set_up(root: Path, project_id: str, folder: Path, endpoint: str, *, group: str = "") -> Infrastructure:
    """Makes the keys, buckets and roles of the infra/ below `root`; nobody may do more from then on.

    `group` is that in the Model Registry, by default the one that registered versions go to.
    """
    infrastructure = Infrastructure(
        root,
        ProjectId=project_id,
        NotifyEmail="ops@example.org",
        CiSubject="repo:org/digits:ref:refs/heads/main",
        ImageRepository=IMAGE.partition("/")[2].partition(":")[0],
        PipelineName=PIPELINE,
        Group=group or f"traceable-digits-{project_id[:8]}",
    )
    infrastructure.set_up(lambda service: client_of(service, endpoint, REGION))
    (folder / SWITCH).touch()
    return infrastructure


@contextlib.contextmanager
def governed(folder: Path, installed: Project, *, group: str = "") -> Iterator[Governed]:
    """Starts everything in `folder`; the project is baked with its infra/, and that is set up (`group`: see there)."""
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
        infrastructure = set_up(root, project.params["project_id"], folder, endpoint, group=group)
        running = Governed(folder, endpoint, "", project, infrastructure)
        outputs = infrastructure.outputs()
        server = running.act_as(outputs["MlflowRole"], project)
        running.project = running.act_as(outputs["LauncherRole"], project)
        # as an app of SageMaker's does: clients read and write artifacts themselves
        artifacts = outputs["ArtifactsAddress"]
        with mlflow_server(server, folder / "mlflow.db", artifacts, NO_ARTIFACTS) as uri:
            running.tracking = uri
            yield running


def registry(running: Governed) -> str:
    """Where the consent registry lies: roles may read it there, and an administrator alone writes it."""
    return f"{running.infrastructure.outputs()['ConsentAddress']}/registry.csv"


def write_registry(running: Governed, revoked: dict[str, str]) -> None:
    """The registry as whoever keeps it writes it: everybody consents, but for these, each since a moment."""
    rows = [f"PAT-{number:05d}" for number in range(1, 321)]
    since = {who: ("revoked", moment) for who, moment in revoked.items()}
    lines = [",".join((who, *since.get(who, ("active", "2024-01-31T08:30:00Z")))) for who in rows]
    text = "\n".join(["subject_id,consent_status,effective_at", *lines, ""])
    bucket, _, key = registry(running).removeprefix("s3://").partition("/")
    running.client("s3").put_object(Bucket=bucket, Key=key, Body=text.encode())


def overrides(running: Governed, *more: str) -> list[str]:
    """What sends stages there, as docs/infrastructure.md has it."""
    outputs = running.infrastructure.outputs()
    place = {
        "role": outputs["JobsRole"],
        "pipeline.role": outputs["PipelineRole"],
        "bucket": outputs["JobsBucketName"],
        "install": "image",
    }
    return ["train=debug", *settings(running.tracking, **place), *more]


__all__ = [
    "PIPELINE",
    "Governed",
    "governed",
    "make_role",
    "overrides",
    "registry",
    "session",
    "set_up",
    "write_registry",
]
