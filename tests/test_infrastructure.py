"""The CloudFormation templates of infra/: clean, and what they say of buckets, keys, roles and evidence."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from aws_standin.policy import Need, is_allowed, trusts
from baked import TEMPLATE, bake
from botocore import xform_name
from infrastructure import ACCOUNT, REGION, Infrastructure
from permissions_page import calls, shown

LINTER = str(Path(sys.executable).with_name("cfn-lint"))
APP = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-app/app-A1B2"
EVERYTHING = {"Statement": [{"Sid": "Everything", "Effect": "Allow", "Action": "*", "Resource": "*"}]}
CHOICES = {
    "ProjectId": "p1",
    "NotifyEmail": "ops@example.org",
    "MlflowArn": APP,
    "ImageRepository": "digits",
    "EndpointName": "digits",
    "PipelineName": "digits",
    "Group": "digits-p1",
    "MakeMlflowApp": "yes",
}
# actions that know no resource, by the service authorization reference; or none that is known before
ANY_RESOURCE = {"FindWhatIsThere", "ShowMetrics", "AskForImages", "FindWhatIsOurs", "ListPackages", "FindCopies"}
INLINE = 10_240  # characters of all inline policies of a role, as IAM allows
MANAGED = 6_144  # characters of a policy by itself
BODY = 51_200  # bytes of a template that is sent as it is


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A project for each answer to `ci`, with all jobs."""
    more = {"infra": "yes", "ci_jobs": "train", "mlflow_tracking_uri": "http://127.0.0.1:5000"}
    return {ci: bake(tmp_path_factory.mktemp(ci), ci=ci, **more) for ci in ("github", "gitlab", "none")}


@pytest.fixture(scope="module")
def whole(roots: dict[str, Path]) -> Infrastructure:
    """All that can be made."""
    return Infrastructure(roots["github"], CiSubject="repo:org/digits:ref:refs/heads/main", **CHOICES)


def test_cfn_lint_finds_nothing(roots: dict[str, Path]) -> None:
    templates = [*sorted((roots["github"] / "infra").glob("*.yaml"))]
    templates += [roots[ci] / "infra" / "people.yaml" for ci in ("gitlab", "none")]
    linter = [LINTER, "--regions", REGION, "--"]
    done = subprocess.run([*linter, *map(str, templates)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_linter_would_find_a_misspelt_permission(roots: dict[str, Path], tmp_path: Path) -> None:
    text = (roots["github"] / "infra" / "services.yaml").read_text().replace("logs:PutLogEvents", "logs:PutLogEvent", 1)
    (tmp_path / "services.yaml").write_text(text)
    linter = [LINTER, "--regions", REGION, "--", str(tmp_path / "services.yaml")]
    done = subprocess.run(linter, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "putlogevent" in done.stdout.lower()


def test_without_a_yes_there_is_nothing_of_it(tmp_path: Path) -> None:
    root = bake(tmp_path)
    assert not (root / "infra").exists()
    assert not (root / "docs" / "infrastructure.md").exists()
    assert "infrastructure.md" not in (root / "README.md").read_text()


def test_it_works_without_a_choice(roots: dict[str, Path]) -> None:
    for ci, root in roots.items():
        plain = Infrastructure(root, ProjectId="p1", NotifyEmail="ops@example.org", Group="digits-p1")
        assert set(plain.roles()) == {"launcher", "jobs", "pipeline", "endpoint", "mlflow", "steward"}, ci
        for path in (root / "infra").iterdir():
            assert len(path.read_bytes()) < BODY


def test_ci_takes_the_role_of_the_launcher_where_it_may_train(whole: Infrastructure, roots: dict[str, Path]) -> None:
    def federated(made: Infrastructure) -> list[Any]:
        trust = made.roles()["launcher"]["AssumeRolePolicyDocument"]["Statement"]
        return [each["Condition"] for each in trust if each["Action"] == "sts:AssumeRoleWithWebIdentity"]

    assert federated(whole) == []
    subjects = ["repo:org/digits:pull_request", "repo:org/digits:environment:main"]
    chosen = {**CHOICES, "CiSubject": "repo:org/digits:ref:refs/heads/main", "CiLauncherSubject": ",".join(subjects)}
    (condition,) = federated(Infrastructure(roots["github"], **chosen))
    assert condition["StringLike"] == {"token.actions.githubusercontent.com:sub": subjects}


def test_every_bucket_is_closed_encrypted_versioned_and_kept(whole: Infrastructure) -> None:
    seen = 0
    for stack in whole.stacks.values():
        for name, bucket in stack.resources("AWS::S3::Bucket").items():
            seen += 1
            assert all(bucket["PublicAccessBlockConfiguration"].values())
            assert len(bucket["PublicAccessBlockConfiguration"]) == 4
            assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
            assert bucket["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
            (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
            assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
            assert rule["ServerSideEncryptionByDefault"]["KMSMasterKeyID"].startswith("arn:aws:kms:")
            raw = stack.template["Resources"][name]
            assert (raw["DeletionPolicy"], raw["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert seen == 5


@pytest.mark.parametrize(
    ("context", "allowed"),
    [
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}, True),
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.2"}, True),
        ({"aws:SecureTransport": "true", "s3:TlsVersion": "1.1"}, False),
        ({"aws:SecureTransport": "false"}, False),
    ],
)
def test_buckets_take_tls_alone(whole: Infrastructure, context: dict[str, str], allowed: bool) -> None:
    policies = buckets_policies(whole)
    assert len(policies) == 5
    for bucket, policy in policies.items():
        for action, resource in (
            ("s3:GetObject", f"arn:aws:s3:::{bucket}/x"),
            ("s3:ListBucket", f"arn:aws:s3:::{bucket}"),
        ):
            assert is_allowed(Need(action, resource, context), [EVERYTHING], [policy]) == allowed


def test_the_remote_takes_no_other_key(whole: Infrastructure) -> None:
    storage = whole.stacks["storage"]
    (policy,) = [policy for name, policy in buckets_policies(whole).items() if "-data-" in name]
    own, bucket = storage.outputs["DataKeyArn"], storage.ref("DataBucket")
    header = "s3:x-amz-server-side-encryption-aws-kms-key-id"
    for key, allowed in ((None, True), (own, True), (f"{own}-of-others", False)):
        context = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", **({header: key} if key else {})}
        need = Need("s3:PutObject", f"arn:aws:s3:::{bucket}/dvc/x", context)
        assert is_allowed(need, [EVERYTHING], [policy]) == allowed


def buckets_policies(whole: Infrastructure) -> dict[str, Any]:
    found = [policy for stack in whole.stacks.values() for policy in stack.resources("AWS::S3::BucketPolicy").values()]
    return {policy["Bucket"]: policy["PolicyDocument"] for policy in found}


def test_evidence_is_locked_and_is_never_the_remote(whole: Infrastructure) -> None:
    evidence = whole.stacks["evidence"]
    bucket = evidence.resources("AWS::S3::Bucket")["EvidenceBucket"]
    retention = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert bucket["ObjectLockEnabled"] is True
    assert retention == {"Mode": "GOVERNANCE", "Days": 3650}
    assert "LifecycleConfiguration" not in bucket
    for storage in whole.stacks["storage"].resources("AWS::S3::Bucket").values():
        assert not {"ObjectLockEnabled", "ObjectLockConfiguration"} & set(storage)
    outputs = whole.outputs()
    assert bucket["BucketName"] not in outputs["DvcRemote"]
    assert outputs["EvidenceAddress"].startswith(f"s3://{bucket['BucketName']}/")
    lifted = Need("s3:BypassGovernanceRetention", f"arn:aws:s3:::{bucket['BucketName']}/evidence/x")
    policy = buckets_policies(whole)[bucket["BucketName"]]
    assert not is_allowed(lifted, [EVERYTHING], [policy])


def test_the_trail_sees_every_object_and_is_validated(whole: Infrastructure) -> None:
    (trail,) = whole.stacks["evidence"].resources("AWS::CloudTrail::Trail").values()
    assert trail["EnableLogFileValidation"] is True
    assert trail["IsMultiRegionTrail"] is True
    data = [one["FieldSelectors"] for one in trail["AdvancedEventSelectors"]][1]
    seen = next(field["StartsWith"] for field in data if field["Field"] == "resources.ARN")
    buckets = [b["BucketName"] for b in whole.stacks["storage"].resources("AWS::S3::Bucket").values()]
    assert {f"arn:aws:s3:::{bucket}/" for bucket in buckets} <= set(seen)
    assert trail["S3BucketName"] == whole.stacks["evidence"].ref("EvidenceBucket")
    # by the bucket's policy and the key's, CloudTrail may write there, and only this trail
    arn = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail/{trail['TrailName']}"
    text = json.dumps(
        [buckets_policies(whole)[trail["S3BucketName"]], whole.stacks["evidence"].resources()["EvidenceKey"]]
    )
    assert text.count(arn) == 4


def test_what_endpoints_pipelines_and_mlflow_read_is_not_forgotten(whole: Infrastructure) -> None:
    bucket = whole.stacks["storage"].resources("AWS::S3::Bucket")["JobsBucket"]
    rules = [rule for rule in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in rule]
    forgotten = tuple(rule["Prefix"] for rule in rules)
    assert all(prefix.startswith("traceable-digits/") for prefix in forgotten)
    for kept in (
        "serving/x/model.tar.gz",
        "pipelines/code/x/launch.py",
        "mlflow/1/model",
        "digits-train-1/input/code/x",
    ):
        assert not f"traceable-digits/{kept}".startswith(forgotten)
    for gone in ("projects/x", "reports/x.json", "output/x/output/model.tar.gz", "checkpoints/x/state", "captured/x"):
        assert f"traceable-digits/{gone}".startswith(forgotten)


def test_keys_rotate_and_are_kept(whole: Infrastructure) -> None:
    keys = [(stack, name) for stack in whole.stacks.values() for name in stack.resources("AWS::KMS::Key")]
    assert len(keys) == 2
    for stack, name in keys:
        assert stack.resources()[name]["EnableKeyRotation"] is True
        assert stack.template["Resources"][name]["DeletionPolicy"] == "Retain"


def statements(whole: Infrastructure) -> list[tuple[str, dict[str, Any]]]:
    return [
        (name, statement)
        for name, role in whole.roles().items()
        for policy in role["Policies"]
        for statement in policy["PolicyDocument"]["Statement"]
    ]


def test_roles_name_actions_and_resources(whole: Infrastructure) -> None:
    for role, statement in statements(whole):
        assert statement["Effect"] == "Allow"
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        # of MLflow all that reads, which changes with its versions
        assert not [one for one in actions if "*" in one and not one.startswith("sagemaker-mlflow:")], role
        resources = statement["Resource"] if isinstance(statement["Resource"], list) else [statement["Resource"]]
        assert ("*" in resources) == (statement["Sid"] in ANY_RESOURCE), (role, statement["Sid"])
    for role in whole.roles().values():
        sizes = [
            (len(json.dumps(policy["PolicyDocument"], separators=(",", ":"))), "Managed" in policy)
            for policy in role["Policies"]
        ]
        assert sum(size for size, is_managed in sizes if not is_managed) < INLINE
        assert all(size < MANAGED for size, is_managed in sizes if is_managed)


def test_sids_are_unique_in_a_role(whole: Infrastructure) -> None:
    named = [(role, statement["Sid"]) for role, statement in statements(whole)]
    assert len(named) == len(set(named))


def test_the_steward_alone_deletes_and_nobody_lifts_a_lock(whole: Infrastructure) -> None:
    for role, statement in statements(whole):
        actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        deletes = [one for one in actions if one.startswith("s3:Delete")]
        # to the launcher, what a job would have gone on from; it is no record of anything
        assert (
            not deletes or role == "steward" or str(statement["Resource"]).endswith("/traceable-digits/checkpoints/*")
        )
        assert not [one for one in actions if "Bypass" in one or "Retention" in one or "LegalHold" in one]
        assert not [one for one in actions if one.startswith(("iam:", "kms:", "cloudtrail:")) and one not in HARMLESS]
        if role == "steward":
            assert "-evidence-" not in json.dumps(statement["Resource"])


def may(whole: Infrastructure, role: str, action: str, resource: str) -> bool:
    """Whether a role may do something with what bears no tag."""
    documents = [policy["PolicyDocument"] for policy in whole.roles()[role]["Policies"]]
    return is_allowed(Need(action, resource), documents)


def test_nobody_with_a_role_changes_who_consents(whole: Infrastructure) -> None:
    bucket = whole.outputs()["ConsentAddress"].removeprefix("s3://")
    assert bucket == whole.stacks["storage"].ref("ConsentBucket")
    registry = f"arn:aws:s3:::{bucket}/registry.csv"
    readers = {role for role in whole.roles() if may(whole, role, "s3:GetObject", registry)}
    assert readers == {"launcher", "jobs", "ci"}
    for role in whole.roles():
        for action in ("PutObject", "DeleteObject", "DeleteObjectVersion", "PutObjectTagging", "RestoreObject"):
            assert not may(whole, role, f"s3:{action}", registry), (role, action)
        assert not may(whole, role, "s3:PutLifecycleConfiguration", f"arn:aws:s3:::{bucket}")


@pytest.mark.parametrize(
    ("key", "reads", "writes"),
    [
        ("serving/0a/model.tar.gz", True, False),
        ("registry/0a/model.tar.gz", True, False),
        ("inputs/scan.png", True, False),
        ("answers/scan.png.out", False, True),
        ("captured/digits/AllTraffic/x.jsonl", False, True),
        ("pipelines/code/0a/launch.py", False, False),
        ("projects/0a/project.tar.gz", False, False),
        ("reports/0a.json", False, False),
        ("spark/0a/part.parquet", False, False),
        ("checkpoints/0a/state", False, False),
    ],
)
def test_an_endpoint_reads_models_and_inputs_and_writes_answers(
    whole: Infrastructure, key: str, reads: bool, writes: bool
) -> None:
    address = f"arn:aws:s3:::{whole.outputs()['JobsBucketName']}/traceable-digits/{key}"
    assert may(whole, "endpoint", "s3:GetObject", address) == reads
    assert may(whole, "endpoint", "s3:PutObject", address) == writes
    data = whole.outputs()["DvcRemote"].removeprefix("s3://")
    assert not may(whole, "endpoint", "s3:GetObject", f"arn:aws:s3:::{data}/files/md5/0a/1b")


def test_packages_of_other_groups_are_out_of_reach(whole: Infrastructure) -> None:
    """Of a project whose name begins likewise, and of an MLflow app for a model of this one's."""
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package"
    for role, action in (("launcher", "UpdateModelPackage"), ("steward", "DeleteModelPackage")):
        assert may(whole, role, f"sagemaker:{action}", f"{arn}/digits-p1/1")
        for group in ("digitsandmore-p2", "digits-0a1b2c", "digits-p2", "digits"):
            assert not may(whole, role, f"sagemaker:{action}", f"{arn}/{group}/1"), (role, group)
    assert may(whole, "launcher", "sagemaker:CreateModelPackage", f"{arn}-group/digits-p1")
    assert not may(whole, "launcher", "sagemaker:CreateModelPackage", f"{arn}-group/digits-p10")


HARMLESS = {"iam:PassRole", "kms:Decrypt", "kms:GenerateDataKey", "kms:CreateGrant", "kms:DescribeKey"}


def test_who_may_take_a_role(whole: Infrastructure) -> None:
    trusted = {name: role["AssumeRolePolicyDocument"] for name, role in whole.roles().items()}
    here, there = {"aws:SourceAccount": ACCOUNT}, {"aws:SourceAccount": "999999999999"}
    for name in ("jobs", "endpoint", "mlflow"):
        assert trusts(trusted[name], "sagemaker.amazonaws.com", here)
        assert not trusts(trusted[name], "sagemaker.amazonaws.com", there)
    assert trusts(trusted["events"], "events.amazonaws.com", here)
    (ci,) = trusted["ci"]["Statement"]
    assert ci["Condition"]["StringEquals"] == {"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}
    subject = {"token.actions.githubusercontent.com:sub": ["repo:org/digits:ref:refs/heads/main"]}
    assert ci["Condition"]["StringLike"] == subject


def test_an_opt_out_starts_the_pipeline_and_is_not_lost(whole: Infrastructure) -> None:
    operations = whole.stacks["operations"]
    (target,) = operations.resources("AWS::Events::Rule")["OptOut"]["Targets"]
    pipeline = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:pipeline/digits"
    assert target["Arn"] == pipeline
    (statement,) = whole.roles()["events"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert is_allowed(Need("sagemaker:StartPipelineExecution", pipeline), [{"Statement": [statement]}])
    alarm = operations.resources("AWS::CloudWatch::Alarm")["OptOutLost"]
    assert target["DeadLetterConfig"]["Arn"] == operations.attribute("LostEvents", "Arn")
    assert alarm["Dimensions"][0]["Value"] == operations.resources("AWS::SQS::Queue")["LostEvents"]["QueueName"]
    assert alarm["AlarmActions"] == [operations.ref("Notices")]


def test_the_budget_counts_what_has_the_tag(whole: Infrastructure) -> None:
    (budget,) = whole.stacks["operations"].resources("AWS::Budgets::Budget").values()
    assert budget["Budget"]["CostFilters"] == {"TagKeyValue": ["user:lineage:project_id$p1"]}


NAMES = """
import json
from pathlib import Path
from lineage.compute.sagemaker.jobs import base_name
from lineage.compute.sagemaker.pipelines.plan import pipeline_name
from lineage.compute.sagemaker.settings import SageMakerSettings
from lineage.mirror.group import group_name
from lineage.settings import load_settings

settings = load_settings(Path("params.yaml"))
there = SageMakerSettings.of(settings)
print(json.dumps({
    "job": base_name(there.prefix, "train"), "pipeline": pipeline_name(there), "group": group_name(settings, there),
    "prefix": there.prefix, "project": settings.project_id,
}))
"""


@pytest.mark.parametrize(
    ("slug", "begins"),
    [
        ("My_Scans", "my-scans"),
        ("Scans__of-a-very_Lon-Name-that_ends_in_a_sign_at_the_5__-x98765", "scans-of-a-very-lon-name"),
    ],
)
def test_names_are_those_of_the_code_whatever_the_slug(tmp_path: Path, slug: str, begins: str) -> None:
    root = bake(tmp_path, infra="yes", project_slug=slug)
    inside = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    asked = subprocess.run(
        [sys.executable, "-c", NAMES], cwd=root, env=inside, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 0, asked.stderr
    code = json.loads(asked.stdout)
    pages = "".join((root / "docs" / name).read_text() for name in ("infrastructure.md", "sagemaker.md"))
    # what the manual has people give; AWS has small letters in ARNs
    (group,) = set(re.findall(r"Group=(\S+)-\$\{ID:0:8\}", pages))
    assert f"{group}-{code['project'][:8]}" == code["group"].lower()
    assert set(re.findall(r"PipelineName=([a-z0-9-]+)", pages)) == {code["pipeline"].lower()}
    made = Infrastructure(root, ProjectId=code["project"], NotifyEmail="ops@example.org", Group=group)
    assert made.stacks["storage"].parameters["Name"] == begins
    for stack in (made.stacks[name] for name in ("storage", "services", "people")):
        assert stack.parameters["Prefix"] == code["prefix"]
    assert made.stacks["people"].parameters["Pipeline"] == code["pipeline"].lower()
    # names of jobs keep their letters in events
    begin = made.stacks["operations"].resources("AWS::Events::Rule")["JobFailed"]["EventPattern"]["detail"]["$or"]
    assert code["job"].startswith(begin[0]["TrainingJobName"][0]["prefix"])
    for stack in made.stacks.values():
        for name, says in stack.template["Parameters"].items():
            assert re.fullmatch(says.get("AllowedPattern", ".*"), str(stack.parameters[name])), name


def test_every_statement_of_infra_is_on_the_page_and_no_other(whole: Infrastructure) -> None:
    page = shown(TEMPLATE / "{{cookiecutter.project_slug}}")
    assert {(role, statement["Sid"]) for role, statement in statements(whole)} == set(page)
    assert {text.partition(":")[0] for text in page.values()} == {"here", "AWS only"}


# methods of MLflow's client, of `re` and of our own that are called like operations of SageMaker
NOT_OF_AWS = {"create_experiment", "list_artifacts", "search", "describe_job"}
SERVICES = ("sagemaker", "sagemaker-runtime", "s3", "logs", "sts", "secretsmanager", "resourcegroupstaggingapi")


def test_every_call_in_the_code_is_on_the_page() -> None:
    inside = TEMPLATE / "{{cookiecutter.project_slug}}"
    session = botocore.session.get_session()
    operations = {
        xform_name(name): (service, name)
        for service in SERVICES
        for name in session.get_service_model(service).operation_names
    }
    listed = " ".join(call.name for call in calls(inside))
    missing = set()
    for path in (*inside.glob("lineage/**/*.py"), *inside.glob("{{*/**/*.py"), *inside.glob("scripts/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "value", None)
            if isinstance(name, str) and name in operations and name not in NOT_OF_AWS:
                service, operation = operations[name]
                if not re.search(rf"\b{operation}\b", listed):
                    missing.add(f"{service} {operation} ({path.name})")
    assert missing == set()
