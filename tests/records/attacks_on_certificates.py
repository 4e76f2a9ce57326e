"""Certificates that somebody changed before showing them, and who must refuse them.

Without a new digest, both checkers must refuse whatever has another meaning. With one, the checker without a repository
must refuse what the proofs, the form and the answer contradict; the one with a repository also what was left out. What
is written in another way and means the same must hold.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

from attacks import Attack, Target
from attacks_around import one_digit
from consent import LONG_AGO, STAYS
from damage import OF_A_FILE

OFFLINE, REPOSITORY = "check_certificate.py", "audit check"
BOTH = frozenset({OFFLINE, REPOSITORY})
Document = dict[str, Any]


def forge(target: Target, chance: random.Random) -> Attack:
    """One change to one certificate, with or without a new digest."""
    answer = chance.choice(sorted(target.certificates))
    true = json.loads(target.certificates[answer].read_text())
    kind = chance.choice((*sorted(FORGERIES), "another form", "bytes"))
    if kind == "another form":
        text, name = _written(true, chance)
        target.shown.write_text(text)
        return Attack(f"certificate {answer}: {name}", forged=_refused(true, text, BOTH))
    if kind == "bytes":
        name = chance.choice(sorted(set(OF_A_FILE) - {"deleted", "made a folder"}))
        target.shown.write_bytes(target.certificates[answer].read_bytes())
        OF_A_FILE[name](target.shown, target.project.root / "dvc.lock")
        return Attack(f"certificate {answer}: {name}", forged=_refused(true, target.shown.read_bytes(), BOTH))
    other = copy.deepcopy(true)
    donor = json.loads(target.certificates[chance.choice(sorted(target.certificates))].read_text())
    said, refuse = FORGERIES[kind](other, donor, chance)
    seal = chance.random() < 0.5
    text = json.dumps(_sealed(other) if seal and "digest" in other else other, indent=2, ensure_ascii=False)
    target.shown.write_text(text)
    told = f"certificate {answer}: {kind} {said}{', with a new digest' if seal else ''}"
    return Attack(told, forged=_refused(true, text, refuse if seal else BOTH))


def _refused(true: Document, text: str | bytes, by: frozenset[str]) -> frozenset[str]:
    """Nobody has to refuse what means the same: Python reads it as the same, with every key once and whole numbers."""

    def whole(pairs: list[tuple[str, Any]]) -> Document:
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key twice")
        return dict(pairs)

    try:
        read = json.loads(text, object_pairs_hook=whole, parse_float=str)
    except ValueError:
        return by
    return frozenset() if json.dumps(read, sort_keys=True) == json.dumps(true, sort_keys=True) else by


def _sealed(document: Document) -> Document:
    content = {key: value for key, value in document.items() if key != "digest"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**content, "digest": hashlib.sha256(text.encode()).hexdigest()}


def _written(true: Document, chance: random.Random) -> tuple[str, str]:
    """The same certificate in another way of writing, allowed or not."""
    forms = {
        "on one line": json.dumps(true, ensure_ascii=False),
        "with escapes": json.dumps(true, indent=1),
        "in another order": json.dumps(dict(chance.sample(list(true.items()), len(true)))),
        "with blanks": f"\n\t {json.dumps(true, indent=7)}\r\n\n",
        "a key twice": json.dumps(true).replace('"answer":', '"answer": "PASSED", "answer":', 1),
        "a number with a point": json.dumps(true).replace('"schema": 2', '"schema": 2.0', 1),
        "a number as a truth": json.dumps({**true, "controls": True}),
    }
    name = chance.choice(sorted(forms))
    return forms[name], name


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value that is no list or object."""
    if not isinstance(node, dict | list):
        yield path
        return
    for key, child in node.items() if isinstance(node, dict) else enumerate(node):
        yield from _leaves(child, (*path, key))


def _holder(document: Document, path: tuple[Any, ...]) -> Any:
    node: Any = document
    for key in path[:-1]:
        node = node[key]
    return node


def _a_digit(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    # what was asked since another moment is another question, which may have this answer by right: see _since
    left_out = ("tools", "moment", "digest")
    leaves = [path for path in _leaves(other) if path[0] not in left_out and path != ("question", "since")]
    path = chance.choice(leaves)
    holder, value = _holder(other, path), _holder(other, path)[path[-1]]
    if isinstance(value, int):
        holder[path[-1]] = value + chance.choice((-1, 1))
    else:
        holder[path[-1]] = one_digit(value or "", chance)
    by = frozenset({REPOSITORY})
    proved = path[0] == "datasets" and path[2] in ("root", "salt", "md5", "subjects", "proofs")
    return "/".join(map(str, path)), by | {OFFLINE} if proved or path[:2] == ("question", "subjects") else by


def _removed(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    ways = {path[:end] for path in _leaves(other) for end in range(1, len(path) + 1)}
    ways = {way for way in ways if isinstance(way[-1], str) and (way[0] != "tools" or len(way) == 1)}
    way = chance.choice(sorted(ways, key=str))
    del _holder(other, way)[way[-1]]
    return "/".join(map(str, way)), BOTH


def _subject(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """The question and its proofs are about somebody else."""
    at = chance.randrange(len(other["question"]["subjects"]))
    other["question"]["subjects"][at] = STAYS
    for dataset in other["datasets"]:
        dataset["proofs"][at]["subject"] = STAYS
    return STAYS, BOTH


def _salt(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    dataset = chance.choice(other["datasets"])
    dataset["salt"] = chance.choice((f"{dataset['salt']}{chance.randrange(10**6)}", dataset["salt"][1:], ""))
    return dataset["salt"], BOTH


def _root(other: Document, donor: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    dataset = chance.choice(other["datasets"])
    roots = [one["root"] for one in donor["datasets"] if one["root"] != dataset["root"]]
    dataset["root"] = chance.choice([*roots, f"{chance.getrandbits(256):064x}"])
    return "", BOTH


def _proof(other: Document, donor: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """The proof of another subject or dataset in its place, under the name of the subject that was asked for."""
    dataset = chance.choice(other["datasets"])
    proof = chance.choice(dataset["proofs"])
    found = [(one["md5"], given) for one in donor["datasets"] for given in one["proofs"]]
    md5, given = chance.choice(found)
    proof["steps"] = given["steps"]
    return f"by that of {given['subject']} in {md5[:8]}", BOTH


def _steps(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    proof = chance.choice(chance.choice(other["datasets"])["proofs"])
    how = chance.choice(("none", "one", "turned", "path cut", "path longer"))
    step = chance.choice(proof["steps"])
    if how == "none":
        proof["steps"] = []
    elif how == "one" and len(proof["steps"]) > 1:
        proof["steps"] = [step]
    elif how == "turned" and len(proof["steps"]) > 1:
        proof["steps"] = proof["steps"][::-1]
    elif how == "path cut":
        step["path"].pop()
    else:
        step["path"].append(f"{chance.getrandbits(256):064x}")
    return how, BOTH


def _dataset(other: Document, donor: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """The same tree as that of another dataset version."""
    old = chance.choice(other["datasets"])["md5"]
    names = {one["md5"] for one in donor["datasets"]} - {one["md5"] for one in other["datasets"]}
    new = chance.choice([*sorted(names), f"{chance.getrandbits(128):032x}.dir"])
    for dataset in other["datasets"]:
        dataset["md5"] = new if dataset["md5"] == old else dataset["md5"]
    for model in other["models"]:
        model["datasets"] = sorted(new if md5 == old else md5 for md5 in model["datasets"])
    return new[:8], BOTH


def _answer(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """Another answer, with no reason against it."""
    other["answer"] = chance.choice(sorted({"PASSED", "FAILED", "INCONCLUSIVE"} - {other["answer"]}))
    reasoned = bool(other["reasons"])
    other["reasons"] = []
    # what is in no dataset can be called PASSED by its issuer: only the repository knows that an id is unknown
    unknown = other["answer"] == "PASSED" and reasoned and not _inside(other)
    return other["answer"], frozenset({REPOSITORY}) if unknown else BOTH


def _inside(document: Document) -> bool:
    return any(len(proof["steps"]) == 1 for dataset in document["datasets"] for proof in dataset["proofs"])


def _since(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """An earlier moment: the lists lack what was made from then on, which only the repository knows."""
    other["question"]["since"] = LONG_AGO
    return "", frozenset({REPOSITORY})


def _models(other: Document, _: Document, chance: random.Random) -> tuple[str, frozenset[str]]:
    """A model is left out, and the counts are made to fit."""
    other["models"].remove(chance.choice(other["models"]))
    other["looked_at"]["made since"] -= 1
    used = {md5 for model in other["models"] for md5 in model["datasets"]}
    fits = used == {dataset["md5"] for dataset in other["datasets"]}
    return "", frozenset({REPOSITORY}) if fits else BOTH


FORGERIES: dict[str, Callable[[Document, Document, random.Random], tuple[str, frozenset[str]]]] = {
    "a digit": _a_digit,
    "removed": _removed,
    "subject": _subject,
    "salt": _salt,
    "root": _root,
    "proof": _proof,
    "steps": _steps,
    "dataset": _dataset,
    "answer": _answer,
    "since": _since,
    "models": _models,
}
