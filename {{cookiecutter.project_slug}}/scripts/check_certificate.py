"""Checks a certificate of `lineage audit excluded` with nothing but Python: no network, no packages, no repository.

    python check_certificate.py CERTIFICATE.json [ID...]

What it proves: under the Merkle roots that the certificate names, the subjects are, or are not, as the answer says; and
the certificate is whole and agrees with itself. With IDs: that it is about these and nobody else. Letters of two
scripts can look alike: take the ids from your own files. What it cannot know is whether these roots are those of the
models, and whether these are all the models: who has the repository asks `lineage audit check`. Exit status: 0 all
holds, 1 something does not, 2 it cannot be read.

Written without a line of the project's own code, so that both have to agree. The tree is that of RFC 6962, section 2.1.
"""

import hashlib
import json
import re
import sys
import unicodedata
from datetime import datetime, timedelta, timezone
from pathlib import Path

KIND, SCHEMA = "exclusion of subjects", 2
SIZE = 32 << 20  # bytes, at most
LATE = timedelta(minutes=5)  # how far two clocks may lie apart
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
MOMENTS = ("started", "ended", "registered", "committed")  # the last of a model that Git alone holds
USE = ("name", "state", *MOMENTS, "datasets", "commit")
KINDS = ("versions", "runs", "logged models", "models in Git alone", "results in Git alone")
IN_GIT = ("models in Git", "results in Git")
LOOKED_AT = (*KINDS, *IN_GIT, "stores", "dataset versions", "made since", "dataset versions since")
HASH = re.compile("[0-9a-f]{64}")
DATASET = re.compile(r"[0-9a-f]{32}\.dir")
COMMIT = re.compile("[0-9a-f]{40}([0-9a-f]{24})?")
MOST = 1 << 48  # of anything that is counted
DEEPEST = 48  # how long a path may be in a tree of so many leaves
# not seen, though Python calls them printable: Unicode's Default_Ignorable_Code_Point, and what is drawn as nothing
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef"
    "\u2800\ufffc\ufffd\U00013441\U00013442\U00016fe4\U0001d159]"
)
JOINERS = "\u200c\u200d"  # some scripts need them, between their own letters


class RefusedError(Exception):
    """The certificate does not hold; the message says why."""


class UnreadableError(Exception):
    """It is no JSON file that could be a certificate; the message says why."""


def require(condition, why):
    if not condition:
        raise RefusedError(why)


def sha256(data):
    return hashlib.sha256(data).digest()


# What is read


def read(path):
    """The file as JSON in one meaning only: no key twice, no numbers but integers."""
    try:
        with path.open("rb") as file:
            data = file.read(SIZE + 1)
        if len(data) > SIZE:
            raise UnreadableError(f"it has more than {SIZE >> 20} MB, which no certificate has")
        return json.loads(
            data.decode("utf-8"),
            object_pairs_hook=unique,
            parse_int=integer,
            parse_float=no_number,
            parse_constant=no_number,
        )
    except RecursionError:
        raise UnreadableError("it is nested deeper than any certificate") from None
    except (OSError, ValueError) as error:
        raise UnreadableError(str(error)) from None


def unique(pairs):
    found = {}
    for key, value in pairs:
        if key in found:
            raise UnreadableError(f"the key {key[:50]!r} is there twice")
        found[key] = value
    return found


def integer(text):
    if len(text) > len(str(MOST)):
        raise UnreadableError(f"the number {text[:20]}... is larger than any in a certificate")
    return int(text)


def no_number(text):
    raise UnreadableError(f"{text[:20]} is no number of a certificate: these are whole")


# What it must look like


def check_form(certificate):
    require(isinstance(certificate, dict), "it is no JSON object")
    if certificate.get("kind") == KIND and type(certificate.get("schema")) is int:
        require(certificate["schema"] >= SCHEMA, "it is of an old form, whose proofs can be forged: ask for a new one")
    require(set(certificate) == set(FIELDS), f"its fields are not {', '.join(FIELDS)}")
    for name, kind in FIELDS.items():
        require(type(certificate[name]) is kind, f"{name} is not a {kind.__name__}")
    require(
        (certificate["kind"], certificate["schema"]) == (KIND, SCHEMA), "it is of another kind than this program knows"
    )
    keyed(certificate["question"], ("subjects", "since"), "the question")
    texts(certificate["question"]["subjects"], "the subjects")
    texts(certificate["reasons"], "the reasons")
    keyed(certificate["scope"], ("store", "project"), "the scope")
    texts([*certificate["scope"].values(), *certificate["tools"].values()], "scope and tools")
    keyed(certificate["looked_at"], LOOKED_AT, "what was looked at")
    for number in (certificate["controls"], certificate["copies"], *certificate["looked_at"].values()):
        counted(number)
    for use in certificate["models"] + certificate["without_model"]:
        keyed(use, USE, "a model")
        texts([use["name"], use["state"]], "name and state of a model")
        texts(use["datasets"], "the dataset versions of a model")
        require(use["datasets"] == sorted(set(use["datasets"])), f"{use['name']} names a dataset version twice")
        is_commit(use["commit"])
    for dataset in certificate["datasets"]:
        require(type(dataset) is dict, "a dataset version is no object")
        proved = ("root", "salt", "subjects", "proofs")
        keyed(dataset, ("md5", "commit", *(["unknown"] if "unknown" in dataset else proved)), "a dataset version")
        is_like(DATASET, dataset["md5"], "the hash of a dataset version")
        is_commit(dataset["commit"])
        check_form_of_proofs(dataset)
    is_commit(certificate["commit"], nothing=False)
    is_like(HASH, certificate["digest"], "the digest")


def check_form_of_proofs(dataset):
    if "unknown" in dataset:
        return texts([dataset["unknown"]], "what is unknown")
    is_like(HASH, dataset["root"], "a root")
    texts([dataset["salt"]], "a salt")
    counted(dataset["subjects"])
    require(type(dataset["proofs"]) is list, "the proofs are no list")
    for proof in dataset["proofs"]:
        keyed(proof, ("subject", "steps"), "a proof")
        texts([proof["subject"]], "the subject of a proof")
        require(type(proof["steps"]) is list and len(proof["steps"]) <= 2, "a proof has more than two leaves")
        for step in proof["steps"]:
            keyed(step, ("position", "key", "path"), "a leaf")
            counted(step["position"])
            is_like(HASH, step["key"], "the key of a leaf")
            require(type(step["path"]) is list and len(step["path"]) <= DEEPEST, "a path is no list, or too long")
            for node in step["path"]:
                is_like(HASH, node, "a node of a path")
    return None


def keyed(value, names, what):
    require(type(value) is dict and set(value) == set(names), f"{what} has not the fields {', '.join(names)}")


def texts(values, what):
    require(type(values) is list and all(type(value) is str for value in values), f"{what} are no list of texts")
    for value in values:
        require(not re.search("[\ud800-\udfff]", value), f"{what} hold what is no text")


def counted(number):
    require(type(number) is int and 0 <= number < MOST, f"{str(number)[:30]} is no number of anything")


def is_like(pattern, value, what):
    require(type(value) is str and pattern.fullmatch(value), f"{what} is none: {str(value)[:70]!r}")


def is_commit(value, nothing=True):
    if not (nothing and value is None):
        is_like(COMMIT, value, "a commit")


def check_id(text):
    """An id that looks like another, or is another way of writing it, proves nothing about the other."""
    require(text and text == text.strip() and text == unicodedata.normalize("NFC", text), f"{text!r} can be no id")
    for place, char in enumerate(text):
        around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
        joins = char in JOINERS and len(around) == 2 and not any(map(str.isascii, around))
        seen = (char.isprintable() or joins) and not UNSEEN.match(char)
        require(seen, f"{text!r} can be no id: U+{ord(char):04X} is invisible, a blank like others, or no character")


# What it says


def check(certificate, asked=(), now=None):
    """Raises RefusedError with the first thing that does not hold. Returns sentences about what does."""
    check_form(certificate)
    check_digest(certificate)
    subjects, since = question(certificate, now or datetime.now(timezone.utc))  # noqa: UP017  any Python 3
    if asked:
        wanted = {unicodedata.normalize("NFC", subject) for subject in asked}
        require(wanted == set(subjects), "it is about other ids than the ones you gave")
    datasets = {dataset["md5"]: dataset for dataset in certificate["datasets"]}
    check_counts(certificate, datasets, since)
    inside, unproved = [], []
    for md5, dataset in datasets.items():
        if "unknown" in dataset:
            unproved.append(md5)
            continue
        require(
            [proof["subject"] for proof in dataset["proofs"]] == subjects,
            f"dataset {md5} has not one proof for each subject",
        )
        inside += [
            (proof["subject"], md5) for proof in dataset["proofs"] if is_in(proof["subject"], proof["steps"], dataset)
        ]
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
    require(
        sha256(text.encode("utf-8", "surrogatepass")).hex() == certificate["digest"],
        "it was changed: its digest is wrong",
    )


def question(certificate, now):
    subjects = certificate["question"]["subjects"]
    require(subjects and len(set(subjects)) == len(subjects), "it names no subject, or one twice")
    for subject in subjects:
        check_id(subject)
    since, moment = moment_of(certificate["question"]["since"]), moment_of(certificate["moment"])
    require(
        moment <= now + LATE, f"it was written in the future: {certificate['moment']}, and now is {now.isoformat()}"
    )
    require(since <= moment, "it is dated before its own `since`")
    return subjects, since


def moment_of(text):
    why = f"{str(text)[:50]!r} is no moment with a zone"
    try:
        moment = datetime.fromisoformat(text)
        require(moment.tzinfo is not None and moment.isoformat() == text, why)
        return moment.astimezone(timezone.utc)  # noqa: UP017  any Python 3
    except (ValueError, TypeError, OverflowError):
        raise RefusedError(why) from None


def check_counts(certificate, datasets, since):
    """The denominators are those of the lists, and the lists belong together."""
    models, looked_at, moment = certificate["models"], certificate["looked_at"], moment_of(certificate["moment"])
    names = [use["name"] for use in models + certificate["without_model"]]
    require(len(datasets) == len(certificate["datasets"]), "a dataset version is listed twice")
    require(len(set(names)) == len(names), "a model is listed twice")
    require(looked_at["made since"] == len(models), "the number of models is not that of the list")
    require(
        looked_at["dataset versions since"] == len(datasets), "the number of dataset versions is not that of the list"
    )
    in_all = sum(looked_at[kind] for kind in KINDS)
    require(in_all >= len(names), "more was made since than there is in all")
    require(looked_at["dataset versions"] >= len(datasets), "there are more dataset versions since than in all")
    require(certificate["controls"] <= len(datasets), "there are more controls than dataset versions")
    used = {md5 for model in models for md5 in model["datasets"]}
    require(used == set(datasets), "the dataset versions are not those that the models rest on")
    for use in models + certificate["without_model"]:
        moments = [moment_of(use[name]) for name in MOMENTS if use[name] is not None]
        settled = any(use[name] is not None for name in MOMENTS[1:])
        require(not settled or max(moments) >= since, f"{use['name']} was not made since that moment")
        require(all(made <= moment + LATE for made in moments), f"{use['name']} was made after the certificate")


def check_answer(certificate, inside, unproved):
    answer, reasons = certificate["answer"], certificate["reasons"]
    holds = {
        f"{subject} is in {model['name']}"
        for model in certificate["models"]
        for subject, md5 in inside
        if md5 in model["datasets"]
    }
    require(holds <= set(reasons), f"it does not name what it proves: {sorted(holds)[:1]}")
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
        require(inside, "it says FAILED, but no subject is proved to be in a model")
    else:
        require(answer == "INCONCLUSIVE", f"{answer} is no answer")
        require(reasons and not inside, "it says INCONCLUSIVE without a reason, or where it must say FAILED")


# The proofs


def is_in(subject, steps, dataset):
    """Whether the steps prove that the subject is in the tree, or that it is not. Raises RefusedError if neither."""
    salt, count = dataset["salt"], dataset["subjects"]
    key = sha256(f"{len(salt)}:{salt}{subject}".encode())
    where = f"the proof for {subject} in dataset {dataset['md5']}"
    for step in steps:
        top = climb(bytes.fromhex(step["key"]), step["position"], count, [bytes.fromhex(node) for node in step["path"]])
        require(root_of(dataset, top) == dataset["root"], f"{where} does not lead to the root")
    keys, positions = [bytes.fromhex(step["key"]) for step in steps], [step["position"] for step in steps]
    if not steps:
        require(count == 0 and root_of(dataset, sha256(b"")) == dataset["root"], f"{where} is missing")
    elif keys == [key]:
        return True
    elif len(steps) == 2:
        require(positions[1] == positions[0] + 1, f"{where} shows leaves that are no neighbours")
        require(keys[0] < key < keys[1], f"{where} shows neighbours that do not enclose it")
    else:
        first, last = positions == [0] and key < keys[0], positions == [count - 1] and key > keys[0]
        require(first or last, f"{where} shows one leaf that is neither the first nor the last")
    return False


def root_of(dataset, top):
    """The manifest states a root over salt, number of leaves, and leaves; the one here covers the data's hash too."""
    salt = dataset["salt"].encode()
    inner = sha256(b"\x02" + dataset["subjects"].to_bytes(8, "big") + len(salt).to_bytes(8, "big") + salt + top)
    return sha256(b"\x03" + f"{dataset['md5']}\n{inner.hex()}".encode()).hex()


def climb(key, position, count, path):
    """The top of the tree from one leaf, as RFC 6962 (9162, section 2.1.3.2) verifies an inclusion."""
    require(0 <= position < count, "a leaf lies outside of the tree")
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


def show(text):
    """What others wrote, without what a terminal would obey, and with the code of each character beyond ASCII."""
    seen = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    return seen if text.isascii() or len(text) > 200 else f"{seen} ({ascii(text)[1:-1]})"


def main():
    if len(sys.argv) < 2:
        sys.exit("usage: python check_certificate.py CERTIFICATE.json [ID...]")
    name, asked = sys.argv[1], sys.argv[2:]
    sys.stdout.reconfigure(errors="backslashreplace")
    sys.stderr.reconfigure(errors="backslashreplace")
    try:
        certificate = read(Path(name))
    except UnreadableError as error:
        print(show(f"{name} cannot be read: {error}."), file=sys.stderr)
        sys.exit(2)
    try:
        said = check(certificate, asked)
    except RefusedError as error:
        print(f"REFUSED: {show(str(error))}.")
        sys.exit(1)
    for sentence in said:
        print(f"  {show(sentence)}")
    print(f"  its digest is {certificate['digest']}")
    print(f"HOLDS: {certificate['answer']} for {', '.join(map(show, certificate['question']['subjects']))}.")
    print(
        "NOT CHECKED: whether these are all the models made since then, and whether the roots are those of their data. "
        "Who has the repository finds out with `lineage audit check`."
    )


if __name__ == "__main__":
    main()
