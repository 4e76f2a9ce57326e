"""How SageMaker's ML Lineage names what the chain is made of: by the DVC remote and the hash, by repository and commit.

There is one artifact for each address, so that pipelines and versions that name the same thing meet in it.
https://docs.aws.amazon.com/sagemaker/latest/dg/lineage-tracking-entities.html
"""

from __future__ import annotations

import re

HOSTED = re.compile(r"(?!file:|sqlite:)[a-z+]+://.+|[\w.-]+@[\w.-]+:.+")  # an address that others can reach, or could


def of_object(remote: str, md5: str) -> str:
    """Where an object of DVC lies: `remote` is the address of the remote."""
    return f"{remote.rstrip('/')}/files/md5/{md5[:2]}/{md5[2:]}"


def of_commit(repository: str | None, commit: str) -> str:
    """A commit; without its repository where that is a folder, which means nothing elsewhere."""
    return f"{repository}#{commit}" if repository and HOSTED.fullmatch(repository) else f"git:{commit}"
