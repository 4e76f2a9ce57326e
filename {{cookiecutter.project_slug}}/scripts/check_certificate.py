"""Checks a certificate of `lineage audit excluded` with nothing but Python: no network, no packages, no repository.

    python check_certificate.py CERTIFICATE.json

What it proves: under the Merkle roots that the certificate names, the subjects are, or are not, as the answer says; and
the certificate is whole and agrees with itself. What it cannot know is whether these roots are those of the models: who
has the repository asks `lineage audit check`. Exit status: 0 all holds, 1 something does not, 2 it cannot be read.

Written without a line of the project's own code, so that both have to agree. The tree is that of RFC 6962, section 2.1.
"""

import hashlib
import json
import sys
from datetime import datetime
from pathlib import Path

KIND, SCHEMA = "exclusion of subjects", 1
FIELDS = {
    "kind": str,
    "schema": int,
    "question": dict,
    "answer": str,
    "reasons": list,
    "scope": dict,
    "looked_at": dict,
    "controls": int,
    "copies": int,
    "models": list,
    "without_model": list,
    "datasets": list,
    "moment": str,
    "commit": str,
    "tools": dict,
    "digest": str,
}


class RefusedError(Exception):
    """The certificate does not hold; the message says why."""


def require(condition, why):
    if not condition:
        raise RefusedError(why)


def sha256(data):
    return hashlib.sha256(data).digest()


def check(certificate):
    """Raises RefusedError with the first thing that does not hold. Returns sentences about what does."""
    require(isinstance(certificate, dict), "it is no JSON object")
    require(set(certificate) == set(FIELDS), f"its fields are not {', '.join(FIELDS)}")
    for name, kind in FIELDS.items():
        require(type(certificate[name]) is kind, f"{name} is not a {kind.__name__}")
    require(
        (certificate["kind"], certificate["schema"]) == (KIND, SCHEMA), "it is of another kind than this program knows"
    )
    check_digest(certificate)
    subjects, since = question(certificate)
    datasets = {dataset["md5"]: dataset for dataset in certificate["datasets"]}
    check_counts(certificate, datasets, since)
    inside, unproved = [], []
    for md5, dataset in datasets.items():
        if "unknown" in dataset:
            unproved.append(md5)
            continue
        proofs = {proof["subject"]: proof["steps"] for proof in dataset["proofs"]}
        require(list(proofs) == subjects, f"dataset {md5} has no proof for each subject")
        inside += [(subject, md5) for subject, steps in proofs.items() if is_in(subject, steps, dataset)]
    check_answer(certificate, inside, unproved)
    proved = len(datasets) - len(unproved)
    return [
        f"{len(subjects)} subjects, {proved} of {len(datasets)} dataset versions proved",
        f"{len(certificate['models'])} models and runs made since {certificate['question']['since']} rest on these",
        *(f"{subject} is in dataset {md5}" for subject, md5 in inside),
    ]


def check_digest(certificate):
    content = {key: value for key, value in certificate.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    require(sha256(text.encode()).hex() == certificate["digest"], "it was changed: its digest is wrong")


def question(certificate):
    subjects = certificate["question"]["subjects"]
    require(subjects and len(set(subjects)) == len(subjects), "it names no subject, or one twice")
    since, moment = moment_of(certificate["question"]["since"]), moment_of(certificate["moment"])
    require(since <= moment, "it was written before the moment that it speaks of")
    return subjects, since


def moment_of(text):
    moment = datetime.fromisoformat(text)
    require(moment.tzinfo is not None, f"{text} has no zone")
    return moment


def check_counts(certificate, datasets, since):
    """The denominators are those of the lists, and the lists belong together."""
    models, looked_at = certificate["models"], certificate["looked_at"]
    require(len(datasets) == len(certificate["datasets"]), "a dataset version is listed twice")
    require(len({model["name"] for model in models}) == len(models), "a model is listed twice")
    require(looked_at["made since"] == len(models), "the number of models is not that of the list")
    require(
        looked_at["dataset versions since"] == len(datasets), "the number of dataset versions is not that of the list"
    )
    in_all = sum(looked_at.get(kind, 0) for kind in ("versions", "runs", "logged models", "models in Git alone"))
    require(in_all >= len(models), "more was made since than there is in all")
    require(looked_at["dataset versions"] >= len(datasets), "there are more dataset versions since than in all")
    used = {md5 for model in models for md5 in model["datasets"]}
    require(used == set(datasets), "the dataset versions are not those that the models rest on")
    for model in models:
        moments = [moment_of(model[name]) for name in ("started", "ended", "registered") if model[name]]
        settled = model["ended"] or model["registered"]
        require(not settled or max(moments) >= since, f"{model['name']} was not made since that moment")


def check_answer(certificate, inside, unproved):
    answer, reasons = certificate["answer"], certificate["reasons"]
    if answer == "PASSED":
        require(not inside, f"it says PASSED, but {inside[:1]} is proved to be in a model")
        require(not unproved, f"it says PASSED without a proof for dataset {unproved[:1]}")
        require(not reasons, f"it says PASSED, and names a reason against it: {reasons[:1]}")
        require(certificate["models"], "it says PASSED of nothing")
        require(all(model["datasets"] for model in certificate["models"]), "it says PASSED of a model without data")
        require(
            certificate["controls"] == len(certificate["datasets"]), "it says PASSED without a control for each dataset"
        )
    elif answer == "FAILED":
        require(inside and reasons, "it says FAILED, but no subject is proved to be in a model")
    else:
        require(answer == "INCONCLUSIVE", f"{answer} is no answer")
        require(reasons and not inside, "it says INCONCLUSIVE without a reason, or where it must say FAILED")


def is_in(subject, steps, dataset):
    """Whether the steps prove that the subject is in the tree, or that it is not. Raises RefusedError if neither."""
    salt, root, count = dataset["salt"], dataset["root"], dataset["subjects"]
    key = sha256(f"{len(salt)}:{salt}{subject}".encode())
    where = f"the proof for {subject} in dataset {dataset['md5']}"
    for step in steps:
        top = climb(bytes.fromhex(step["key"]), step["position"], count, [bytes.fromhex(node) for node in step["path"]])
        require(sha256(b"\x02" + count.to_bytes(8, "big") + top).hex() == root, f"{where} does not lead to the root")
    keys, positions = [bytes.fromhex(step["key"]) for step in steps], [step["position"] for step in steps]
    if keys == [key]:
        return True
    if len(steps) == 2:
        require(positions[1] == positions[0] + 1, f"{where} shows leaves that are no neighbours")
        require(keys[0] < key < keys[1], f"{where} shows neighbours that do not enclose it")
    else:
        require(len(steps) == 1, f"{where} is missing")
        first, last = positions == [0] and key < keys[0], positions == [count - 1] and key > keys[0]
        require(first or last, f"{where} shows one leaf that is neither the first nor the last")
    return False


def climb(key, position, count, path):
    """The top of the tree from one leaf, as RFC 6962 (9162, section 2.1.3.2) verifies an inclusion."""
    require(type(position) is int and 0 <= position < count, "a leaf lies outside of the tree")
    node, place, last = sha256(b"\x00" + key), position, count - 1
    for sibling in path:
        require(last > 0, "a path is too long")
        if place % 2 or place == last:
            node = sha256(b"\x01" + sibling + node)
            while place and not place % 2:
                place, last = place // 2, last // 2
        else:
            node = sha256(b"\x01" + node + sibling)
        place, last = place // 2, last // 2
    require(last == 0, "a path is too short")
    return node


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: python check_certificate.py CERTIFICATE.json")
    try:
        certificate = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{sys.argv[1]} cannot be read: {error}", file=sys.stderr)
        sys.exit(2)
    try:
        said = check(certificate)
    except (RefusedError, KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        reason = error if isinstance(error, RefusedError) else f"it is not as it must be ({error!r})"
        print(f"REFUSED: {reason}.")
        sys.exit(1)
    for sentence in said:
        print(f"  {sentence}")
    print(f"HOLDS: {certificate['answer']} for {', '.join(certificate['question']['subjects'])}.")


if __name__ == "__main__":
    main()
