"""YAML 1.2 as DVC reads and writes it. PyYAML alone follows YAML 1.1, where `1e-05` is text and `yes` is true."""

from __future__ import annotations

import pickle
import re
from functools import lru_cache
from typing import Any

import yaml

Parsing = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the one in C is ten times faster, where it was built


class _Loader(Parsing):  # type: ignore[misc, valid-type]
    """A safe loader with the scalars of YAML 1.2 as ruamel.yaml knows them, which DVC uses and which is slow."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  as PyYAML declares it


# what comes first wins
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?0b[0-1_]+|[-+]?0o?[0-7_]+|[-+]?[0-9_]+|[-+]?0x[0-9a-fA-F_]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*)\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?(?:[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)"
        r"|[-+]?\.[0-9_]+(?:[eE][-+][0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def _integer(loader: Any, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node).replace("_", "").lower()
    digits = text.lstrip("+-")
    base = {"0x": 16, "0o": 8, "0b": 2}.get(digits[:2], 10)  # to YAML 1.1, `010` is eight
    return int(text, base)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def parse_yaml(text: str | bytes) -> Any:
    """The content of a YAML document as plain data. Raises yaml.YAMLError if it is none."""
    return pickle.loads(_parsed(text))  # noqa: S301  pickled below


@lru_cache(maxsize=64)
def _parsed(text: str | bytes) -> bytes:
    """Pickled, so that each caller has its own: a stage asks for the same few files a dozen times."""
    try:
        return pickle.dumps(yaml.load(text, Loader=_Loader))  # noqa: S506  a safe loader
    except (ValueError, RecursionError) as error:  # `-_` looks like a number; brackets within brackets without end
        raise yaml.YAMLError(str(error)) from None


def parse_mapping(data: bytes | None) -> dict[str, Any]:
    """The mapping that a YAML document holds; empty if there is no document, or it is none or holds something else."""
    try:
        document = parse_yaml(data or b"")
    except yaml.YAMLError:
        return {}
    return document if isinstance(document, dict) else {}
