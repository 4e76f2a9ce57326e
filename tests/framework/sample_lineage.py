"""A lineage.json as `register` writes it, with names in it that must never leave, wherever one might be."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

from lineage.evidence.facts import Decided, Facts, Gate, Proved, facts_of

PERSON, RECORD = "PAT-00023", "scan-4711"  # ids of a subject and of a record
SLASHED = "train/NORMAL/IM-0001"
IDS = frozenset({PERSON, RECORD, "7", "5005", SLASHED, "PAT 23", "R&D lab", "★★★★"})
SECRETS = (PERSON, RECORD, "Erika Muster", "erika@", "s3cret", "salt-of-", "internal.example")
COMMIT, DATA_COMMIT = "c" * 40, "d" * 40
NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
LOCK = """
numpy==2.4.6 \\
    --hash=sha256:00
torch==2.15.0 ; sys_platform == 'linux'
colorama==0.4.6 ; sys_platform == 'win32'
"""


def _thing(path: str, mark: str, *, folder: bool = False, size: int = 1000) -> dict[str, Any]:
    return {"path": path, "md5": mark * 32 + (".dir" if folder else ""), "sha256": mark * 64, "size": size}


DOCUMENT: dict[str, Any] = {
    "schema": 2,
    "project_id": "p9c1a2ea436343fb8192b128fef54a5d",
    "model": {
        "name": "scans",
        "version": "3",
        "tracking_uri": "https://user:s3cret@mlflow.internal.example",
        "identity": "1" * 64,
        **_thing("models/model.safetensors", "2", size=200_000),
    },
    "metrics": {
        "test": {
            "accuracy": 0.9,
            "accuracy_low": 0.8,
            "accuracy_high": 0.95,
            "loss": 0.25,
            "records": 20,
            "subjects": 10,
            "slices": {
                "site:A": {"accuracy": 0.75, "records": 12, "subjects": 6, "low": 0.6, "high": 0.9},
                f"reader:{PERSON}": {"accuracy": 0.5, "records": 3, "subjects": 1},
            },
            "worst_slice": "site:A",
        }
    },
    "parameters": {
        "model": {"name": "small_cnn", "width": 24, "weights_url": "https://s3cret"},
        "train": {"epochs": 3, "lr": 0.02, "resume_path": f"/data/{PERSON}"},
        "data.source": {"name": "image_folder", "path": f"/data/{PERSON}", "query": f"SELECT {PERSON}"},
        "data.fraction": 0.5,
        "data.split": {"train": 0.8, "val": 0.1, "test": 0.1, "salt": "salt-of-splits"},
        "data.image": {"size": 32, "channels": 3},
        "data.duplicates": "warn",
        "privacy.salt": "salt-of-privacy",
        "privacy.name": "registry",
        "weights.url": "https://user:s3cret@internal.example/w.pth",
    },
    "environment": _thing("requirements.lock", "3"),
    "consent": _thing("data/consent.csv", "4"),
    "pretrained": {"url": "https://user:s3cret@internal.example/w.pth", **_thing("models/pretrained.pth", "5")},
    "training_run": {
        "run_id": "19fb5c45868d4be0a03855cb5f627cf7",
        "tracking_uri": "https://user:s3cret@mlflow.internal.example",
        "started_from": {
            "git_dirty": "true",
            "git_dirty_files": f"notes/{PERSON}.txt",
            "git_repo_url": "git@host.example:team/scans.git",
            "mlflow.user": "Erika Muster <erika@host.example>",
        },
        "machine": {
            "device": "cpu",
            "python": "3.11.7",
            "torch": "2.15.0",
            "threads": 2,
            "markers": {"sys_platform": "linux", "python_version": "3.11", "platform_machine": "x86_64"},
        },
        "md5": "6" * 32,
    },
    "raw": {
        **_thing("data/raw", "7", folder=True),
        "files": [_thing(f"{PERSON}/{RECORD}.png", "8")],
    },
    "dataset": {
        **_thing("data/processed", "9", folder=True),
        "classes": ["healthy", "ill"],
        "records": {"train": 80, "val": 10, "test": 20},
        "subjects_by_split": {"train": 40, "val": 5, "test": 10},
        "subjects": {"root": "a" * 64, "salt": "salt-of-privacy"},
        "files": [
            _thing("dataset.json", "b"),
            _thing("manifest.parquet", "c"),
            _thing("shards/dddddddddddddddd.parquet", "d"),
            _thing("shards/eeeeeeeeeeeeeeee.parquet", "e"),
        ],
    },
    "outputs": [_thing("models/run.json", "6"), _thing("metrics/test.json", "f")],
    "artifact": {
        "model_id": "m-1",
        "sha256": "0" * 64,
        "files": [
            {"path": "MLmodel", "sha256": "01" * 32, "size": 10},
            {"path": "model.safetensors", "sha256": "2" * 64, "size": 200_000},
        ],
    },
}


def document(**changed: Any) -> dict[str, Any]:
    """The lineage.json, with other sections."""
    return deepcopy({**DOCUMENT, **changed})


def facts(found: dict[str, Any] | None = None, **known: Any) -> Facts:
    """What may leave of it, with everything else that can be known."""
    gates = (Gate("verified", "PASS"), Gate("drift", "INCONCLUSIVE"))
    given: dict[str, Any] = {
        "data_commit": DATA_COMMIT,
        "data_committed": NOON - timedelta(days=1),
        "data_version": "v1",
        "framework": "0.1.0",
        "stage": "train",
        "split_by": "hash",
        "started": NOON - timedelta(minutes=3),
        "ended": NOON - timedelta(minutes=1),
        "decisions": (Decided("champion", "promote", NOON, "e" * 40, True, gates),),
        "proved": Proved("PASS", NOON, (("version", "PASS", 24), ("dataset", "PASS", 110))),
        "made": NOON,
    }
    return facts_of(found or document(), commit=COMMIT, committed=NOON, lock=LOCK, withheld=IDS, **{**given, **known})
