"""Which permission is missing, where AWS refuses something: its own words, or what the refused call needs."""

from __future__ import annotations

import re

CODES = {"AccessDenied", "AccessDeniedException", "403", "Forbidden", "AllAccessDisabled", "KMS.AccessDeniedException"}
# where AWS only says no: HEAD requests have no text
NEEDED = {
    "HeadObject": "s3:GetObject (and s3:ListBucket)",
    "GetObject": "s3:GetObject (and kms:Decrypt, where the bucket has a key)",
    "PutObject": "s3:PutObject (and kms:GenerateDataKey, where the bucket has a key)",
    "CreateMultipartUpload": "s3:PutObject (and kms:GenerateDataKey, where the bucket has a key)",
    "UploadPart": "s3:PutObject (and kms:GenerateDataKey, where the bucket has a key)",
    "CompleteMultipartUpload": "s3:PutObject (and kms:Decrypt, where the bucket has a key)",
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
    "DeleteObject": "s3:DeleteObject",
    "GetSecretValue": "secretsmanager:GetSecretValue",
    "GetLogEvents": "logs:GetLogEvents",
    "DescribeLogStreams": "logs:DescribeLogStreams",
}
PERMISSION = re.compile(r"not authorized to perform: ?([a-z0-9-]+:[A-Za-z]+)|\b(kms:[A-Z]\w+)")


def reason_of(error: BaseException) -> str:
    """The first line of what went wrong; where AWS refused it, with the permission that is missing."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    refused = _refusal(error)
    if refused is None:
        return first
    operation, message = refused
    said = PERMISSION.search(message)
    needed = (said.group(1) or said.group(2)) if said else NEEDED.get(operation, f"the right to call {operation}")
    own = f"{first.rstrip('.')}; " if message not in first else ""
    text = f"{own}AWS refused {operation}: {' '.join(message.split())[:300].rstrip('.') or 'no reason given'}"
    return f"{text}. Missing: {needed}"


def _refusal(error: BaseException | None) -> tuple[str, str] | None:
    """The call that AWS refused and its words, from wherever other libraries have wrapped them; None if it did not."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        answer = getattr(error, "response", None)
        if isinstance(answer, dict):
            said = answer.get("Error") or {}
            if str(said.get("Code")) in CODES:
                return str(getattr(error, "operation_name", "a call")), str(said.get("Message") or "")
        error = error.__cause__ or error.__context__
    return None
