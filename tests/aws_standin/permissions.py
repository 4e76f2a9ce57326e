"""IAM, where a test asks for it: who a request is from, and whether the policies of that role allow it.

It is in force while the file `enforce` lies in the state's folder. What was asked is written to `requests.jsonl`, be it
allowed or not, each request once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import PermissionResult
from moto.iam.models import iam_backends
from moto.s3.models import FakeBucket, s3_backends
from moto.sts.models import sts_backends

from .needs import Needs
from .place import ADMINISTRATOR
from .policy import Need, is_allowed, trusts
from .tags import tags_of

SWITCH, LOG = "enforce", "requests.jsonl"


class Permissions:
    """Whom the stand-in allows what."""

    def __init__(self, state: Path, region: str, more_tags: Callable[[str], dict[str, str]]) -> None:
        self._state = state
        self._region = region
        self._needs = Needs(
            DEFAULT_ACCOUNT_ID, region, key_of_bucket, has_object, lambda arn: more_tags(arn) or tags_of(arn, region)
        )
        self._seen: set[str] = set()
        # moto takes a denial with a condition (TLS only) for one without
        FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL
        self._lock = threading.Lock()

    @property
    def are_enforced(self) -> bool:
        return (self._state / SWITCH).exists()

    def refusal(self, environ: dict[str, Any], body: bytes) -> str | None:
        """Why a request is refused, in AWS's words; None if it is allowed."""
        key, service = signed_by(environ)
        if key == ADMINISTRATOR:
            return None
        return self._refusal(key, self._needs.of(service, environ, body))

    def require(self, credentials: dict[str, str], action: str, resource: str) -> None:
        """Raises PermissionError unless a session may do what a service does in its role without a request here."""
        if refused := self._refusal(credentials["AWS_ACCESS_KEY_ID"], [Need(action, resource)]):
            raise PermissionError(refused)

    def _refusal(self, key: str, needs: Iterable[Need]) -> str | None:
        session = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].get_assumed_role_from_access_key(key)
        if session is None:
            return f"nobody has the key {key!r}"
        name = session.role_arn.split("/")[-1]
        policies = policies_of(name)
        for need in needs:
            allowed = is_allowed(need, policies, bucket_policies(need))
            self._note(name, need, allowed=allowed)
            if not allowed:
                return f"User: {session.arn} is not authorized to perform: {need.action} on resource: {need.resource}"
        return None

    def credentials(self, role_arn: str, service: str = "sagemaker.amazonaws.com") -> dict[str, str]:
        """Those of a session of a service in a role. Raises PermissionError if the role does not trust it."""
        role = iam_backends[DEFAULT_ACCOUNT_ID]["aws"].get_role_by_arn(role_arn)
        context = {"aws:SourceAccount": DEFAULT_ACCOUNT_ID}
        if not trusts(json.loads(role.assume_role_policy_document), service, context):
            raise PermissionError(f"{service} may not assume {role_arn}")
        session = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
            region_name=self._region,
            role_session_name=service.partition(".")[0],
            role_arn=role_arn,
            policy="",
            duration=3600,
            external_id="",
        )
        return {
            "AWS_ACCESS_KEY_ID": session.access_key_id,
            "AWS_SECRET_ACCESS_KEY": session.secret_access_key,
            "AWS_SESSION_TOKEN": session.session_token,
        }

    def _note(self, role: str, need: Need, *, allowed: bool) -> None:
        entry = {"role": role, "action": need.action, "resource": need.resource, "context": dict(need.context)}
        line = json.dumps({**entry, "allowed": allowed}, sort_keys=True)
        with self._lock:
            if line not in self._seen:
                self._seen.add(line)
                with (self._state / LOG).open("a", encoding="utf-8") as log:
                    log.write(line + "\n")


def signed_by(environ: dict[str, Any]) -> tuple[str, str]:
    """The access key that a request is signed with, and the service that it is for; empty if it is not signed."""
    query = parse_qs(environ.get("QUERY_STRING", ""))
    signed = environ.get("HTTP_AUTHORIZATION", "").partition("Credential=")[2].partition(",")[0]
    scope = (signed or query.get("X-Amz-Credential", [""])[0]).split("/")
    if len(scope) == 5:
        return scope[0], scope[3]
    return query.get("AWSAccessKeyId", [""])[0], "s3"  # an address of S3 that was signed in the older way


def policies_of(role_name: str) -> list[dict[str, Any]]:
    """The inline policies of a role."""
    return [json.loads(text) for text in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].get_role(role_name).policies.values()]


def bucket_policies(need: Need) -> Iterable[dict[str, Any]]:
    """The policy of the bucket that is asked for something."""
    if not need.resource.startswith("arn:aws:s3:::"):
        return []
    name = need.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
    return [json.loads(bucket.policy)] if bucket is not None and bucket.policy else []


def has_object(bucket: str, key: str) -> bool:
    """Whether a bucket holds an object of that name now."""
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    return found is not None and found.keys.get(key) is not None


def key_of_bucket(name: str) -> str | None:
    """The ARN of the KMS key that a bucket encrypts with."""
    bucket = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(name)
    if bucket is None or not bucket.encryption:
        return None
    rule = bucket.encryption["Rule"]
    rule = rule[0] if isinstance(rule, list) else rule
    return rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID")
