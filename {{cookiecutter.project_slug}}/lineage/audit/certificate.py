"""A certificate: question, answer, and a proof for each dataset version that anybody can check without this repository.

Beside the subjects that were asked for, it names nobody. scripts/check_certificate.py checks it offline; `check` holds
it against Git, DVC and MLflow.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..base.errors import LineageError
from ..base.pages import render, write_whole
from ..dvc.hashes import sha256_of_json
from ..proof.case import Evidence
from ..proof.dataset import subject_tree
from .certificate_form import KIND, SCHEMA, SIZE, fault_of_form, read
from .certificate_proofs import faults_of
from .exclusion import Exclusion, excluded
from .use import Use

PAGE = Path(__file__).with_name("certificate.html.jinja")
TOOLS = ("dvc", "duckdb", "mlflow", "pyarrow")
OF_THE_MOMENT = ("moment", "commit", "tools", "digest")  # cannot be found again later


def write(evidence: Evidence, answer: Exclusion, target: Path) -> list[Path]:
    """Writes the certificate as JSON and as a page for people. Returns both paths.

    Raises LineageError if it would be larger than what is taken for a certificate.
    """
    certificate = compose(evidence, answer)
    stem = target.with_suffix("") if target.suffix in {".json", ".html"} else target
    text = json.dumps(certificate, indent=2, ensure_ascii=False) + "\n"
    if len(text.encode()) > SIZE:
        raise LineageError(f"the certificate would have more than {SIZE >> 20} MB. Ask for fewer subjects at a time.")
    texts = {
        stem.with_name(f"{stem.name}.json"): text,
        stem.with_name(f"{stem.name}.html"): render(PAGE, certificate=certificate),
    }
    for path, content in texts.items():
        write_whole(path, content)
    return list(texts)


def compose(evidence: Evidence, answer: Exclusion) -> dict[str, Any]:
    """The certificate of an answer. Raises LineageError if a proof cannot be given."""
    certificate = {
        "kind": KIND,
        "schema": SCHEMA,
        "question": {"subjects": list(answer.ids), "since": answer.since.isoformat()},
        "answer": answer.verdict,
        "reasons": list(answer.reasons),
        "scope": {"store": evidence.store.shown_uri, "project": evidence.project_id},
        "looked_at": answer.looked_at,
        "controls": answer.controls,
        "copies": len(answer.copies),
        "models": [_use(use) for use in answer.after],
        "without_model": [_use(use) for use in answer.without_model],
        "datasets": [_dataset(evidence, md5, answer) for md5 in answer.datasets],
        "moment": answer.until.isoformat(),
        "commit": evidence.history.resolve("HEAD"),
        "tools": {"python": sys.version.split()[0], **{name: version(name) for name in TOOLS}},
    }
    return {**certificate, "digest": sha256_of_json(certificate)}


def check(evidence: Evidence, path: Path) -> list[str]:
    """What does not hold in a certificate by itself, and what it says otherwise than this repository does.

    Versions and runs that were begun after its moment are left out. Raises LineageError if it is no certificate.
    """
    certificate = read(path)
    if fault := fault_of_form(certificate):
        return [fault]
    faults = faults_of(certificate)
    question, moment = certificate["question"], datetime.fromisoformat(certificate["moment"])
    since = datetime.fromisoformat(question["since"])
    if since > moment:
        return faults
    now = compose(evidence, excluded(evidence, question["subjects"], since, moment))
    faults += [
        f"{key}: the certificate says {_short(certificate.get(key))}, now {_short(now.get(key))}"
        for key in sorted({*now, *certificate} - {*OF_THE_MOMENT})
        if certificate.get(key) != now.get(key)
    ]
    if not evidence.history.resolve(certificate["commit"]):
        faults.append(f"the commit {certificate['commit']} is not in this repository")
    return faults


def _use(use: Use) -> dict[str, Any]:
    by_git = use.committed if use.kind == "model in Git" else None  # of the others, MLflow says when they were made
    moments = {"started": use.started, "ended": use.ended, "registered": use.registered, "committed": by_git}
    return {
        "name": use.title,
        "state": use.state,
        **{name: moment.isoformat() if moment else None for name, moment in moments.items()},
        "datasets": sorted(use.datasets),
        "commit": use.commit,
    }


def _dataset(evidence: Evidence, md5: str, answer: Exclusion) -> dict[str, Any]:
    """What proves, for each subject, that it is in a dataset version or is not. Without one, why there is none."""
    entry = {"md5": md5, "commit": next(iter(evidence.history.commits_holding(md5)), None)}
    try:
        if md5 in answer.unreliable:
            raise LineageError(answer.unreliable[md5])
        tree = subject_tree(evidence.objects, md5, evidence.erasures.of_dataset(md5))
    except LineageError as error:
        return {**entry, "unknown": str(error)}
    return {
        **entry,
        "root": tree.root_in(md5),
        "salt": tree.salt,
        "subjects": len(tree),
        "proofs": [
            {"subject": subject, "steps": [vars(step) for step in tree.prove(subject)]} for subject in answer.ids
        ],
    }


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."
