"""A consent registry in S3 and in PostgreSQL: it is read whole, or one sentence says why not, without a password."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aws_standin import faults
from baked import Project
from cloud import REGION
from postgres import PASSWORD, USER, postgres, sql, why_not
from servers import aws_standin

READ = """
import json, sys, traceback
from pathlib import Path
from lineage.base.errors import RegistryError
from lineage.records.consent_registry import read_registry
from lineage.settings.privacy import Registry
try:
    entries = read_registry(Registry(**json.loads(sys.argv[1])), Path.cwd())
except RegistryError as error:
    traceback.print_exc()
    sys.exit(3)
print(json.dumps([[entry.subject_id, entry.status, entry.effective_at.isoformat()] for entry in entries]))
"""
COLUMNS = ["subject_id", "consent_status", "effective_at"]
ROWS = [["0007", "revoked", "2024-02-01T00:00:00+00:00"], ["x, 'y'", "active", "2024-01-31T08:30:00.123456+00:00"]]
SELECT = "SELECT subject_id, consent_status, effective_at FROM consents"


def read(project: Project, environment: dict[str, str], **settings: str) -> Any:
    """The registry as the project reads it."""
    return json.loads(_run(project, environment, 0, settings))


def refusal(project: Project, environment: dict[str, str], **settings: str) -> str:
    """The sentence with which the project refuses the registry, after a look at all that a traceback would show."""
    traceback = _run(project, environment, 3, settings)
    assert traceback.count("Traceback") == 1, "another error shows through"
    for part in (USER, PASSWORD, PASSWORD[-8:], quote(PASSWORD, safe="")):
        assert part not in traceback
    kind, _, sentence = traceback.splitlines()[-1].partition(": ")
    assert kind.endswith(".errors.RegistryError")
    return sentence


def _run(project: Project, environment: dict[str, str], code: int, settings: dict[str, str]) -> str:
    place = Project(project.root, project.venv, project.environment | environment)
    registry = {"path": None, "variable": None, "query": None, **settings}
    return place.run("python", "-c", READ, json.dumps(registry), code=code)


# S3


@dataclass
class Bucket:
    """A stand-in for S3 with one bucket."""

    state: Path
    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_EC2_METADATA_DISABLED": "true"}
        return {**keys, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": self.endpoint}

    def client(self) -> Any:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "y", "region_name": REGION}
        return boto3.client("s3", endpoint_url=self.endpoint, **keys)

    def put(self, key: str, data: bytes) -> str:
        """Puts an object and returns its address."""
        self.client().put_object(Bucket="consents", Key=key, Body=data)
        return f"s3://consents/{key}"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    state = tmp_path_factory.mktemp("s3")
    with aws_standin(state, {}) as endpoint:
        bucket = Bucket(state, endpoint)
        place = {"CreateBucketConfiguration": {"LocationConstraint": REGION}}
        bucket.client().create_bucket(Bucket="consents", **place)
        yield bucket


def as_csv() -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *ROWS[::-1]])
    return text.getvalue().encode()


def as_parquet() -> bytes:
    sink = io.BytesIO()
    columns = map(list, zip(*ROWS[::-1], strict=True))
    pq.write_table(pa.table(list(columns), names=COLUMNS), sink)
    return sink.getvalue()


@pytest.mark.parametrize("region", ["AWS_REGION", "AWS_DEFAULT_REGION"])
@pytest.mark.parametrize(("key", "data"), [("a b/ä+%20.csv", as_csv()), ("deep/er/consent.PARQUET", as_parquet())])
def test_a_registry_in_s3(key: str, data: bytes, region: str, bucket: Bucket, installed: Project) -> None:
    environment = bucket.environment
    del environment["AWS_REGION"]
    environment |= {region: REGION}
    address = bucket.put(key, data)
    assert read(installed, environment, path=address) == ROWS
    assert read(installed, environment | {"REGISTRY": address}, variable="REGISTRY") == ROWS


def test_s3_is_asked_again_where_it_fails_for_a_while(bucket: Bucket, installed: Project) -> None:
    address = bucket.put("later.csv", as_csv())
    faults.order(bucket.state, "GET /consents/later.csv", status="503 Service Unavailable")
    assert read(installed, bucket.environment, path=address) == ROWS
    assert faults.left(bucket.state) == 0


ABSENT = {
    "no such object": ("s3://consents/missing.csv", {}, "The specified key does not exist"),
    "no such bucket": ("s3://nobodys/consent.csv", {}, "The specified bucket does not exist"),
    "nobody listens": ("s3://consents/a.csv", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Could not connect"),
    "no credentials": ("s3://consents/a.csv", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
}


@pytest.mark.parametrize(("address", "environment", "reason"), ABSENT.values(), ids=ABSENT)
def test_s3_without_the_registry(
    address: str, environment: dict[str, str], reason: str, bucket: Bucket, installed: Project
) -> None:
    sentence = refusal(installed, bucket.environment | environment, path=address)
    assert sentence.startswith(f"the consent registry {address} could not be read: ")
    assert reason in sentence
    assert sentence.endswith(". Check the address, the region and the credentials.")
    assert ".." not in sentence


def test_s3_that_refuses(bucket: Bucket, installed: Project) -> None:
    address = bucket.put("closed.csv", as_csv())
    body = "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
    faults.order(bucket.state, "GET /consents/closed.csv", status="403 Forbidden", body=body)
    assert "AccessDenied" in refusal(installed, bucket.environment, path=address)


def test_a_registry_in_s3_that_cannot_be_right(bucket: Bucket, installed: Project) -> None:
    address = bucket.put("wrong.csv", as_csv().replace(b"active", b"maybe"))
    sentence = refusal(installed, bucket.environment, path=address)
    assert f"{address} is refused: a consent_status other than active and revoked in line 2. " in sentence


# PostgreSQL

needs_server = pytest.mark.skipif(bool(why_not()), reason=why_not() or "")
FUNCTION = """
CREATE FUNCTION forget() RETURNS text LANGUAGE plpgsql AS
$$ BEGIN DELETE FROM consents; RETURN 'P-1'; END $$
"""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a database with a registry."""
    with postgres(tmp_path_factory.mktemp("postgres")) as address:
        kinds = "subject_id text PRIMARY KEY, consent_status text, effective_at timestamptz, number int, day date"
        values = ",".join(f"('{a.replace(chr(39), chr(39) * 2)}', '{b}', '{c}', 7, '{c[:10]}')" for a, b, c in ROWS)
        sql(address, f"CREATE TABLE consents ({kinds})", f"INSERT INTO consents VALUES {values}", FUNCTION)
        yield address


@pytest.fixture
def ask(installed: Project, database: str) -> Callable[..., Any]:
    """Reads from the database, or is refused."""

    def through_variable(how: Callable[..., Any], query: str = SELECT, address: str = database) -> Any:
        return how(installed, {"REGISTRY": address, "PGTZ": "Asia/Kolkata"}, variable="REGISTRY", query=query)

    return through_variable


@needs_server
@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_a_registry_in_postgresql(scheme: str, ask: Callable[..., Any], database: str) -> None:
    assert ask(read, address=database.replace("postgresql", scheme, 1)) == ROWS


ANSWERS = {
    "text": "SELECT subject_id, consent_status, effective_at::text FROM consents",
    "other columns": "SELECT number, effective_at, day, subject_id, consent_status FROM consents ORDER BY 1;",
    "signs": f"{SELECT} WHERE subject_id NOT LIKE '%s%%' AND consent_status <> ':a' -- 100% :b",
    "parts": f"WITH everybody AS ({SELECT}) SELECT * FROM everybody",
}


@needs_server
@pytest.mark.parametrize("query", ANSWERS.values(), ids=ANSWERS)
def test_a_query_is_sent_as_it_is(query: str, ask: Callable[..., Any]) -> None:
    assert ask(read, query) == ROWS


@needs_server
def test_many_rows(ask: Callable[..., Any]) -> None:
    number = (
        "SELECT 'P-' || lpad(number::text, 5, '0') AS subject_id, 'active' AS consent_status, now() AS effective_at"
    )
    entries = ask(read, f"{number} FROM generate_series(1, 5000) AS number ORDER BY 1 DESC")
    assert [entry[0] for entry in entries] == [f"P-{number:05d}" for number in range(1, 5001)]


REFUSED = {
    "numbers": ("SELECT number AS subject_id, consent_status, effective_at FROM consents", "lost its leading zeros"),
    "no zone": ("SELECT subject_id, consent_status, effective_at::timestamp FROM consents", "without a zone"),
    "days": ("SELECT subject_id, consent_status, day AS effective_at FROM consents", "no ISO 8601 date and time"),
    "forever": (SELECT.replace("effective_at", "'infinity'::timestamptz AS effective_at"), "cannot be converted"),
    "future": (SELECT.replace("effective_at", "now() + interval '1 day' AS effective_at"), "future in rows 1, 2"),
    "doubles": (f"{SELECT} UNION ALL {SELECT}", "a subject_id for the second time in rows 3 (as in 1), 4 (as in 2)"),
    "nobody": (f"{SELECT} WHERE false", "it has no rows"),
    "no column": ("SELECT subject_id, effective_at FROM consents", "no column consent_status"),
    "no table": (SELECT.replace("consents", "elsewhere"), 'relation "elsewhere" does not exist'),
    "no SQL": ("SELECT FROM WHERE", "syntax error"),
    "no number": (SELECT.replace("subject_id", "subject_id::int"), "cannot be converted (InvalidTextRepresentation)"),
}


@needs_server
@pytest.mark.parametrize(("query", "reason"), REFUSED.values(), ids=REFUSED)
def test_an_answer_that_cannot_be_right(query: str, reason: str, ask: Callable[..., Any]) -> None:
    sentence = ask(refusal, query)
    assert sentence.startswith("the consent registry in the database that $REGISTRY names ")
    assert reason in sentence
    assert "x, 'y'" not in sentence


WRITES = {
    "statement": ("DELETE FROM consents RETURNING subject_id, consent_status, effective_at", "begins with 'DELETE'"),
    "part": ("WITH gone AS (DELETE FROM consents RETURNING *) SELECT * FROM gone", "has the word DELETE"),
    "function": (SELECT.replace("subject_id", "forget() AS subject_id"), "in a read-only transaction"),
    "second statement": (f"{SELECT}; DELETE FROM consents", "has several statements"),
    "another transaction": (f"{SELECT}; COMMIT; BEGIN READ WRITE; DELETE FROM consents; COMMIT", "several statements"),
    "a quote in a quote": (f"{SELECT} WHERE subject_id = E'\\''; DELETE FROM consents; --'", "in different ways"),
    "table": ("CREATE TABLE subjects AS " + SELECT, "begins with 'CREATE'"),
}


@needs_server
@pytest.mark.parametrize(("query", "reason"), WRITES.values(), ids=WRITES)
def test_a_query_cannot_write(query: str, reason: str, ask: Callable[..., Any], database: str) -> None:
    assert reason in ask(refusal, query)
    assert sql(database, "SELECT count(*) FROM consents", "SELECT to_regclass('subjects')") == "2"


@needs_server
def test_a_wrong_password(ask: Callable[..., Any], database: str) -> None:
    sentence = ask(refusal, address=database.replace("@", "-and-more@"))
    assert "password authentication failed" in sentence
    assert "-and-more" not in sentence


@needs_server
def test_a_database_that_is_down(installed: Project, tmp_path: Path) -> None:
    with postgres(tmp_path) as address:
        pass
    sentence = refusal(installed, {"REGISTRY": address}, variable="REGISTRY", query=SELECT)
    assert "Connection refused" in sentence
    assert sentence.endswith("Check $REGISTRY, privacy.registry.query, and whether the database is up.")
