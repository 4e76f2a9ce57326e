"""Every command that answers something about two models, and when its answer after an attack comforts wrongly."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from attacks import ATTACKS, BOTH, Attack, Target
from attacks_around import AROUND, ATTACKS_AROUND
from attacks_on_certificates import OFFLINE, REPOSITORY, forge
from command import Lineage
from consent import FIRST, LONG_AGO, OUT, SECOND, STAYS

Judge = Callable[[Attack, int, str], bool]
WEIGHTS = "models/model.safetensors"


@dataclass(frozen=True)
class Question:
    """A command, and whether an answer after an attack comforts wrongly."""

    arguments: tuple[str, ...]
    is_wrong: Judge
    of_versions: bool = True  # nothing that lies around them may change the answer
    offline: bool = False  # asked with scripts/check_certificate.py

    def ask(self, target: Target, lineage: Lineage) -> tuple[int, str, str]:
        """Exit status, output and error output."""
        if not self.offline:
            return lineage.run(target.project, *self.arguments)
        command = ("python", "-I", "-S", "scripts/check_certificate.py", *self.arguments)
        process = target.project.start(*command, stderr=subprocess.PIPE)
        output, errors = process.communicate()
        return process.returncode, output, errors


def questions(target: Target) -> list[Question]:
    """All of them but those about certificates that were changed."""
    excluded = ("audit", "excluded", "--json", "--since")
    return [
        *(Question(("verify", version, "--json", "--rehash"), _proves()) for version in (FIRST, SECOND)),
        Question(("verify", "--all", "--json", "--rehash"), _proves_all),
        Question(("verify", "HEAD", "--json", "--rehash"), _proves(lambda: _at(target, "HEAD")), of_versions=False),
        Question(("verify", "two", "--json", "--rehash"), _proves(lambda: _at(target, "two")), of_versions=False),
        Question(("verify", "lineage.json", "--json", "--rehash"), _proves(lambda: _here(target)), of_versions=False),
        Question(("verify", WEIGHTS, "--json", "--rehash"), _proves(lambda: _with_weights(target)), of_versions=False),
        Question((*excluded, LONG_AGO, OUT), _passes),  # version 1 holds them, since then
        Question((*excluded, LONG_AGO, STAYS), _passes),
        Question((*excluded, target.moment, OUT), _passes_unseen),
        Question((*excluded, target.moment, "--without-mlflow", OUT), _passes_unseen),
        Question(("audit", "subject", OUT, "--json"), _forgets),
        Question(("audit", "affected", "--json"), _passes),  # version 1 rests on who opted out
        Question(("audit", "records", SECOND, "--json"), lambda *said: _lists_others(target, *said)),
        Question(("audit", "check", str(target.certificates["PASSED"])), _holds_unseen),
        Question(("restore", SECOND, "--to", str(target.restored)), lambda *said: _restores_others(target, *said)),
        Question(("trace", SECOND), lambda *_: False),
        Question(("doctor", "--json"), lambda *_: False, of_versions=False),
    ]


def questions_about_certificates(target: Target) -> list[Question]:
    """Both checkers, about the certificate that is shown: they refuse what was forged, and nothing else."""

    def differs(checker: str) -> Judge:
        return lambda attack, status, output: (status == 0 or "HOLDS" in output) == (checker in attack.forged)

    shown = str(target.shown)
    return [
        Question((shown,), _unless_unjudged(OFFLINE, differs(OFFLINE)), offline=True),
        Question(("audit", "check", shown), _unless_unjudged(REPOSITORY, differs(REPOSITORY))),
    ]


def _unless_unjudged(checker: str, judge: Judge) -> Judge:
    """What only the other checker can know is no fault of this one."""
    return lambda attack, status, output: (
        (not attack.forged or checker in attack.forged) and judge(attack, status, output)
    )


def _proves(claimed: Callable[[], frozenset[str]] = lambda: BOTH) -> Judge:
    """Something is proved that was disproved, or that what was named does not claim to be."""

    def judge(attack: Attack, status: int, output: str) -> bool:
        if not output.startswith("{"):
            return status in (0, 3)
        models = json.loads(output)["models"]
        proved = {model["model"] for model in models if model["state"] in ("PASS", "ERASED")}
        right = claimed() - attack.disproves
        # what was proved without MLflow, and is said so, is called lineage.json, whichever version it is
        by_git = {"lineage.json"} if (claimed() if attack.mlflow_alone else right) else set()
        return bool(proved - right - by_git) or (status in (0, 3) and (not proved or len(proved) < len(models)))

    return judge


def _proves_all(attack: Attack, status: int, output: str) -> bool:
    """The same; or all is said to be proved while Git holds a model that no version is."""
    return _proves()(attack, status, output) or (status in (0, 3) and attack.adds_out)


def _at(target: Target, revision: str) -> frozenset[str]:
    """The versions that the commit holds."""
    return target.held_by(target.project.run("git", "show", f"{revision}:dvc.lock", code=None))


def _here(target: Target) -> frozenset[str]:
    """The versions whose text is that of lineage.json here, word by word."""
    try:
        document = json.loads((target.project.root / "lineage.json").read_bytes())
    except (OSError, ValueError):
        return frozenset()
    return frozenset(version for version, known in target.documents.items() if known == document)


def _with_weights(target: Target) -> frozenset[str]:
    """The versions that have the weights which lie here."""
    try:
        md5 = hashlib.md5((target.project.root / WEIGHTS).read_bytes()).hexdigest()
    except OSError:
        return frozenset()
    return frozenset(version for version, files in target.files.items() if files[WEIGHTS] == md5)


def _passes(_: Attack, status: int, __: str) -> bool:
    return status == 0


def _passes_unseen(attack: Attack, status: int, _: str) -> bool:
    return status == 0 and (SECOND in attack.loses or attack.adds_out)


def _holds_unseen(attack: Attack, status: int, _: str) -> bool:
    """A model that came later is not its matter."""
    return status == 0 and SECOND in attack.loses


def _forgets(attack: Attack, status: int, output: str) -> bool:
    """Version 1 is not named, nor what was made with OUT since."""
    if status != 0:
        return False
    uses = json.loads(output)["uses"]
    return FIRST not in {use["name"] for use in uses} or (
        attack.adds_out and not any(use["kind"] == "model in Git" for use in uses)
    )


def _lists_others(target: Target, _: Attack, status: int, output: str) -> bool:
    """Not the subjects that version 2 was made from."""
    return status == 0 and {record["subject_id"] for record in json.loads(output)} != target.subjects[SECOND]


def _restores_others(target: Target, _: Attack, status: int, __: str) -> bool:
    """Not the bytes that version 2 rests on."""
    return status == 0 and any(
        not (target.restored / path).is_file() or hashlib.md5((target.restored / path).read_bytes()).hexdigest() != md5
        for path, md5 in target.files[SECOND].items()
        if path.startswith(("data/processed/", "models/"))
    )


class Deck:
    """Gives out what it holds in an order of chance, each as often as the others."""

    def __init__(self, held: list[Any], chance: random.Random) -> None:
        self._held, self._chance, self._left = held, chance, list[Any]()

    def draw(self) -> Any:
        self._left = self._left or self._chance.sample(self._held, len(self._held))
        return self._left.pop()


def at_random(target: Target, chance: random.Random, count: int) -> Iterator[tuple[Attack, Question]]:
    """`count` attacks, each with one question about it; before the next, all is as it was.

    Every third attack on a version has another one around it, which is to hide it.
    """
    attacks = Deck([*ATTACKS, *ATTACKS_AROUND, forge], chance)
    asked, around = Deck(questions(target), chance), Deck(list(AROUND), chance)
    shown = Deck(questions_about_certificates(target), chance)
    for _ in range(count):
        chosen = attacks.draw()
        attack = chosen(target, chance)
        if chosen in ATTACKS and chance.random() < 1 / 3:
            attack += around.draw()(target, chance)
        yield attack, (shown if chosen is forge else asked).draw()
        target.restore()
