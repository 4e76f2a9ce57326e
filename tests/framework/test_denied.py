from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from lineage.base.denied import reason_of


def refused(operation: str, message: str, code: str = "AccessDenied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


KMS = "User: arn:aws:sts::1:role/jobs/x is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms"


@pytest.mark.parametrize(
    ("error", "missing"),
    [
        (refused("HeadObject", "Forbidden", "403"), "s3:GetObject (and s3:ListBucket)"),
        (refused("PutObject", "Access Denied"), "s3:PutObject (and kms:GenerateDataKey, where the bucket has a key)"),
        (refused("PutObject", KMS), "kms:GenerateDataKey"),
        (refused("CreateProcessingJob", "x is not authorized to perform: iam:PassRole on y"), "iam:PassRole"),
        (refused("StopTrainingJob", "no"), "the right to call StopTrainingJob"),
    ],
)
@pytest.mark.parametrize("is_wrapped", [False, True])
def test_the_permission_that_is_missing(error: ClientError, missing: str, is_wrapped: bool) -> None:
    shown: BaseException = error
    if is_wrapped:  # as s3fs does
        shown = PermissionError("Forbidden")
        shown.__cause__ = error
    assert reason_of(shown).endswith(f"Missing: {missing}")
    assert "\n" not in reason_of(shown)


def test_what_aws_did_not_refuse() -> None:
    assert reason_of(OSError("disk full\nand more")) == "disk full"
    assert reason_of(ValueError()) == "ValueError"
    assert reason_of(refused("GetObject", "gone", "NoSuchKey")).endswith("gone")
