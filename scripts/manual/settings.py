"""The page of all settings: from conf/ what they are called, their values and comments; from the code their types."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml

from .table import cell, code, table

HEAD = """# Settings

Every setting of `conf/`, with its value in a new project, its type, and the comment that stands there. The types are
in the code, and hold when `params.yaml` is read: an unknown key, or a value of another type, stops the pipeline with a
sentence. How settings are changed is in [settings](../how-to/settings.md).

A key is written as an override writes it: `lineage compose data.fraction=0.1`. Where a group has several files, the one
that `conf/config.yaml` names is used, and an override names another: `lineage compose data=cifar10`. Values in `${...}`
follow from other settings.
"""


@dataclass(frozen=True)
class Setting:
    """A key of a file of conf/, dotted as an override has it."""

    key: str
    value: str
    comment: str


def page(root: Path) -> str:
    parts = [HEAD]
    for file in sorted((root / "conf").rglob("*.yaml"), key=lambda path: (path.parent != root / "conf", path)):
        text = file.read_text(encoding="utf-8")
        found = list(settings(text, group_of(file, root, text)))
        rows = [(f"`{one.key}`", code(one.value), cell(type_of(one.key, found)), plain(one.comment)) for one in found]
        parts.append(f"## {file.relative_to(root).as_posix()}\n")
        if about := head_of(text):
            parts.append(plain(about) + "\n")
        if rows:
            parts.append(table(("key", "value", "type", "what it is"), rows) + "\n")
    return "\n".join(parts)


def group_of(file: Path, root: Path, text: str) -> str:
    """The group that a file's keys are in, as Hydra packages it."""
    group = file.parent.relative_to(root / "conf").as_posix()
    return "" if group == "." or text.startswith("# @package _global_") else group


def head_of(text: str) -> str:
    """What the first comment says of the whole file: it ends with an empty line, or before `defaults`."""
    lines = text.splitlines()
    block = [line for line in lines if not line.startswith("# @package")]
    first = next((place for place, line in enumerate(block) if not line.startswith("#")), len(block))
    if first < len(block) and block[first] and not block[first].startswith(("defaults:", "{}")):
        return ""
    return " ".join(line.lstrip("# ") for line in block[:first])


def settings(text: str, group: str) -> Iterator[Setting]:
    """All keys with a value, in their order. A comment above a section goes before those of its keys."""
    lines, node = text.splitlines(), yaml.compose(text)
    if isinstance(node, yaml.MappingNode):
        yield from _below(node, lines, group, head_of(text))


def _below(node: yaml.MappingNode, lines: list[str], prefix: str, head: str) -> Iterator[Setting]:
    for key, value in node.value:
        if key.value == "defaults" and prefix in ("", *GROUPS) and isinstance(value, yaml.SequenceNode):
            continue
        name = f"{prefix}.{key.value}" if prefix else key.value
        comment = _above(lines, key.start_mark.line, key.start_mark.column)
        comment = "" if comment == head else comment
        if isinstance(value, yaml.MappingNode) and value.value and not value.flow_style:
            if comment:
                yield Setting(name, "", comment)
            yield from _below(value, lines, name, head)
            continue
        beside = _beside(lines, value)
        yield Setting(name, _written(lines, value), " ".join(filter(None, (comment, beside))))


GROUPS = ("data", "compute", "train")
PAGE = re.compile(r"\bdocs/([a-z-]+\.md)")


def plain(comment: str) -> str:
    """A comment of YAML as text of Markdown: marks that are no code are what they are, pages are links."""
    parts = cell(comment).split("`")
    parts[::2] = [re.sub(r"([*_\[\]])", r"\\\1", part) for part in parts[::2]]
    return PAGE.sub(r"[\1](../how-to/\1)", "`".join(parts))


def _above(lines: list[str], line: int, column: int) -> str:
    """The comment in the lines straight above a key, as far as it is indented like it."""
    found: list[str] = []
    while line and re.match(rf" {{{column}}}# ", lines[line - 1]) and "# @package" not in lines[line - 1]:
        line -= 1
        found.insert(0, lines[line].strip()[2:])
    return " ".join(found)


def _beside(lines: list[str], value: yaml.Node) -> str:
    rest = lines[value.end_mark.line][value.end_mark.column :] if value.end_mark.line < len(lines) else ""
    return rest.partition("# ")[2].strip() if rest.lstrip().startswith("#") else ""


def _written(lines: list[str], value: yaml.Node) -> str:
    start, end = value.start_mark, value.end_mark
    if start.line == end.line:
        return lines[start.line][start.column : end.column].strip()
    return " ".join(part.strip() for part in lines[start.line : end.line + 1])


def type_of(key: str, beside: list[Setting]) -> str:
    """The type of a setting in words; nothing for what is a class of its own or no setting of a class."""
    from lineage.compute.sagemaker.settings import SageMakerSettings
    from lineage.contract import settings_class

    first = key.split(".")
    if first[-1] == "_target_":
        return "name of a class"
    if first[0] == "callbacks":
        return ""
    if first[0] == "compute" and len(first) == 2 and first[1] not in ("engine", "spark", "sagemaker"):
        return "name of a backend"
    start: Any = settings_class()
    if first[:2] == ["compute", "sagemaker"]:
        start, first = SageMakerSettings, first[2:]
    names = {one.value for one in beside if one.key.endswith(".name")}
    found = _annotation(start, first, names)
    return "" if found is None else words(found)


def _annotation(section: Any, path: list[str], names: set[str]) -> Any:
    """The annotation of a field below a section. Of several sections, the one whose `name` the file has."""
    for part in path:
        for one in _sections(section):
            field = getattr(one, "model_fields", {}).get(part)
            its_name = getattr(one, "model_fields", {}).get("name")
            if field is None:
                continue
            is_named = its_name is not None and get_origin(its_name.annotation) is Literal
            if is_named and names and not names & set(get_args(its_name.annotation)):
                continue
            section = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
            break
        else:
            mapping = next((one for one in _sections(section) if get_origin(one) is dict), None)
            if mapping is None:
                return None
            section = get_args(mapping)[1]
    return section


def _sections(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        return _sections(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        return [one for each in get_args(annotation) for one in _sections(each)]
    return [annotation]


PLAIN = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    type(None): "`null`",
    Any: "anything",
}


def words(annotation: Any) -> str:
    """A type as people say it: `whole number, 1 or more, or null`."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return ", ".join(filter(None, (words(inner[0]), *(_limit(each) for each in inner[1:]))))
    if origin in (Union, types.UnionType):
        return "; or ".join(dict.fromkeys(words(each) for each in inner))
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in inner)
    if origin is list:
        return f"list of: {words(inner[0])}"
    if origin is dict:
        return f"keys ({words(inner[0])}) with values ({words(inner[1])})"
    if annotation in PLAIN:
        return PLAIN[annotation]
    return "follows from other settings" if annotation.__name__ == "OptionalInput" else "section"


def _limit(metadata: Any) -> str:
    """What narrows a type: limits, a pattern, a length."""
    if hasattr(metadata, "metadata"):
        return ", ".join(filter(None, map(_limit, metadata.metadata)))
    said = {
        "ge": "{} or more",
        "gt": "above {}",
        "le": "{} or less",
        "lt": "below {}",
        "pattern": "as `{}`",
        "min_length": "not empty",
        "max_length": "at most {} long",
    }
    return ", ".join(
        text.format(getattr(metadata, name)) for name, text in said.items() if getattr(metadata, name, None) is not None
    )
