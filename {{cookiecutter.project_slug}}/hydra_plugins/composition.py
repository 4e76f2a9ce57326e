"""What is computed, and what is refused, when conf/ is composed into params.yaml.

Hydra imports every module of a folder named hydra_plugins; DVC puts the project's root on the path for it. Only the
standard library at the top: the template's hook reads this file where nothing else is installed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

CONF = Path(__file__).resolve().parents[1] / "conf"


def conf_digest(conf: Path = CONF) -> str:
    """SHA-256 over the names and contents of the YAML files in `conf`, shortened to 16 digits behind a letter.

    Line ends do not count. The digest lands in params.yaml with every composition, so that an edit of conf/ that was
    not composed shows.
    """
    digest = hashlib.sha256()
    names = sorted(path.relative_to(conf).as_posix() for path in conf.rglob("*.yaml"))
    for name in names:
        if any(part.startswith(".") for part in name.split("/")):
            continue  # an editor's checkpoints
        content = (conf / name).read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return f"c{digest.hexdigest()[:16]}"  # with a letter in front, no YAML reader takes it for a number


def _digest_and_refuse() -> str:
    # conf_digest is the first key to be resolved. Hydra registers `now` after it has loaded its plugins, so this is the
    # moment to put the refusals in place for all keys that follow.
    _register_refusals()
    return conf_digest()


def _made(name: str, path: str) -> Any:
    """`${made:registry,data/consent.csv}`: a stage makes the input, whose one instance is `stage@registry`."""
    return _optional_input([name], path)


def _made_if(condition: Any, name: str, path: str) -> Any:
    """`${made_if:${model.pretrained},imagenet,models/pretrained.pth}`: `made` or `absent`, by a setting."""
    if not isinstance(condition, bool):
        raise ValueError(f"${{made_if:...}} asks for true or false, not {condition!r}.")
    return _made(name, path) if condition else _absent()


def _kept(path: str) -> Any:
    """`${kept:data/source}`: the input is there without a stage, because DVC or Git keeps it."""
    return _optional_input([], path)


def _absent() -> Any:
    """`${absent:}`: there is no such input; a file that never changes stands in its place."""
    return _optional_input([], ".checks/absent")


def _reference(path: str | None) -> Any:
    """`${reference:${data.drift.against}}`: `kept`, or where there is no path, another file that never changes.

    Not that of `absent`: the stage has another input that may be absent, and dvc takes one dependency once.
    """
    return _optional_input([], path or ".checks/params")


def _optional_input(enabled: list[str], path: str) -> Any:
    """What lineage/settings/optional.py reads."""
    from omegaconf import OmegaConf

    return OmegaConf.create({"enabled": enabled, "path": path})


def _refuse_environment(*names: str) -> str:
    raise ValueError(
        f"${{oc.env:{','.join(map(str, names))}}} would write a value of your environment into params.yaml, which is "
        "kept in Git. Write the variable's name into conf/ and read it where it is used."
    )


def _refuse_now(*_: Any) -> str:
    raise ValueError("${now:...} would change params.yaml, and rerun the pipeline, at every composition.")


def _register_refusals() -> None:
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("oc.env", _refuse_environment, replace=True)
    OmegaConf.register_new_resolver("now", _refuse_now, replace=True)


def _register() -> None:
    from omegaconf import OmegaConf

    OmegaConf.register_new_resolver("conf_digest", _digest_and_refuse, replace=True)
    resolvers = {"made": _made, "made_if": _made_if, "kept": _kept, "absent": _absent, "reference": _reference}
    for name, resolver in resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)
    _register_refusals()


if __name__.startswith("hydra_plugins."):  # else it was loaded by its path, for the digest alone
    _register()
