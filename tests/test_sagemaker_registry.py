"""SageMaker's Model Registry as a copy of versions and decisions, and SageMaker's ML Lineage as a copy of the chain."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_standin import faults
from aws_standin.place import client_of
from baked import Project
from command import Lineage
from servers import aws_standin

MODEL = "traceable-digits"
FIRST, SECOND = f"models:/{MODEL}/1", f"models:/{MODEL}/2"
TO = ("--to", "champion")
REGION, BUCKET = "eu-central-1", "the-jobs"
IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/project:1"
REMOTE = "s3://the-data/dvc"
SETTINGS = (
    *("train=debug", "train.seed=5", "train.weight_decay=1e-5"),  # those of the fixture `linked`
    # of 32 test subjects the bootstrap can say little
    *("promotion.comparison.margin=0.9", "promotion.comparison.slice_margin=0.9"),
    *(f"compute.sagemaker.bucket={BUCKET}", f"serving.endpoint.image={IMAGE}"),
)
DENIED = json.dumps(
    {
        "__type": "AccessDeniedException",
        "message": "User: ada is not authorized to perform: sagemaker:UpdateModelPackage on resource: x",
    }
)


@dataclass
class Account:
    """A project with two versions, and an account of AWS, which the stand-in is."""

    project: Project
    lineage: Lineage
    endpoint: str
    state: Path

    @property
    def aws(self) -> Any:
        return client_of("sagemaker", self.endpoint, REGION)

    @property
    def s3(self) -> Any:
        return client_of("s3", self.endpoint, REGION)

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        status, output, errors = self.lineage.run(self.project, *arguments, "--json")
        assert status == code, output + errors
        return dict(json.loads(output))

    def sync(self, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
        """The entries of `lineage aws registry ...` by version."""
        done = self.json("aws", "registry", *arguments, code=code)
        return {entry["version"]: entry for entry in done["entries"]}

    @property
    def group(self) -> str:
        return f"{MODEL}-{self.project.params['project_id'][:8]}"

    def packages(self) -> dict[str, dict[str, Any]]:
        """What AWS says of each package, by the number of the version in MLflow."""
        listed = self.aws.list_model_packages(ModelPackageGroupName=self.group)["ModelPackageSummaryList"]
        found = [self.aws.describe_model_package(ModelPackageName=each["ModelPackageArn"]) for each in listed]
        for each in found:
            del each["ResponseMetadata"]  # of the answer, not of the package
        assert len(found) == len({each["CustomerMetadataProperties"]["mlflow_version"] for each in found})
        return {each["CustomerMetadataProperties"]["mlflow_version"]: each for each in found}

    def states(self) -> dict[str, str]:
        return {number: package["ModelApprovalStatus"] for number, package in self.packages().items()}

    def read(self, address: str) -> bytes:
        bucket, _, key = address.removeprefix("s3://").partition("/")
        return bytes(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read())


@pytest.fixture(scope="module")
def account(linked: Project, lineage: Lineage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    project = linked.copy(folder)
    with aws_standin(folder, {}) as endpoint:
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
        project.environment |= {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION}
        made = Account(project, lineage, endpoint, folder)
        made.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        project.compose(*SETTINGS, "compute.sagemaker.registry.follow=true")
        project.commit("Settings of the registry")
        yield made


@pytest.fixture(scope="module")
def registered(account: Account) -> Account:
    """Both versions are in the registry."""
    before = account.sync("status", code=1)
    assert {title: entry["done"] for title, entry in before.items()} == {
        title: ["would be registered"] for title in (FIRST, SECOND)
    }
    assert account.aws.list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    done = account.sync("sync")
    assert all(entry["done"][0] == "registered" and not entry["fault"] for entry in done.values())
    return account


def test_a_package_says_what_git_holds_and_the_version_names_it(registered: Account) -> None:
    document = registered.project.lineage
    package = registered.packages()["2"]
    arn = package["ModelPackageArn"]
    known = package["CustomerMetadataProperties"]
    tags = registered.project.version_tags("2")
    assert known["model_identity"] == document["model"]["identity"]
    assert known["result_git_commit_id"] == tags["result_git_commit_id"]
    assert known["training_run_id"] == document["training_run"]["run_id"]
    for name in ("dvc_raw_md5", "dvc_data_md5", "data_sha256", "dvc_model_md5", "model_sha256", "data_git_commit_id"):
        assert known[name] == tags[name], name
    assert package["MetadataProperties"]["CommitId"] == tags["result_git_commit_id"]
    assert package["ModelApprovalStatus"] == known["approval"] == "PendingManualApproval"

    [container] = package["InferenceSpecification"]["Containers"]
    assert container["Image"] == IMAGE
    assert json.loads(container["Environment"]["PIPELINE_SERVE"])["model"] == SECOND
    with tarfile.open(fileobj=io.BytesIO(registered.read(container["ModelDataUrl"]))) as archive:
        members = {
            member.name: hashlib.sha256(archive.extractfile(member).read()).hexdigest()  # type: ignore[union-attr]
            for member in archive.getmembers()
        }
    assert members == {file["path"]: file["sha256"] for file in document["artifact"]["files"]}
    statistics = package["ModelMetrics"]["ModelQuality"]["Statistics"]
    scores = registered.read(statistics["S3Uri"])
    assert json.loads(scores) == document["metrics"]
    assert statistics["ContentDigest"] == f"sha256:{hashlib.sha256(scores).hexdigest()}"
    card = json.loads(package["ModelCard"]["ModelCardContent"])
    scored = {each["name"]: each["value"] for each in card["evaluation_details"][0]["metric_groups"][0]["metric_data"]}
    assert scored["accuracy"] == document["metrics"]["test"]["accuracy"]
    assert card["additional_information"]["custom_details"]["model identity"] == document["model"]["identity"]

    group = registered.aws.describe_model_package_group(ModelPackageGroupName=registered.group)
    marks = registered.aws.list_tags(ResourceArn=group["ModelPackageGroupArn"])["Tags"]
    assert {"Key": "lineage:project_id", "Value": known["project_id"]} in marks
    assert {"Key": "lineage:mirrors", "Value": MODEL} in marks
    assert tags["sagemaker_package_arn"] == arn
    assert registered.json("trace", SECOND)["models"][0]["version"]["package"] == arn
    assert arn in registered.lineage(registered.project, "trace", SECOND)
    assert registered.lineage.verify(registered.project, SECOND).state == "PASS"  # one more tag disproves nothing


def test_twice_is_as_once(registered: Account) -> None:
    before = registered.packages()
    done = registered.sync("sync")
    assert [entry["done"] for entry in done.values()] == [[], []]
    assert registered.packages() == before
    assert [entry["done"] for entry in registered.sync("status").values()] == [[], []]
    # nobody else's tag, nothing but the tag: what MLflow has lost is written again
    registered.project.store().client.delete_model_version_tag(MODEL, "1", "sagemaker_package_arn")
    assert registered.sync("status", code=1)[FIRST]["done"] == ["its tag sagemaker_package_arn in MLflow"]
    registered.sync("sync", FIRST)
    # Git says what the chain is, whatever a tag says
    client, tags = registered.project.store().client, registered.project.version_tags("1")
    client.set_model_version_tag(MODEL, "1", "data_git_commit_id", "0" * 40)
    assert registered.sync("status", FIRST)[FIRST]["done"] == []
    client.set_model_version_tag(MODEL, "1", "data_git_commit_id", tags["data_git_commit_id"])
    assert registered.project.version_tags("1")["sagemaker_package_arn"] == before["1"]["ModelPackageArn"]
    assert registered.packages() == before


def test_the_status_follows_the_decisions(registered: Account) -> None:
    said = registered.json("promote", FIRST, *TO)
    assert (said["verdict"], said["follow_ups"][0]["is_done"]) == ("promoted", True)
    assert registered.packages()["1"]["ModelPackageArn"] in said["follow_ups"][0]["text"]
    assert registered.states() == {"1": "Approved", "2": "PendingManualApproval"}
    known = registered.packages()["1"]["CustomerMetadataProperties"]
    decided = registered.project.root / known["decision"]
    assert known["decision_sha256"] == hashlib.sha256(decided.read_bytes()).hexdigest()

    registered.json("promote", SECOND, *TO, "--dry-run")
    assert registered.states() == {"1": "Approved", "2": "PendingManualApproval"}
    registered.json("promote", SECOND, *TO)
    assert registered.states() == {"1": "PendingManualApproval", "2": "Approved"}
    registered.json("demote", "champion", "--reason", "wrong on images of site B")
    assert registered.states() == {"1": "Approved", "2": "Rejected"}
    assert "wrong on images of site B" in registered.packages()["2"]["ApprovalDescription"]
    registered.json("demote", "champion", "--reason", "none of them", "--nobody")
    assert registered.states() == {"1": "Rejected", "2": "Rejected"}
    assert [entry["done"] for entry in registered.sync("sync").values()] == [[], []]


def test_a_registry_that_cannot_be_updated_changes_no_decision(registered: Account) -> None:
    faults.order(registered.state, r".*UpdateModelPackage", status="400 Bad Request", times=9, body=DENIED)
    said = registered.json("promote", SECOND, *TO, code=3)
    assert (said["verdict"], said["fix"], said["decision"] is not None) == ("promoted", "", True)
    [result] = said["follow_ups"]
    assert not result["is_done"]
    assert "Missing: sagemaker:UpdateModelPackage" in result["text"]
    assert result["fix"] == "lineage aws registry sync"
    aliases = registered.project.store().client.get_registered_model(MODEL).aliases
    assert {name: str(number) for name, number in aliases.items()}["champion"] == "2"
    assert registered.states()["2"] == "Rejected"  # it was not updated, and nobody says so
    faults.forget(registered.state)
    assert registered.sync("status", code=1)[SECOND]["done"] == ["Rejected -> Approved"]
    again = registered.json("promote", SECOND, *TO)
    assert (again["verdict"], again["follow_ups"][0]["is_done"]) == ("as it was", True)
    assert registered.states() == {"1": "Rejected", "2": "Approved"}


def test_what_others_have_set_is_said_and_left(registered: Account) -> None:
    arn = registered.packages()["1"]["ModelPackageArn"]
    registered.aws.update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus="Approved", ApprovalDescription="because I can"
    )
    entry = registered.sync("sync", code=1)[FIRST]
    assert "somebody has set it to Approved there (because I can)" in entry["fault"]
    assert registered.states() == {"1": "Approved", "2": "Approved"}
    assert registered.sync("sync", "--as-decided")[FIRST]["done"] == ["Approved -> Rejected"]
    assert registered.states() == {"1": "Rejected", "2": "Approved"}


def test_one_package_of_a_version_is_approved_and_no_copy_of_it(registered: Account) -> None:
    """Whoever may make packages can copy what the champion's says of itself, and name another image."""
    champion = registered.packages()["2"]
    [container] = champion["InferenceSpecification"]["Containers"]
    other = {**container, "Image": IMAGE.replace(":1", ":other")}
    specification = {**champion["InferenceSpecification"], "Containers": [other]}

    def put(status: str, **more: Any) -> str:
        made = registered.aws.create_model_package(
            ModelPackageGroupName=registered.group,
            ModelApprovalStatus=status,
            InferenceSpecification=specification,
            ClientToken=f"copy{len(added)}" + "x" * 32,
            **more,
        )
        added.append(made["ModelPackageArn"])
        return str(added[-1])

    def status(arn: str) -> str:
        return str(registered.aws.describe_model_package(ModelPackageName=arn)["ModelApprovalStatus"])

    added: list[str] = []
    known = champion["CustomerMetadataProperties"]
    waits = put("PendingManualApproval", CustomerMetadataProperties=known)
    copied, foreign = put("Approved", CustomerMetadataProperties=known), put("Approved")
    # which of them is the version's is known without its tag as well
    registered.project.store().client.delete_model_version_tag(MODEL, "2", "sagemaker_package_arn")
    try:
        done = {each["arn"]: each for each in registered.json("aws", "registry", "sync", code=1)["entries"]}
        assert (done[champion["ModelPackageArn"]]["status"], status(waits)) == ("Approved", "PendingManualApproval")
        assert registered.project.version_tags("2")["sagemaker_package_arn"] == champion["ModelPackageArn"]
        assert f"{champion['ModelPackageArn']} is the one that counts" in done[copied]["fault"]
        assert "this project has not made it, and it is Approved" in done[foreign]["fault"]
        assert (status(copied), status(foreign)) == ("Approved", "Approved")  # what others have set stays, and is said
        said = registered.lineage(registered.project, "aws", "registry", "sync", "--as-decided", code=1)
        assert f"--model-approval-status Rejected --model-package-arn {foreign}`" in said
        assert (status(copied), status(foreign)) == ("Rejected", "Approved")
    finally:
        for arn in added:
            registered.aws.delete_model_package(ModelPackageName=arn)
    assert [entry["done"] for entry in registered.sync("sync").values()] == [[], []]


def test_what_would_serve_something_else_is_not_approved(registered: Account) -> None:
    champion = registered.packages()["2"]
    arn, specification = champion["ModelPackageArn"], champion["InferenceSpecification"]
    [container] = specification["Containers"]
    for change in (
        {"Image": IMAGE.replace(":1", ":other")},
        {"ModelDataUrl": f"s3://{BUCKET}/another.tar.gz"},
        {"Environment": {**container["Environment"], "PYTHONPATH": "/tmp"}},
    ):
        registered.aws.update_model_package(
            ModelPackageArn=arn,
            ModelApprovalStatus="PendingManualApproval",
            CustomerMetadataProperties={"approval": "PendingManualApproval"},
            InferenceSpecification={**specification, "Containers": [{**container, **change}]},
        )
        entry = registered.sync("sync", FIRST, code=1)[SECOND]
        assert f"it would serve otherwise than {SECOND} is to be" in entry["fault"]
        assert next(iter(change)) in entry["fault"]
        assert registered.states()["2"] == "PendingManualApproval"
    assert registered.sync("sync", "--as-decided")[SECOND]["done"][-1] == "PendingManualApproval -> Approved"
    assert registered.packages()["2"]["InferenceSpecification"] == specification
    # other limits of requests are no other model
    order = json.loads(container["Environment"]["PIPELINE_SERVE"])
    order["limits"]["waiting"] += 1
    container["Environment"]["PIPELINE_SERVE"] = json.dumps(order)
    registered.aws.update_model_package(ModelPackageArn=arn, InferenceSpecification=specification)
    assert registered.sync("sync")[SECOND]["fault"] == ""


def test_the_champion_is_looked_at_whichever_versions_are_named(registered: Account) -> None:
    registered.aws.delete_model_package(ModelPackageName=registered.packages()["2"]["ModelPackageArn"])
    done = registered.sync("sync", FIRST, code=1)
    assert (done[SECOND]["fault"], done[SECOND]["fix"]) == (
        "it is champion and has no package",
        "lineage aws registry sync",
    )
    assert registered.sync("sync")[SECOND]["done"][0] == "registered"
    assert registered.states() == {"1": "Rejected", "2": "Approved"}


def test_an_alias_that_was_moved_approves_nobody(registered: Account) -> None:
    client = registered.project.store().client
    client.set_registered_model_alias(MODEL, "champion", "1")
    said = registered.lineage(registered.project, "aws", "registry", "sync", code=2)
    assert "INCONCLUSIVE" in said
    assert "moved behind its back" in said
    assert registered.states() == {"1": "Rejected", "2": "Approved"}
    client.set_registered_model_alias(MODEL, "champion", "2")


def test_groups_of_others_are_left_alone(registered: Account) -> None:
    project = registered.project
    ours = {"Key": "lineage:project_id", "Value": project.params["project_id"]}
    try:
        # one that bears the tag of the project, as an MLflow app of the project may write
        for name, tags in (("of-others", []), ("of-an-app", [ours])):
            registered.aws.create_model_package_group(ModelPackageGroupName=name, Tags=tags)
            project.compose(*SETTINGS, f"compute.sagemaker.registry.group={name}")
            assert "was not made by `lineage aws registry`" in registered.lineage(
                project, "aws", "registry", "sync", code=2
            )
            assert registered.aws.list_model_packages(ModelPackageGroupName=name)["ModelPackageSummaryList"] == []
        project.compose(*SETTINGS, f"compute.sagemaker.registry.group={MODEL}-0a1b2c")
        assert "an MLflow app of SageMaker's" in registered.lineage(project, "aws", "registry", "sync", code=2)
    finally:
        project.git("checkout", "--quiet", "--", "params.yaml")


def test_what_no_commit_holds_and_what_has_no_image_is_not_registered(registered: Account, tmp_path: Path) -> None:
    project = registered.project.copy(tmp_path)
    elsewhere = Account(project, registered.lineage, registered.endpoint, registered.state)
    project.store().client.set_model_version_tag(MODEL, "1", "model_identity", "0" * 64)
    project.compose(*SETTINGS, "serving.endpoint.image=null", "compute.sagemaker.registry.group=another")
    done = elsewhere.sync("sync", code=1)
    assert "it has no package: " in done[FIRST]["fault"]
    assert "serving.endpoint.image must be set" in done[SECOND]["fault"]
    names = [
        each["ModelPackageGroupName"]
        for each in registered.aws.list_model_package_groups()["ModelPackageGroupSummaryList"]
    ]
    assert "another" not in names


@pytest.fixture(scope="module")
def copied(registered: Account, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """The chain of both versions is in SageMaker's ML Lineage. The DVC remote is on S3, by name."""
    project = registered.project.copy(tmp_path_factory.mktemp("copied"))
    made = Account(project, registered.lineage, registered.endpoint, registered.state)
    said = registered.lineage(project, "aws", "ml-lineage", "sync", code=2)
    assert "is a folder of this machine" in said
    project.dvc("remote", "modify", "--local", "storage", "url", REMOTE)
    missing = made.json("aws", "ml-lineage", "sync", "--dry-run", code=1)
    assert made.aws.list_artifacts()["ArtifactSummaries"] == []
    done = made.json("aws", "ml-lineage", "sync")
    assert (done["made"], done["new_associations"]) == (missing["made"], missing["new_associations"])
    return made


def source(md5: str) -> str:
    return f"{REMOTE}/files/md5/{md5[:2]}/{md5[2:]}"


def test_the_chain_is_keyed_by_remote_and_hash_and_made_once(copied: Account) -> None:
    document = copied.project.lineage
    listed = copied.aws.list_artifacts()["ArtifactSummaries"]
    by_source = {each["Source"]["SourceUri"]: each for each in listed}
    assert len(by_source) == len(listed)
    for name, kind in (("raw", "DataSet"), ("dataset", "DataSet"), ("model", "Model")):
        artifact = by_source[source(document[name]["md5"])]
        assert artifact["ArtifactType"] == kind
        said = copied.aws.describe_artifact(ArtifactArn=artifact["ArtifactArn"])
        assert said["Properties"]["sha256"] == document[name]["sha256"]
        md5 = document[name]["md5"].removesuffix(".dir")
        assert said["Source"]["SourceTypes"] == [{"SourceIdType": "MD5Hash", "Value": md5}]
    actions = copied.aws.list_actions()["ActionSummaries"]
    # both versions have one dataset version, which was made once
    assert sorted(each["ActionName"].rpartition("-")[0] for each in actions) == [
        *("evaluate", "evaluate", "fetch", "preprocess", "train", "train")
    ]
    again = copied.json("aws", "ml-lineage", "sync")
    assert (again["made"], again["new_associations"]) == ([], 0)
    assert copied.json("aws", "ml-lineage", "sync", "--dry-run")["left_out"] == {}


def test_sagemaker_answers_both_directions(copied: Account) -> None:
    document, packages = copied.project.lineage, copied.packages()
    raw, dataset, model = (source(document[name]["md5"]) for name in ("raw", "dataset", "model"))

    def reached(what: str, way: str) -> set[str]:
        return {each["source"] for each in copied.json("aws", "ml-lineage", "query", what)[way]}

    up = reached(SECOND, "led_to_it")
    assert {raw, dataset} <= up
    assert f"git:{copied.project.version_tags('2')['result_git_commit_id']}" in {one.partition("#")[0] for one in up}
    assert reached(SECOND, "came_of_it") >= {packages["2"]["ModelPackageArn"]}
    down = reached(document["raw"]["md5"], "came_of_it")
    assert {dataset, model, packages["1"]["ModelPackageArn"], packages["2"]["ModelPackageArn"]} <= down
    # the commit that holds the data made both
    commit = copied.project.version_tags("1")["data_git_commit_id"]
    assert {raw, dataset, model} <= reached(commit, "came_of_it")
    assert model not in reached(document["dataset"]["md5"], "led_to_it")
    # by boto3 alone, as others ask
    start = next(e["ArtifactArn"] for e in copied.aws.list_artifacts(SourceUri=model)["ArtifactSummaries"])
    for way, wanted in (("Ascendants", "DataSet"), ("Descendants", "ModelPackage")):
        answer = copied.aws.query_lineage(StartArns=[start], Direction=way, IncludeEdges=True)
        assert wanted in {vertex["Type"] for vertex in answer["Vertices"]}
    assert "has nothing of" in copied.lineage(copied.project, "aws", "ml-lineage", "query", "0" * 32, code=2)


def test_cleanup_takes_what_no_model_needs_any_more(copied: Account) -> None:
    ours = [{"Key": "lineage:project_id", "Value": copied.project.params["project_id"]}]

    def entity(name: str, **properties: str) -> str:
        made = copied.aws.create_action(
            ActionName=name, ActionType="Training", Source={"SourceUri": name}, Properties=properties, Tags=ours
        )
        return str(made["ActionArn"])

    gone, model, shared = entity("train-gone", model_identity="0" * 64), entity("of-gone"), entity("shared")
    foreign = copied.aws.create_artifact(ArtifactType="DataSet", Source={"SourceUri": "s3://of/others"})["ArtifactArn"]
    for pair in ((gone, model), (foreign, shared)):
        ends = dict(zip(("SourceArn", "DestinationArn"), pair, strict=True))
        copied.aws.add_association(**ends, AssociationType="ContributedTo")
    # a package whose model is nowhere, and one whose archive another one needs
    package = copied.packages()["1"]
    lost = copied.aws.create_model_package(
        ModelPackageGroupName=copied.group,
        ModelApprovalStatus="Rejected",
        InferenceSpecification=package["InferenceSpecification"],
        CustomerMetadataProperties={"mlflow_version": "99", "model_identity": "0" * 64},
    )["ModelPackageArn"]
    # what another one left in the bucket: it says whose it is, and no package names it
    mine = {"lineage-project-id": copied.project.params["project_id"]}
    folder = f"s3://{BUCKET}/{copied.project.params['compute']['sagemaker']['prefix']}/registry"
    _, _, prefix = folder.removeprefix("s3://").partition("/")
    for sha256, whose in (("0" * 64, mine), ("1" * 64, {})):
        copied.s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{sha256}/model.tar.gz", Body=b"x", Metadata=whose)
    young = {f"{item['kind']} {item['name']}": item["kept"] for item in copied.json("aws", "cleanup", "--plan")["left"]}
    assert [name for name, kept in young.items() if not kept] == []
    assert young[f"objects {folder}/{'0' * 64}"] == "it was written less than a day ago"
    assert young[f"model-package {lost.partition('/')[2]}"] == "it was made or changed less than a day ago"
    assert young["action of-gone"] == "it was made less than a day ago"
    said = copied.json("aws", "cleanup", "--plan", "--older-than", "0")
    left = {f"{item['kind']} {item['name']}": item["kept"] for item in said["left"]}
    going = {name for name, kept in left.items() if not kept}
    assert going == {
        f"model-package {lost.partition('/')[2]}",
        "model-package-group of-an-app",  # of this project by its tag, and empty
        "action of-gone",
        "action train-gone",
        f"objects {folder}/{'0' * 64}",
    }
    assert "does not bear the tag" in left["action shared"]
    [archive] = [address["ModelDataUrl"] for address in package["InferenceSpecification"]["Containers"]]
    assert left[f"objects {archive.rpartition('/')[0]}"] == "a package or a model that stays reads it"
    assert left[f"objects {folder}/{'1' * 64}"] == "it does not say which project has put it there"
    copied.lineage(copied.project, "aws", "cleanup", "--execute", "--yes", "--older-than", "0")
    copied.read(archive)
    names = {each["ActionName"] for each in copied.aws.list_actions()["ActionSummaries"]}
    assert names & {"train-gone", "of-gone", "shared"} == {"shared"}
    assert set(copied.packages()) == {"1", "2"}
    again = copied.json("aws", "ml-lineage", "sync")
    assert (again["made"], again["new_associations"]) == ([], 0)
    # one that is deleted is made again, although AWS may remember how it was asked for
    copied.aws.delete_model_package(ModelPackageName=package["ModelPackageArn"])
    assert copied.sync("sync")[FIRST]["done"][0] == "registered"
    assert copied.packages()["1"]["ModelPackageArn"] not in (package["ModelPackageArn"], lost)
