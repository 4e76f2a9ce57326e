"""A version that serves: here, at an endpoint, in a batch; who may not; and what audits and drift know of it.

In the account by the roles of infra/ alone: that of the launcher asks, and endpoints and batches work as theirs.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
from aws_standin.container import can_run
from aws_standin.faults import order
from baked import Project, bake
from botocore.exceptions import ClientError
from command import Lineage
from governed import Governed, set_up
from permissions_page import BY_SERVING
from servers import aws_standin

FIRST, SECOND = "models:/traceable-digits/1", "models:/traceable-digits/2"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/pytorch:1"
BAD_IMAGE = IMAGE.replace(":1", ":bad")  # its `serve` ends at once
OTHER_IMAGE = IMAGE.replace(":1", ":other")  # its `serve` answers everything, whatever model it was given
REGION = "eu-central-1"
ENDPOINT = "traceable-digits"
JOBS = "traceable-digits-jobs-123456789012"  # the bucket; roles reach what is below the prefix
PLACE = f"s3://{JOBS}/traceable-digits"
CAPTURED = "traceable-digits/captured/"
OVERRIDES = ("train=debug", "train.seed=5", "train.weight_decay=1e-5")  # those of the fixture `linked`
OTHER_SERVE = """#!/usr/bin/env python3
import http.server, os

class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_GET = do_POST = answer

address = ("0.0.0.0", int(os.environ.get("SAGEMAKER_BIND_TO_PORT") or 8080))
http.server.ThreadingHTTPServer(address, Handler).serve_forever()
"""
apart = pytest.mark.skipif(not can_run(), reason="this machine forbids mount namespaces, in which containers run")


def images_of(project: Project) -> dict[str, bytes]:
    """The images of the test split by record."""
    found = {}
    for shard in sorted((project.root / "data" / "processed" / "shards").iterdir()):
        rows = pq.read_table(shard, columns=["record_id", "split", "image"]).to_pylist()
        found |= {row["record_id"]: row["image"] for row in rows if row["split"] == "test"}
    return found


def predicted(project: Project) -> dict[str, list[float]]:
    """The probabilities that evaluate wrote of each of them."""
    table = pq.read_table(project.root / "data" / "predictions.parquet").to_pylist()
    return {row["record_id"]: row["probabilities"] for row in table if row["split"] == "test"}


@contextmanager
def serving(project: Project, *arguments: str) -> Iterator[http.client.HTTPConnection]:
    """A connection to `lineage serve`."""
    process = project.start("lineage", "serve", *arguments, "--port", "0")
    try:
        assert process.stdout is not None
        said = []
        while not (address := re.match(r"serving \S+ at http://(127\.0\.0\.1):(\d+)", (said or [""])[-1])):
            line = process.stdout.readline()
            assert line, "".join(said)
            said.append(line)
        connection = http.client.HTTPConnection(address[1], int(address[2]), timeout=60)
        yield connection
        connection.close()
    finally:
        process.kill()
        process.communicate()


def post(connection: http.client.HTTPConnection, body: bytes, kind: str) -> tuple[int, Any]:
    connection.request("POST", "/invocations", body, {"Content-Type": kind})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_a_version_answers_here_what_evaluate_wrote(linked: Project, lineage: Lineage) -> None:
    images, written = images_of(linked), predicted(linked)
    records = sorted(images)[:3]
    with serving(linked, SECOND) as connection:
        connection.request("GET", "/ping")
        assert json.loads(connection.getresponse().read())["model"] == SECOND
        for record in records:
            status, answer = post(connection, images[record], "image/png")
            assert status == 200
            [row] = answer["predictions"]
            assert list(row.values()) == pytest.approx(written[record], rel=1e-5)
        several = {"instances": [base64.b64encode(images[record]).decode() for record in records]}
        status, together = post(connection, json.dumps(several).encode(), "application/json")
        assert (status, len(together["predictions"])) == (200, 3)
        assert together["predictions"][2] == pytest.approx(row)
        status, answer = post(connection, images[records[0]][:60], "image/png")
        assert (status, answer["error"]["code"]) == (400, "bad_request")


@pytest.fixture
def damaged(project: Project) -> Project:
    """A project whose second version has other weights in the registry than were registered."""
    source = project.store().client.get_model_version("traceable-digits", "2").source.removeprefix("models:/")
    [weights] = (project.root / "mlartifacts" / "models" / source).rglob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    return project


def test_a_version_that_is_disproved_serves_nobody_whatever_the_reason(damaged: Project, lineage: Lineage) -> None:
    for accept in ((), ("--accept", "it is urgent")):
        said = lineage(damaged, "serve", SECOND, *accept, code=1)
        assert f"refused  {SECOND} may not serve: verified does not pass" in said
    assert "a FAIL is let through by no reason" in said


def test_what_nobody_can_tell_needs_a_reason(project: Project, lineage: Lineage) -> None:
    # the consent registry is named, and is not there
    project.compose(*OVERRIDES, "privacy=registry")
    said = lineage(project, "serve", FIRST, code=2)
    assert f"inconclusive  whether {FIRST} may serve: of consent nothing can be said" in said
    assert "--accept REASON" in said
    assert "a reason is needed" in lineage(project, "serve", FIRST, "--accept", " ", code=2)
    assert "in one line" in lineage(project, "serve", FIRST, "--accept", "urgent\nsays QA", code=2)
    reason = "the registry is being moved (agreed with QA)"
    with serving(project, FIRST, "--accept", reason) as connection:
        connection.request("GET", "/ping")
        assert connection.getresponse().status == 200
    [kept] = [text for name, text in project.version_tags("1").items() if name.startswith("serving_accepted_")]
    assert kept.startswith("to serve at 127.0.0.1 port 0 of ")
    assert kept.endswith(f": consent: {reason}")


def test_whose_consent_has_ended_is_in_no_version_that_serves(project: Project, lineage: Lineage) -> None:
    people = set(pq.read_table(project.root / "data" / "processed" / "manifest.parquet")["subject_id"].to_pylist())
    out = sorted(people)[0]
    lines = [f"{one},{'revoked' if one == out else 'active'},2025-01-01T00:00:00Z" for one in sorted(people)]
    table = "\n".join(["subject_id,consent_status,effective_at", *lines])
    (project.root / "consent.csv").write_text(f"{table}\n")
    project.compose(*OVERRIDES, "privacy=registry")
    said = lineage(project, "serve", FIRST, "--accept", "but I want to", code=1)
    assert "consent does not pass" in said
    assert "1 subject with" in said


@dataclass
class Account:
    """A project with an account of AWS, which the stand-in is."""

    project: Project
    lineage: Lineage
    roles: Governed

    def client(self, service: str) -> Any:
        return self.roles.client(service)

    def __call__(self, *arguments: str, code: int | None = 0) -> str:
        return self.lineage(self.project, *arguments, code=code)

    def compose(self, *overrides: str) -> None:
        role = self.roles.infrastructure.outputs()["EndpointRole"]
        given = (f"serving.endpoint.role={role}", f"compute.sagemaker.bucket={JOBS}")
        self.project.compose(*OVERRIDES, *given, f"serving.endpoint.image={IMAGE}", *overrides)

    def ask(self, body: bytes) -> tuple[str, Any]:
        """Which model answers a raw image, and what."""
        client = self.client("sagemaker-runtime")
        said = client.invoke_endpoint(EndpointName=ENDPOINT, Body=body, ContentType="image/png")
        return said["CustomAttributes"].partition(",")[0].removeprefix("model="), json.loads(said["Body"].read())

    def tag(self, number: str) -> str | None:
        return self.project.version_tags(number).get("endpoint")

    def chain(self) -> dict[str, str]:
        """The tags of the endpoint."""
        client = self.client("sagemaker")
        arn = client.describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
        return {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}

    def made(self) -> tuple[int, int]:
        """How many configurations of endpoints and models there are."""
        client = self.client("sagemaker")
        return len(client.list_endpoint_configs()["EndpointConfigs"]), len(client.list_models()["Models"])


@pytest.fixture(scope="module")
def account(linked: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    project = linked.copy(folder)
    (folder / "other-serve").write_text(OTHER_SERVE)
    (folder / "other-serve").chmod(0o755)
    programs = {"good": project.root / "scripts" / "serve", "bad": Path(shutil.which("false") or "")}
    for name, serve in {**programs, "other": folder / "other-serve"}.items():
        (folder / name).mkdir()
        (folder / name / "serve").symlink_to(serve)
        # a link would not lead Python to the packages of the environment
        (folder / name / "python3").write_text(f'#!/bin/sh\nexec {project.venv}/bin/python3 "$@"\n')
        (folder / name / "python3").chmod(0o755)
    images = {IMAGE: folder / "good", BAD_IMAGE: folder / "bad", OTHER_IMAGE: folder / "other"}
    with aws_standin(folder, images) as endpoint:
        project.environment |= {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}
        infra = bake(folder / "baked", infra="yes")
        infrastructure = set_up(infra, project.params["project_id"], folder, endpoint)
        roles = Governed(folder, endpoint, "", project, infrastructure)
        made = Account(roles.act_as(infrastructure.outputs()["LauncherRole"], project), lineage, roles)
        made.compose("serving.endpoint.capture.percent=100")
        yield made


@pytest.fixture(scope="module")
def image(linked: Project) -> bytes:
    """An image of the test split."""
    images = images_of(linked)
    return images[min(images)]


@pytest.fixture(scope="module")
def deployed(account: Account) -> Account:
    """The first version at an endpoint."""
    said = account("deploy", FIRST)
    assert said.endswith(f"{ENDPOINT}: InService\n{ENDPOINT} serves {FIRST}.\n"), said
    return account


# The tests below follow each other: one endpoint lives through them, as making one takes its time.


@apart
def test_an_endpoint_answers_and_everybody_knows_with_which_model(
    deployed: Account, image: bytes, tmp_path: Path
) -> None:
    assert deployed.tag("1") == ENDPOINT
    assert deployed("status") == f"{ENDPOINT}  InService  {FIRST}  requests are kept at {PLACE}/captured\n"
    tags, version = deployed.chain(), deployed.project.version_tags("1")
    for name in ("model_identity", "result_git_commit_id", "data_git_commit_id", "dvc_data_md5", "project_id"):
        assert tags[f"lineage:{name}"] == version[name]
    (tmp_path / "one.png").write_bytes(image)
    (tmp_path / "broken.png").write_bytes(image[:50])
    lines = deployed("invoke", str(tmp_path / "one.png"), str(tmp_path / "broken.png"), code=1).splitlines()
    good, bad = map(json.loads, lines)
    assert good["which"].startswith(f"model={FIRST},identity={version['model_identity']}")
    assert sum(good["answer"]["predictions"][0].values()) == pytest.approx(1)
    assert bad["error"].startswith("400 image 1 cannot be read")


@apart
def test_an_audit_says_that_a_model_that_saw_somebody_is_deployed(deployed: Account) -> None:
    manifest = pq.read_table(deployed.project.root / "data" / "processed" / "manifest.parquet").to_pylist()
    said = deployed("audit", "subject", next(row["subject_id"] for row in manifest if row["split"] == "train"))
    assert f"deployed: {FIRST} answers requests at {ENDPOINT}, as its tag says." in said
    assert f"deployed: {SECOND}" not in said


@apart
def test_a_second_deployment_leaves_nobody_without_an_answer(deployed: Account, image: bytes) -> None:
    """And nothing of the first one's chain on the endpoint, whatever MLflow says of the second one."""
    over, answers, faults = threading.Event(), list[str](), list[str]()
    arn = deployed.client("sagemaker").describe_endpoint(EndpointName=ENDPOINT)["EndpointArn"]
    of_another = {"Key": "lineage:data_git_commit_id", "Value": "0" * 40}
    deployed.client("sagemaker").add_tags(ResourceArn=arn, Tags=[of_another])
    store, commit = deployed.project.store().client, deployed.project.version_tags("2")["data_git_commit_id"]
    store.delete_model_version_tag("traceable-digits", "2", "data_git_commit_id")  # as before `lineage link`

    def keep_asking() -> None:
        while not over.is_set():
            try:
                answers.append(deployed.ask(image)[0])
            except Exception as error:
                faults.append(str(error))
                return
            time.sleep(0.05)  # a pace

    asking = threading.Thread(target=keep_asking)
    asking.start()
    said = deployed("deploy", SECOND)
    deadline = time.monotonic() + 60
    while SECOND not in answers[-1:] and not faults:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # between two looks at the condition
    over.set()
    asking.join()
    assert f"{ENDPOINT} serves {SECOND}." in said
    assert faults == []
    assert answers == sorted(answers)  # the first, then the second, and nothing else
    assert set(answers) == {FIRST, SECOND}
    assert (deployed.tag("1"), deployed.tag("2")) == (None, ENDPOINT)
    assert deployed.made() == (1, 1)
    version = deployed.project.version_tags("2")
    wanted = {
        name: version[name] for name in ("model_identity", "model_sha256", "dvc_data_md5", "result_git_commit_id")
    }
    assert {name: deployed.chain()[f"lineage:{name}"] for name in wanted} == wanted
    assert deployed.chain()["lineage:data_git_commit_id"] == commit
    store.set_model_version_tag("traceable-digits", "2", "data_git_commit_id", commit)


@apart
def test_a_canary_is_taken_back_when_an_alarm_goes_off(deployed: Account, image: bytes) -> None:
    assert "needs serving.endpoint.canary.alarms" in deployed("deploy", FIRST, "--canary", "20", code=1)
    deployed.compose("serving.endpoint.canary.alarms=[too-many-errors]")
    watch = deployed.client("cloudwatch")
    options = {"Namespace": "n", "MetricName": "m", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1.0}
    watch.put_metric_alarm(
        AlarmName="too-many-errors", ComparisonOperator="GreaterThanThreshold", Statistic="Sum", **options
    )
    process = deployed.project.start("lineage", "deploy", FIRST, "--canary", "20")
    deadline = time.monotonic() + 120
    while FIRST not in [deployed.ask(image)[0] for _ in range(5)]:
        assert process.poll() is None
        assert time.monotonic() < deadline
    answers = [deployed.ask(image)[0] for _ in range(20)]
    assert answers.count(FIRST) == 4
    assert deployed.tag("1") == ENDPOINT  # as long as it answers anybody
    watch.set_alarm_state(AlarmName="too-many-errors", StateValue="ALARM", StateReason="errors")
    said = process.communicate(timeout=120)[0]
    assert process.returncode == 1
    assert f"{ENDPOINT} went back to {SECOND}: it does not serve {FIRST}. the alarm too-many-errors went off" in said
    assert {deployed.ask(image)[0] for _ in range(10)} == {SECOND}
    assert (deployed.tag("1"), deployed.tag("2")) == (None, ENDPOINT)


@apart
def test_a_container_that_does_not_become_healthy_changes_nothing(deployed: Account, image: bytes) -> None:
    deployed.compose(f"serving.endpoint.image={BAD_IMAGE}")
    said = deployed("deploy", FIRST, code=1)
    assert f"{ENDPOINT} went back to {SECOND}" in said
    assert "did not pass the ping health check" in said
    assert deployed.ask(image)[0] == SECOND
    assert (deployed.tag("1"), deployed.tag("2")) == (None, ENDPOINT)
    assert "its last change was taken back: The container" in deployed("status")


@apart
def test_a_container_that_is_healthy_is_not_taken_for_the_model(deployed: Account, image: bytes) -> None:
    """Whatever it is, it was given the model, and only the answers of the project's own program say which that is."""
    deployed.compose(f"serving.endpoint.image={OTHER_IMAGE}")
    said = deployed("deploy", FIRST, code=1)
    assert f"{ENDPOINT} is in service, and nobody knows that it serves {FIRST}: its answer says nothing" in said
    assert deployed.chain()["lineage:model"] == "unknown"
    assert (deployed.tag("1"), deployed.tag("2")) == (ENDPOINT, ENDPOINT)  # an audit misses neither
    assert "its tag lineage:model is unknown" in deployed("status", code=1)
    deployed.compose("serving.endpoint.capture.percent=100")
    assert f"{ENDPOINT} serves {SECOND}." in deployed("deploy", SECOND)
    assert (deployed.chain()["lineage:model"], deployed.made()) == (SECOND, (1, 1))
    assert (deployed.tag("1"), deployed.tag("2")) == (None, ENDPOINT)


@apart
def test_a_name_that_no_endpoint_can_have_leaves_nothing(deployed: Account) -> None:
    before = deployed.made()
    for command in (("deploy", FIRST), ("undeploy",), ("invoke", "one.png")):
        assert "can be no name of an endpoint" in deployed(*command, "--endpoint", "x" * 64, code=1)
    assert (deployed.made(), deployed.tag("1")) == (before, None)


@apart
def test_a_tag_that_is_not_as_aws_has_it_is_said(deployed: Account) -> None:
    client = deployed.project.store().client
    client.set_model_version_tag("traceable-digits", "1", "endpoint", f"elsewhere, {ENDPOINT}")
    said = deployed("status", code=1)
    assert f"{FIRST} has the tag endpoint={ENDPOINT}, and does not serve there" in said
    assert f"{FIRST} has the tag endpoint=elsewhere, and this account has no such endpoint" in said
    client.delete_model_version_tag("traceable-digits", "2", "endpoint")
    assert f"{SECOND} serves there and has no tag" in deployed("status", code=1)
    client.set_model_version_tag("traceable-digits", "2", "endpoint", ENDPOINT)
    # it may be in another account or region, where audits must know of it
    said = deployed("undeploy", "--endpoint", "elsewhere", code=1)
    assert f"there is no endpoint elsewhere in account 123456789012, {REGION}, and {FIRST} has the tag" in said
    assert deployed.tag("1") == f"elsewhere, {ENDPOINT}"
    assert "is for an endpoint that is nowhere" in deployed("undeploy", "--forget", code=1)
    assert "there was no endpoint elsewhere" in deployed("undeploy", "--endpoint", "elsewhere", "--forget")
    assert deployed.tag("1") == ENDPOINT
    client.delete_model_version_tag("traceable-digits", "1", "endpoint")
    assert json.loads(deployed("status", "--json"))[0]["faults"] == []


@apart
def test_an_endpoint_of_others_is_left_alone(deployed: Account) -> None:
    client = deployed.client("sagemaker")
    config = client.list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"]
    client.create_endpoint(EndpointName="theirs", EndpointConfigName=config)
    for command in (("deploy", SECOND, "--endpoint", "theirs"), ("undeploy", "--endpoint", "theirs")):
        assert "so it is left alone" in deployed(*command, code=1)
    assert "theirs" not in deployed("status")
    client.delete_endpoint(EndpointName="theirs")
    assert deployed.tag("2") == ENDPOINT


def kept_requests(account: Account) -> set[str]:
    pages = account.client("s3").get_paginator("list_objects_v2").paginate(Bucket=JOBS, Prefix=CAPTURED)
    return {item["Key"] for page in pages for item in page.get("Contents", [])}


@apart
def test_kept_requests_are_compared_with_the_data_of_the_model(
    deployed: Account, linked: Project, tmp_path: Path
) -> None:
    deployed.compose(
        "serving.endpoint.capture.percent=100",
        "serving.endpoint.canary.alarms=[too-many-errors]",
        "serving.endpoint.canary.minutes=0",
    )
    deployed.client("cloudwatch").set_alarm_state(
        AlarmName="too-many-errors", StateValue="OK", StateReason="no more errors"
    )
    store = deployed.client("s3")
    known = kept_requests(deployed)
    assert known  # the requests of the tests above, with the first version
    assert f"{ENDPOINT} serves {SECOND}." in deployed("deploy", SECOND, "--canary", "50")  # no alarm goes off
    images = list(images_of(linked).values())
    for image in images[:60]:
        deployed.ask(image)
    several = json.dumps({"instances": [base64.b64encode(image).decode() for image in images[60:70]]})
    client = deployed.client("sagemaker-runtime")
    client.invoke_endpoint(EndpointName=ENDPOINT, Body=several.encode(), ContentType="application/json")
    keys = kept_requests(deployed) - known
    assert len(keys) == 62  # the example that `deploy` asked with is among them
    assert all(key.startswith(f"{CAPTURED}{ENDPOINT}/AllTraffic/") for key in keys)
    for key in keys:
        path = tmp_path / "kept" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        store.download_file(JOBS, key, str(path))
    # no fork: the processes that measure begin as the one does that starts them
    process = deployed.project.start("lineage", "drift", SECOND, "--data", str(tmp_path / "kept"), "--json")
    said = json.loads(process.communicate(timeout=120)[0])
    assert (said["verdict"], said["after"]["records"]) == ("no drift", 70)  # and not among these


@apart
def test_erase_names_what_it_cannot_delete(deployed: Account) -> None:
    manifest = pq.read_table(deployed.project.root / "data" / "processed" / "manifest.parquet")
    said = deployed("erase", manifest["subject_id"][0].as_py(), "--plan", code=None)
    assert f"requests that endpoints have kept at {PLACE}/captured were not looked into" in said


@apart
def test_all_objects_at_an_address_are_answered(deployed: Account, linked: Project) -> None:
    store, images, written = deployed.client("s3"), images_of(linked), predicted(linked)
    records = sorted(images)[:4]
    for record in records:
        store.put_object(Bucket=JOBS, Key=f"traceable-digits/inputs/{record}.png", Body=images[record])
    # what begins with the same letters lies elsewhere, and is nobody's business here
    private = {"Bucket": JOBS, "Key": "traceable-digits/inputs-private/x.png"}
    store.put_object(**private, Body=images[records[0]])
    refused = '{"__type": "AccessDeniedException", "message": "not now"}'
    order(deployed.roles.state, "POST SageMaker.DeleteModel", status="400 Bad Request", body=refused)
    said = deployed("batch", SECOND, "--input", f"{PLACE}/inputs", "--output", f"{PLACE}/answers/1")
    store.delete_object(**private)
    assert f"Completed: 4 answers to 4 objects at {PLACE}/answers/1/" in said
    [left_over] = re.findall(r"The model (\S+) is left in SageMaker", said)
    deployed.client("sagemaker").delete_model(ModelName=left_over)
    for record in records:
        answer = json.loads(
            store.get_object(Bucket=JOBS, Key=f"traceable-digits/answers/1/{record}.png.out")["Body"].read()
        )
        assert list(answer["predictions"][0].values()) == pytest.approx(written[record], rel=1e-5)
    note = json.loads(store.get_object(Bucket=JOBS, Key="traceable-digits/answers/1/lineage.json")["Body"].read())
    assert note["chain"]["lineage:model"] == SECOND
    assert "there are objects below" in deployed(
        "batch", SECOND, "--input", f"{PLACE}/inputs/", "--output", f"{PLACE}/answers/1/", code=1
    )
    store.put_object(Bucket=JOBS, Key="traceable-digits/inputs/broken.png", Body=b"no image")
    said = deployed("batch", SECOND, "--input", f"{PLACE}/inputs/", "--output", f"{PLACE}/answers/2/", code=1)
    assert "Failed" in said
    assert "cannot be read: no image" in said


def cleanup(account: Account, *arguments: str, code: int | None = 0) -> str:
    """`lineage aws cleanup` by the steward, who alone may delete."""
    steward = account.roles.act_as(account.roles.infrastructure.outputs()["StewardRole"], account.project)
    return account.lineage(steward, "aws", "cleanup", "--older-than", "0", *arguments, code=code)


def left(account: Account, *more: str) -> dict[str, dict[str, Any]]:
    """What it finds, by kind and name."""
    said = json.loads(cleanup(account, "--plan", "--json", *more))
    return {f"{item['kind']} {item['name']}": item for item in said["left"]}


@apart
def test_what_an_endpoint_reads_and_keeps_stays_and_is_told_apart(deployed: Account) -> None:
    (prices := deployed.roles.state / "prices.yaml").write_text(PRICES)
    found = left(deployed, "--prices", str(prices))
    archives = [item for name, item in found.items() if "/serving/" in name]
    assert {item["kept"] for item in archives} == {"", "a model that stays reads it"}  # the first version is at none
    assert found[f"captured {KEPT_AT}"]["kept"] == "the endpoint goes on writing there"
    assert found[f"log endpoint {ENDPOINT}"]["kept"] == "the endpoint stays"
    assert {item["kept"] for name, item in found.items() if name.startswith("log transform ")} == {""}
    answers = [item for item in found.values() if item["kind"] == "answers"]
    assert {item["kept"] for item in answers} == {"somebody asked for it: `--also answers` deletes it"}
    assert sum(len(item["addresses"]) for item in answers) > 4
    assert found["endpoint traceable-digits"]["usd_month"] == pytest.approx(0.25 * 730)
    assert archives[0]["usd_month"] == pytest.approx(2.0 * len_of(deployed, archives[0]) / 2**30)
    assert {item["usd_month"] for item in left(deployed).values()} == {None, 0.0}  # of this region none is known
    assert "none is guessed" in cleanup(deployed, "--plan")
    prices.write_text("eu-central-1: {gibibyte_month: -1}")
    assert "is no table of prices" in cleanup(deployed, "--plan", "--prices", str(prices), code=1)


@apart
def test_an_endpoint_that_answers_is_not_taken_for_one_that_nobody_needs(deployed: Account) -> None:
    """Nor is it where tracking.uri is another store by now; not even where the one before is not there."""
    project, name = deployed.project, f"endpoint {ENDPOINT}"
    serves, number = (FIRST, "1") if deployed.tag("1") else (SECOND, "2")
    params, store = project.root / "params.yaml", project.root / "mlflow.db"
    text, before = params.read_text(), project.params["tracking"]["uri"]
    (project.root.parent / "new.db").touch()
    params.write_text(text.replace(before, f"sqlite:///{project.root.parent / 'new.db'}"))
    try:
        assert left(deployed)[name]["kept"] == f"{serves} serves there. `lineage undeploy` ends that"
        store.rename(project.root.parent / "old.db")
        kept = left(deployed)[name]["kept"]
        assert kept.startswith("whether a version serves there is not known: the MLflow store ")
        assert kept.endswith("there is no such file here")
    finally:
        (project.root.parent / "old.db").rename(store)
        params.write_text(text)
    client = project.store().client
    client.delete_model_version_tag("traceable-digits", number, "endpoint")
    assert left(deployed)[name]["kept"] == ""  # its version is known, and says that it serves no more
    client.set_model_version_tag("traceable-digits", number, "endpoint", ENDPOINT)


KEPT_AT = f"{PLACE}/captured/{ENDPOINT}"
PRICES = "eu-central-1: {as_of: 2026-11, gibibyte_month: 2.0, instance_hour: {ml.m5.large: 0.25}}"


def len_of(account: Account, item: dict[str, Any]) -> int:
    """The bytes of some objects."""
    places = [address.removeprefix("s3://").partition("/") for address in item["addresses"]]
    heads = [account.client("s3").head_object(Bucket=bucket, Key=key) for bucket, _, key in places]
    return sum(int(head["ContentLength"]) for head in heads)


@apart
@pytest.mark.long
@pytest.mark.parametrize(
    ("sid", "action"),
    [
        ("Deploy", "CreateModel"),
        ("UseEndpoints", "DescribeModel"),
        ("LookAtEndpoints", "DescribeEndpoint"),
        ("TagOnCreation", "AddTags"),
    ],
)
def test_without_a_statement_of_the_launcher_nothing_is_deployed(deployed: Account, sid: str, action: str) -> None:
    before = deployed.tag("1")
    with deployed.roles.without("launcher", sid):
        assert f"is not authorized to perform: sagemaker:{action}" in deployed("deploy", FIRST, code=1)
    assert deployed.tag("1") == before


@apart
def test_each_statement_of_serving_was_needed(deployed: Account) -> None:
    """By what was asked in all of this: without the statement a request would have been refused."""
    assert BY_SERVING["launcher"] <= deployed.roles.needed("launcher")
    assert deployed.roles.needed("endpoint") == BY_SERVING["endpoint"]


@apart
def test_the_role_of_an_endpoint_makes_none(deployed: Account) -> None:
    config = deployed.client("sagemaker").list_endpoint_configs()["EndpointConfigs"][0]["EndpointConfigName"]
    role = deployed.roles.client_as("endpoint", "sagemaker")
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:CreateEndpoint"):
        role.create_endpoint(EndpointName="of-an-endpoint", EndpointConfigName=config)


@apart
def test_a_refused_change_leaves_nothing_of_it(deployed: Account) -> None:
    """As where somebody else's change of the endpoint has begun since it was looked at."""
    said = '{"__type": "ValidationException", "message": "Cannot update in-progress endpoint"}'
    order(deployed.roles.state, "POST SageMaker.UpdateEndpoint", status="400 Bad Request", body=said)
    said = deployed("deploy", FIRST, code=1)
    assert "Nothing is left of this deployment" in said
    assert (deployed.tag("1"), deployed.tag("2")) == (None, ENDPOINT)
    assert deployed.made() == (1, 1)


@apart
def test_what_mlflow_does_not_take_is_said_and_leaves_no_models(deployed: Account) -> None:
    trigger = "CREATE TRIGGER refused BEFORE {} ON model_version_tags WHEN {}.key = 'endpoint' BEGIN {}; END"
    refuse, no_more = "SELECT RAISE(ABORT, 'no more tags')", "DROP TRIGGER refused"
    deployed.project.sql(trigger.format("INSERT", "NEW", refuse))
    said = deployed("deploy", FIRST, code=1)
    deployed.project.sql(no_more)
    assert "Nothing is left of this deployment" in said
    assert (deployed.made(), deployed.tag("1"), deployed.tag("2")) == ((1, 1), None, ENDPOINT)
    deployed.project.sql(trigger.format("DELETE", "OLD", refuse))
    said = deployed("deploy", FIRST, code=1)
    deployed.project.sql(no_more)
    assert f"{ENDPOINT} serves {FIRST}. Not done: " in said
    assert (deployed.made(), deployed.tag("1"), deployed.tag("2")) == ((1, 1), ENDPOINT, ENDPOINT)


@apart
def test_two_deployments_at_one_moment_end_in_one_of_them(deployed: Account, image: bytes) -> None:
    both = {what: deployed.project.start("lineage", "deploy", what) for what in (FIRST, SECOND)}
    said = {what: process.communicate(timeout=240)[0] for what, process in both.items()}
    serves, _ = deployed.ask(image)
    assert f"{ENDPOINT} serves {serves}." in said[serves]
    tags = {FIRST: deployed.tag("1"), SECOND: deployed.tag("2")}
    assert {what for what, tag in tags.items() if tag} == {serves}, said
    assert json.loads(deployed("status", "--json"))[0]["faults"] == []
    assert deployed.made() == (1, 1)


@apart
def test_undeploy_leaves_nothing(deployed: Account) -> None:
    serves = FIRST if deployed.tag("1") else SECOND
    said = deployed("undeploy")
    assert said.endswith(f"the endpoint {ENDPOINT} is deleted; {serves} has the tag no more.\n")
    client = deployed.client("sagemaker")
    assert client.list_endpoints()["Endpoints"] == []
    assert client.list_endpoint_configs()["EndpointConfigs"] == []
    assert client.list_models()["Models"] == []
    assert (deployed.tag("1"), deployed.tag("2")) == (None, None)
    assert "this project has no endpoint" in deployed("status")
    deadline = time.monotonic() + 60
    while serving_below(deployed.roles.state):  # what was killed is there for a moment
        assert time.monotonic() < deadline, serving_below(deployed.roles.state)
        time.sleep(0.05)  # between two looks at the condition


def serving_below(folder: Path) -> list[list[str]]:
    """The commands of containers that serve from a folder."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [each for each in commands if "serve" in each[-2:] and str(folder) in " ".join(each)]


@apart
def test_what_is_left_of_serving_is_found_and_cleared_away(deployed: Account) -> None:
    store = deployed.client("s3")
    of_others = {"Metadata": {"lineage-project-id": "p-of-others"}}
    for name, more in (("a" * 64, of_others), ("b" * 64, {})):
        store.put_object(Bucket=JOBS, Key=f"traceable-digits/serving/{name}/model.tar.gz", Body=b"x", **more)
    for name in ("notes.txt", "answers/1/of-somebody.txt"):
        store.put_object(Bucket=JOBS, Key=f"traceable-digits/{name}", Body=b"of somebody")
    found = left(deployed)
    kept = {name.rpartition("/")[2]: item["kept"] for name, item in found.items()}
    assert (kept["a" * 64], kept["b" * 64]) == (
        "another project has put it there",
        "it does not say which project has put it there",
    )
    assert found[f"objects {PLACE}/"]["kept"] == "nothing here says what it is of"
    captured = found[f"captured {KEPT_AT}"]
    assert captured["kept"] == "somebody asked for it: `--also captured` deletes it"
    assert len(captured["addresses"]) >= 60
    assert (
        f"/aws/sagemaker/Endpoints/{ENDPOINT}` deletes it, if it is yours" in found[f"log endpoint {ENDPOINT}"]["kept"]
    )
    young = left(deployed, "--also", "answers", "--also", "captured", "--older-than", "1").values()
    assert [item["name"] for item in young if not item["kept"]] == []
    cleanup(deployed, "--execute", "--yes", "--also", "answers", "--also", "captured")
    keys = {item["Key"].partition("/")[2] for item in store.list_objects_v2(Bucket=JOBS)["Contents"]}
    assert {key for key in keys if not key.startswith("inputs/")} == {
        f"serving/{'a' * 64}/model.tar.gz",
        f"serving/{'b' * 64}/model.tar.gz",
        "notes.txt",
        "answers/1/of-somebody.txt",
    }
    assert any(key.startswith("inputs/") for key in keys)  # what was asked is not ours
    assert {item["kind"] for item in left(deployed).values() if not item["kept"]} == set()
