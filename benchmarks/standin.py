"""S3 on this machine: the stand-in for AWS of the tests. What it takes itself is not counted."""

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
REGION, BUCKET = "eu-central-1", "bench"


class Bucket:
    """An empty bucket."""

    def __init__(self, endpoint):
        keys = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench"}
        self.environment = {**keys, "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
        os.environ.update(self.environment)
        import boto3

        self.client = boto3.client("s3")
        self.client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    def url(self, prefix):
        return f"s3://{BUCKET}/{prefix}"

    def objects(self, prefix):
        """When each object was last written, by the hash that DVC gives it; and its size."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{prefix}/")
        found = [item for page in pages for item in page.get("Contents", [])]
        return {"".join(item["Key"].split("/")[-2:]): (item["LastModified"], item["Size"]) for item in found}


@contextmanager
def standin(folder):
    """A bucket of a stand-in that ends with the block. Its packages are those of `make test` in this repository."""
    python = REPOSITORY / ".venv-test" / "bin" / "python"
    if not python.exists():
        sys.exit("the stand-in needs the packages of the tests: `make test` makes .venv-test.")
    command = [str(python), "-m", "aws_standin", "--state", str(folder)]
    # objects of a MiB and more are in files, not in its memory; each file is open
    environment = {**os.environ, "MOTO_S3_DEFAULT_KEY_BUFFER_SIZE": str(2**20), "TMPDIR": str(folder)}
    folder.mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        command, cwd=REPOSITORY / "tests", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield Bucket(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait()
