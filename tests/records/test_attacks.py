"""A thousand attacks at random: no command comforts anybody wrongly after any of them, nor ends in a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from attack_questions import at_random, questions
from attacks import target_of
from baked import Project
from command import Lineage
from consent import Cycle

SEED = 20261127


@pytest.mark.parametrize("count", [10, pytest.param(1000, marks=pytest.mark.long)])
def test_no_attack_makes_an_answer_comfort_wrongly(
    count: int, project: Project, cycle: Cycle, lineage: Lineage, tmp_path: Path
) -> None:
    target = target_of(project, lineage, cycle.moment, tmp_path / "kept")
    chance = random.Random(SEED)
    before = {question.arguments: question.ask(target, lineage)[0] for question in questions(target)}
    target.restore()
    wrong = []
    for number, (attack, question) in enumerate(at_random(target, chance, count)):
        status, output, errors = question.ask(target, lineage)
        told = f"{number}: {attack.what}: {' '.join(question.arguments)}: {status} (seed {SEED})"
        other = attack.harmless and question.of_versions and status != before.get(question.arguments)
        if question.is_wrong(attack, status, output) or other or "Traceback" in output + errors:
            wrong.append(f"{told}\n{output[-1500:]}\n{errors[-500:]}")
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n\n".join(wrong[:20])
    assert {question.arguments: question.ask(target, lineage)[0] for question in questions(target)} == before
