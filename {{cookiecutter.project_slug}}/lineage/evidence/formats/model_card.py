"""A model card as Hugging Face reads it: metadata in YAML, then Markdown. https://huggingface.co/docs/hub/model-cards"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from ...base.pages import render_text
from ...chain.card import code as code_of
from ...chain.card import number
from ..facts import Facts, Score

TASK = "image-classification"
COUNTED = re.compile(r"(records|subjects)")


def model_card(facts: Facts) -> str:
    """The text of README.md. The license is left out: nobody has recorded one."""
    head = yaml.safe_dump(_metadata(facts), sort_keys=False, allow_unicode=True, width=1000)
    template = Path(__file__).with_name("model_card.md.jinja")
    text = render_text(template, {"code": code, "number": number}, facts=facts)
    return f"---\n{head}---\n\n{text.rstrip()}\n"


def _metadata(facts: Facts) -> dict[str, Any]:
    metrics = [score for score in facts.scores if not COUNTED.search(score.name)]
    return {
        "model_name": facts.name,
        "pipeline_tag": TASK,
        "tags": [TASK, "safetensors", "lineage"],
        "metrics": sorted({score.name for score in metrics}),
        "model-index": [
            {
                "name": facts.title,
                "results": [
                    {
                        "task": {"type": TASK},
                        "dataset": {
                            "type": "lineage",
                            "name": facts.dataset.path,
                            "split": group,
                            "revision": facts.dataset.md5,
                        },
                        "metrics": [_metric(score) for score in metrics if score.group == group],
                    }
                    for group in dict.fromkeys(score.group for score in metrics)
                ],
            }
        ],
    }


def _metric(score: Score) -> dict[str, Any]:
    return {"type": score.name, "value": score.value, "name": f"{score.group}.{score.name}"}


def code(value: object) -> str:
    """As the card of the registry has it, with room for an address."""
    return code_of(value, 300)
