"""The CloudFormation templates of a project: read, resolved, and set up in the stand-in for AWS.

moto's own CloudFormation says CREATE_COMPLETE and ignores what is set of buckets. Here everything that has an API in
the stand-in is made by it, as the template has it; what has none is only resolved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

ACCOUNT, REGION = "123456789012", "eu-central-1"
STACKS = ("storage", "evidence", "services", "people", "operations")
PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Region": REGION, "AWS::Partition": "aws", "AWS::URLSuffix": "amazonaws.com"}
NOTHING = object()


class _Loader(yaml.SafeLoader):
    """YAML with the short forms of CloudFormation (!Ref, !Sub, !GetAtt, ...) as the long ones."""


def _tagged(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}"
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
        return {name: value.split(".", 1) if suffix == "GetAtt" else value}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


def read_template(text: str) -> dict[str, Any]:
    """A CloudFormation template. Raises ValueError for an alias, which CloudFormation refuses."""
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
        raise ValueError("CloudFormation takes no aliases of YAML")
    return dict(yaml.load(text, _Loader))


@dataclass
class Stack:
    """A template with its parameters, every function of CloudFormation resolved."""

    name: str
    template: dict[str, Any]
    given: dict[str, str] = field(default_factory=dict)
    exports: dict[str, Any] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)  # what AWS named: keys

    @cached_property
    def parameters(self) -> dict[str, Any]:
        declared = self.template.get("Parameters", {})
        missing = [name for name, says in declared.items() if "Default" not in says and name not in self.given]
        assert not missing, missing
        values = {name: self.given.get(name, says.get("Default")) for name, says in declared.items()}
        lists = {name for name, says in declared.items() if says["Type"] == "CommaDelimitedList"}
        return {name: value.split(",") if name in lists else value for name, value in values.items()}

    def holds(self, condition: str) -> bool:
        return bool(self.resolve(self.template["Conditions"][condition]))

    def resources(self, kind: str = "") -> dict[str, dict[str, Any]]:
        """The properties of the resources of a type, by logical id, without those whose condition does not hold."""
        return {
            name: self.resolve(resource.get("Properties", {}))
            for name, resource in self.template["Resources"].items()
            if kind in ("", resource["Type"]) and ("Condition" not in resource or self.holds(resource["Condition"]))
        }

    @property
    def outputs(self) -> dict[str, Any]:
        outputs = self.template.get("Outputs", {})
        return {
            name: self.resolve(output["Value"])
            for name, output in outputs.items()
            if "Condition" not in output or self.holds(output["Condition"])
        }

    def export(self) -> dict[str, Any]:
        outputs = self.template.get("Outputs", {})
        return {
            self.resolve(output["Export"]["Name"]): self.resolve(output["Value"])
            for output in outputs.values()
            if "Export" in output
        }

    def resolve(self, value: Any) -> Any:
        """A value without functions; entries that are AWS::NoValue are left out."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NOTHING]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name in FUNCTIONS:
                return FUNCTIONS[name](self, argument)
            assert not name.startswith("Fn::"), name
        resolved = {key: self.resolve(item) for key, item in value.items()}
        return {key: item for key, item in resolved.items() if item is not NOTHING}

    def ref(self, name: str) -> Any:
        if name == "AWS::NoValue":
            return NOTHING
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        resource = self.template["Resources"][name]
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::S3::Bucket":
            return self.resolve(properties["BucketName"])
        if resource["Type"] == "AWS::IAM::Role":
            return self.resolve(properties["RoleName"])
        return self.attribute(name, "Arn")

    def attribute(self, name: str, attribute: str) -> Any:
        resource = self.template["Resources"][name]
        if attribute != "Arn":
            return self.resolve(resource["Properties"][attribute])
        if resource["Type"] == "AWS::S3::Bucket":
            return f"arn:aws:s3:::{self.ref(name)}"
        if resource["Type"] == "AWS::IAM::Role":
            return f"arn:aws:iam::{ACCOUNT}:role/{self.ref(name)}"
        return self.ids.get(name, f"arn:aws:{resource['Type'].split('::')[1].lower()}:{REGION}:{ACCOUNT}:{name}")

    def sub(self, argument: Any) -> str:
        text, more = (argument, {}) if isinstance(argument, str) else argument

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in more:
                return str(self.resolve(more[name]))
            return str(self.attribute(*name.split(".", 1)) if "." in name else self.ref(name))

        return re.sub(r"\$\{([^!}]+)\}", value, text)


FUNCTIONS: dict[str, Callable[[Stack, Any], Any]] = {
    "Ref": lambda stack, name: stack.ref(name),
    "Condition": lambda stack, name: stack.holds(name),
    "Fn::GetAtt": lambda stack, path: stack.attribute(*path),
    "Fn::Sub": lambda stack, text: stack.sub(text),
    "Fn::Join": lambda stack, parts: stack.resolve(parts[0]).join(stack.resolve(parts[1])),
    "Fn::Equals": lambda stack, two: stack.resolve(two[0]) == stack.resolve(two[1]),
    "Fn::Not": lambda stack, one: not stack.resolve(one[0]),
    "Fn::Or": lambda stack, some: any(map(stack.resolve, some)),
    "Fn::And": lambda stack, some: all(map(stack.resolve, some)),
    "Fn::If": lambda stack, three: stack.resolve(three[1] if stack.holds(three[0]) else three[2]),
    "Fn::ImportValue": lambda stack, name: stack.exports[stack.resolve(name)],
}


class Infrastructure:
    """All stacks of a project."""

    def __init__(self, root: Path, **given: str) -> None:
        self.stacks: dict[str, Stack] = {}
        self.exports: dict[str, Any] = {}
        for name in STACKS:
            template = read_template((root / "infra" / f"{name}.yaml").read_text(encoding="utf-8"))
            wanted = {key: value for key, value in given.items() if key in template["Parameters"]}
            self.stacks[name] = Stack(name, template, wanted, self.exports)
            self.exports |= self.stacks[name].export()

    def outputs(self) -> dict[str, Any]:
        return {name: value for stack in self.stacks.values() for name, value in stack.outputs.items()}

    def roles(self) -> dict[str, dict[str, Any]]:
        """The properties of every role, by the end of its name: launcher, jobs, ...

        Its `Policies` are those that lie in it and, marked as `Managed`, those that are attached to it.
        """
        found = [role for stack in self.stacks.values() for role in stack.resources("AWS::IAM::Role").values()]
        roles = {role["RoleName"].rpartition("-")[2]: role for role in found}
        for stack in self.stacks.values():
            for policy in stack.resources("AWS::IAM::ManagedPolicy").values():
                made = {"PolicyName": policy["ManagedPolicyName"], "PolicyDocument": policy["PolicyDocument"]}
                for name in policy["Roles"]:
                    roles[name.rpartition("-")[2]]["Policies"].append({**made, "Managed": True})
        return roles

    def set_up(self, client: Callable[[str], Any]) -> None:
        """Makes keys, buckets and roles by the API that `client` leads to."""
        for stack in self.stacks.values():
            for name, key in stack.resources("AWS::KMS::Key").items():
                policy = json.dumps(key["KeyPolicy"])
                stack.ids[name] = client("kms").create_key(Policy=policy)["KeyMetadata"]["Arn"]
            self.exports |= stack.export()
        for stack in self.stacks.values():
            for bucket in stack.resources("AWS::S3::Bucket").values():
                make_bucket(client("s3"), bucket)
            for policy in stack.resources("AWS::S3::BucketPolicy").values():
                client("s3").put_bucket_policy(Bucket=policy["Bucket"], Policy=json.dumps(policy["PolicyDocument"]))
        for role in self.roles().values():
            make_role(client("iam"), role)


def make_role(iam: Any, role: dict[str, Any]) -> None:
    trust = json.dumps(role["AssumeRolePolicyDocument"])
    iam.create_role(RoleName=role["RoleName"], AssumeRolePolicyDocument=trust)
    for policy in role["Policies"]:
        document = json.dumps(policy["PolicyDocument"])
        iam.put_role_policy(RoleName=role["RoleName"], PolicyName=policy["PolicyName"], PolicyDocument=document)


def make_bucket(s3: Any, wanted: dict[str, Any]) -> None:
    """A bucket with every property of the template; raises KeyError for one that is not known here."""
    wanted = dict(wanted)
    name = wanted.pop("BucketName")
    locked = {"ObjectLockEnabledForBucket": True} if wanted.pop("ObjectLockEnabled", False) else {}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}, **locked)
    for key, value in wanted.items():
        SETTERS[key](s3, name, value)


def _lifecycle(s3: Any, name: str, value: dict[str, Any]) -> None:
    rules = []
    for rule in value["Rules"]:
        made: dict[str, Any] = {
            "ID": rule["Id"],
            "Status": rule["Status"],
            "Filter": {"Prefix": rule.get("Prefix", "")},
        }
        if days := rule.get("NoncurrentVersionExpiration"):
            made["NoncurrentVersionExpiration"] = {"NoncurrentDays": int(days["NoncurrentDays"])}
        if "AbortIncompleteMultipartUpload" in rule:
            made["AbortIncompleteMultipartUpload"] = rule["AbortIncompleteMultipartUpload"]
        if "ExpirationInDays" in rule:
            made["Expiration"] = {"Days": int(rule["ExpirationInDays"])}
        if rule.get("ExpiredObjectDeleteMarker"):
            made["Expiration"] = {"ExpiredObjectDeleteMarker": True}
        rules.append(made)
    s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": rules})


def _encryption(s3: Any, name: str, value: dict[str, Any]) -> None:
    (rule,) = value["ServerSideEncryptionConfiguration"]
    asked = rule["ServerSideEncryptionByDefault"]
    made = {"SSEAlgorithm": asked["SSEAlgorithm"], "KMSMasterKeyID": asked["KMSMasterKeyID"]}
    rules = [{"ApplyServerSideEncryptionByDefault": made, "BucketKeyEnabled": rule["BucketKeyEnabled"]}]
    s3.put_bucket_encryption(Bucket=name, ServerSideEncryptionConfiguration={"Rules": rules})


def _lock(s3: Any, name: str, value: dict[str, Any]) -> None:
    retention = value["Rule"]["DefaultRetention"]
    made = {"Mode": retention["Mode"], "Days": int(retention["Days"])}
    configuration = {"ObjectLockEnabled": value["ObjectLockEnabled"], "Rule": {"DefaultRetention": made}}
    s3.put_object_lock_configuration(Bucket=name, ObjectLockConfiguration=configuration)


SETTERS: dict[str, Callable[[Any, str, Any], Any]] = {
    "VersioningConfiguration": lambda s3, name, value: s3.put_bucket_versioning(
        Bucket=name, VersioningConfiguration=value
    ),
    "PublicAccessBlockConfiguration": lambda s3, name, value: s3.put_public_access_block(
        Bucket=name, PublicAccessBlockConfiguration=value
    ),
    "OwnershipControls": lambda s3, name, value: s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=value),
    "BucketEncryption": _encryption,
    "LifecycleConfiguration": _lifecycle,
    "ObjectLockConfiguration": _lock,
}
