"""The model card: what a person should know of a model before using it, from its lineage.json alone.

`card` gives its parts, for whoever shows them; `to_markdown` the text that stands as the description of the version.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..base.pages import render_text
from ..git.web import web_url
from ..settings import flatten
from ..tracking.described import BEGINNING, LONGEST, signed

MOST_CLASSES = 20  # that are named


def card(document: dict[str, Any], version: str | None = None, commit: str | None = None) -> dict[str, Any]:
    """The parts of the card of the model that a lineage.json describes; what it does not know is None.

    `version`: its number in the registry; `commit`: its result commit, where one is known.
    """
    name, record = document["model"]["name"], document["training_run"]
    started, data = record.get("started_from") or {}, document["dataset"]
    parameters = flatten(document["parameters"])
    return {
        "name": name,
        "version": version,
        "uri": f"models:/{name}/{version}" if version else None,
        "classes": data["classes"],
        "architecture": parameters.get("model.name"),
        "size": document["model"]["size"],
        "pretrained": (document.get("pretrained") or {}).get("url"),
        "data": {
            "source": parameters.get("data.source.name"),
            "fraction": parameters.get("data.fraction"),
            "md5": data["md5"],
            "consent": (document.get("consent") or {}).get("md5"),
            "splits": {
                split: (count, data["subjects_by_split"].get(split)) for split, count in data["records"].items()
            },
        },
        "scores": {group: _scores(found) for group, found in document["metrics"].items() if isinstance(found, dict)},
        "limits": _limits(document, started),
        "chain": _chain(document, record, started, commit),
    }


def _scores(found: dict[str, Any]) -> dict[str, Any]:
    """The numbers of one split: each with its interval where it has one, the counts, the worst slice."""
    numbers = {key: value for key, value in found.items() if _is_number(value)}
    bounds = {key for key in numbers if key.endswith(("_low", "_high")) and key.rpartition("_")[0] in numbers}
    counts = ("records", "subjects")
    slices = found.get("slices") or {}
    worst = found.get("worst_slice")
    return {
        "values": {
            key: {"value": value, "low": numbers.get(f"{key}_low"), "high": numbers.get(f"{key}_high")}
            for key, value in numbers.items()
            if key not in bounds and key not in counts and key != "worst_slice_accuracy"
        },
        **{key: numbers.get(key) for key in counts},
        "slices": len(slices),
        "too_small": [name for name, one in slices.items() if one.get("low") is None],
        "worst": _worst(str(worst), slices[worst]) if worst in slices else None,
    }


def _worst(name: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, **{key: found.get(key) for key in ("accuracy", "low", "high", "records", "subjects")}}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _limits(document: dict[str, Any], started: dict[str, Any]) -> list[str]:
    """What its user should not expect of it."""
    limits = ["It was scored on records of the same source as those it was trained on: of other data nobody can say."]
    groups = [found for found in document["metrics"].values() if isinstance(found, dict)]
    if not any(key.endswith("_low") for found in groups for key in found):
        limits.append("There is no interval: the test split has too few subjects for one.")
    if not any(found.get("slices") for found in groups):
        limits.append("The scores are of all records together: for a device, a site or a group they may be lower.")
    if url := (document.get("pretrained") or {}).get("url"):
        limits.append(f"Training started from weights of {url}; on which data those were trained is not known here.")
    if document.get("consent") is None:
        limits.append("No consent registry was asked before these data were used.")
    if started.get("git_dirty") == "true":
        limits.append("Training started from files that differed from their commit; `lineage verify` compares them.")
    if "environment_differs" in started:
        limits.append("It was trained in an environment that is not as requirements.lock says.")
    return [*limits, "What it may be used for, no computer can say: whoever knows writes it above or below this card."]


def _chain(
    document: dict[str, Any], record: dict[str, Any], started: dict[str, Any], commit: str | None
) -> list[dict[str, str | None]]:
    """The links of the chain: what each is called, and an address where there is one."""
    repository = web_url(started.get("git_repo_url"))
    run_id, data_commit = record.get("run_id"), started.get("data_git_commit_id")

    def of_commit(name: str, found: str | None) -> dict[str, str | None]:
        return {"name": name, "text": found, "url": f"{repository}/commit/{found}" if repository and found else None}

    return [
        {"name": "model identity", "text": document["model"]["identity"], "url": None},
        # the page of a run, wherever the MLflow is that shows this
        {"name": "training run", "text": run_id, "url": f"#/runs/{run_id}" if run_id else None},
        of_commit("result commit", commit),
        *([of_commit("data commit", data_commit)] if data_commit else []),
        {"name": "dataset version", "text": document["dataset"]["md5"], "url": None},
        {"name": "raw data", "text": document["raw"]["md5"], "url": None},
        {"name": "weights, SHA-256", "text": document["model"]["sha256"], "url": None},
        {"name": "environment lock", "text": document["environment"]["md5"], "url": None},
    ]


def to_markdown(parts: dict[str, Any]) -> str:
    """The card as text for MLflow, at most LONGEST characters."""
    text = ""
    for named in (MOST_CLASSES, 5, 0):
        text = _markdown(parts, named)
        if len(text) <= LONGEST:
            return text
    return signed(f"{text[: LONGEST - 300].rpartition(chr(10))[0]}\n\n... The rest is in `lineage.json`.\n\n")


def _markdown(parts: dict[str, Any], named: int) -> str:
    filters: dict[str, Callable[..., str]] = {"code": code, "number": number, "bytes": _megabytes}
    template = Path(__file__).with_name("card.md.jinja")
    return signed(render_text(template, filters, card=parts, named=named, beginning=BEGINNING))


def code(value: object, longest: int = 200) -> str:
    """A value as code, so that nothing in it means anything to Markdown or HTML. `longest` is in characters."""
    text = " ".join(str(value).split()).replace("`", "'").replace("|", "¦")
    return f"`{text[:longest]}`" if text else "`-`"


def number(value: float | None) -> str:
    """A number for people, with four significant digits."""
    return "unknown" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
