"""conf/ and params.yaml: composing the one into the other, and noticing when they have drifted apart."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from runpy import run_path
from typing import Any

from yaml import YAMLError

from ..base.errors import SettingsError, StaleParamsError
from ..base.yaml12 import parse_mapping
from ..dvc.dvcfile import PARAMS_FILE
from ..git.anchor import main_root
from ..git.repository import Repository
from ..settings import check_settings, flatten, no_setting, read_params

CONF = "conf"


def compose_params(root: Path, overrides: list[str]) -> dict[str, tuple[Any, Any]]:
    """Composes into `root`/params.yaml . Returns what changed: old and new value by key, None for no value.

    Raises SettingsError, and changes nothing, if Hydra or the pipeline refuses the settings.
    """
    target = root / PARAMS_FILE
    partial = target.with_name(f".{PARAMS_FILE}.partial.yaml")
    try:
        _compose(root, overrides, partial)
        composed = read_params(partial)
        check_settings(composed, PARAMS_FILE)
        changes = _differences(read_params(target) if target.exists() else {}, composed)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return changes


def committed_params(root: Path) -> dict[str, Any]:
    """params.yaml of the last commit, unchecked; empty if it has none that can be read."""
    text = Repository(root).run("show", f"HEAD:./{PARAMS_FILE}") or ""
    return parse_mapping(text.encode())  # nothing can have run with one that cannot be read


def changes_since_commit(root: Path) -> dict[str, tuple[Any, Any]]:
    """The settings that the last commit has otherwise: its value and that of now by key, None for no value."""
    committed = committed_params(root)
    changes = _differences(committed, read_params(root / PARAMS_FILE)) if committed else {}
    return {key: change for key, change in changes.items() if key != "conf_digest"}


def is_fresh(root: Path) -> bool:
    """Whether params.yaml was composed from conf/ as it is now. Overrides and edits of params.yaml do not count."""
    return bool(read_params(root / PARAMS_FILE).get("conf_digest") == _conf_digest(root))


def require_fresh_params(root: Path) -> None:
    """Raises StaleParamsError, with the command that fixes it, if conf/ was edited after params.yaml was composed."""
    if is_fresh(root):
        return
    main = main_root(root)
    if main != root.resolve():
        untracked = Repository(main).untracked_files((CONF,), ignored=False)
        if untracked:
            raise StaleParamsError(
                f"params.yaml was composed with {', '.join(untracked)}, which Git does not track, so this experiment "
                f"does not have it. Run `git add {CONF}`, commit, and start the experiment again."
            )
    raise StaleParamsError(
        f"conf/ was edited after params.yaml was composed from it.{_preview(root)} Run `lineage compose`, with the "
        "overrides you want to keep (`lineage compose data.fraction=0.1`), then this again. "
        "`dvc exp run` composes by itself."
    )


def composed_defaults(root: Path, conf: Path) -> dict[str, Any]:
    """What the folder `conf` is without overrides, unchecked, by dotted key: for one of another commit.

    What computes values is that of the checkout at `root`: nothing of another commit is run. Raises SettingsError if it
    cannot be composed.
    """
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / PARAMS_FILE
        _compose(root, [], output, conf)
        return flatten(read_params(output))


def _compose(root: Path, overrides: list[str], output: Path, conf: Path | None = None) -> None:
    """Composes `conf` (`root`/conf) with Hydra `overrides` into `output`, just as `dvc exp run` does.

    Raises SettingsError if Hydra refuses; `output` is then not written.
    """
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        compose_and_dump(str(output), str(conf or root / CONF), None, "config", str(root), overrides)
    except (HydraException, OmegaConfBaseException, YAMLError, ValueError) as error:
        why = _in_our_words(error, root, overrides)
        raise SettingsError(f"conf/ cannot be composed: {why}") from error


def _in_our_words(error: Exception, root: Path, overrides: list[str]) -> str:
    """What Hydra refuses, without the advice that helps nobody here: a key added with + is no setting either."""
    from hydra.errors import OverrideParseException

    said = " ".join(str(error).split())
    unknown = re.search(r"Could not override '(.+?)'", said)
    if unknown:
        return _no_setting(unknown[1], root, overrides)
    if isinstance(error, OverrideParseException):
        key, equals, _ = error.override.partition("=")  # the value may be an address with a password
        if not equals:
            return f"{key} is no override: write KEY=VALUE."
        return (
            f"the value given for {key} cannot be read. Where it holds blanks, brackets, commas or ~, put it in quotes "
            f"within the quotes of the shell: \"{key}='...'\"."
        )
    return said.partition(" Config search path:")[0][:500]


def _no_setting(key: str, root: Path, overrides: list[str]) -> str:
    """What there is in the place of a key that is no setting."""
    others = [override for override in overrides if override.partition("=")[0].lstrip("+~") != key]
    if len(others) < len(overrides):
        try:
            return f"{no_setting(key, _composed(root, others))}."
        except SettingsError:  # the others cannot be composed either, and are reported next
            pass
    return f"{key} is not a setting."


def _composed(root: Path, overrides: list[str]) -> dict[str, Any]:
    """What `root`/conf is with these overrides, unchecked. Raises SettingsError if it cannot be composed."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / PARAMS_FILE
        _compose(root, overrides, output)
        return read_params(output)


def _conf_digest(root: Path) -> str:
    # by path: hydra_plugins is no package of ours, and another project's may be importable under the same name. And as
    # a script, which is always read from its source.
    composition = run_path(str(root / "hydra_plugins" / "composition.py"))
    digest: str = composition["conf_digest"](root / CONF)
    return digest


def _preview(root: Path) -> str:
    """What composing would change, as a sentence."""
    try:
        changes = _differences(read_params(root / PARAMS_FILE), _composed(root, []))
    except SettingsError as error:
        return f" {error}"
    shown = [f"{key}: {old} -> {new}" for key, (old, new) in changes.items() if key != "conf_digest"]
    return f" Composing it again would change {'; '.join(shown)}." if shown else " No value would change."


def _differences(old: dict[str, Any], new: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    before, after = flatten(old), flatten(new)
    keys = dict.fromkeys([*before, *after])
    return {key: (before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)}
