"""One run in Weights & Biases (W&B). Nothing else knows the package `wandb`, whose import takes seconds.

What W&B would find out by itself stays here: host, program, packages, console, system, code, Git (whose address may
hold a password). The key is used by `wandb` alone, which finds it where W&B looks for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..base.env import WANDB_API_KEY, WANDB_CACHE_DIR, WANDB_DATA_DIR, WANDB_ERROR_REPORTING, WANDB_MODE
from ..base.errors import SettingsError, TrackerError

FOLDER = ".wandb"  # in the main project; W&B's own name for its folder where it is hidden
LOCK = "requirements-wandb.lock"
NEEDED = (
    "It needs WANDB_API_KEY or `wandb login`, and its server; callbacks.wandb.mode=offline needs neither, and "
    "`wandb sync` sends such runs later."
)
OPENING, CLOSING = 30.0, 120.0  # seconds that a server may take; what is not sent then stays in FOLDER


def require_installed() -> None:
    """Raises SettingsError where the package is missing. Nothing is imported."""
    found = find_spec("wandb")
    if found is None or found.origin is None:  # a folder of that name is no package
        raise SettingsError(f"W&B is not installed in {sys.prefix}. `make setup-wandb` installs it from {LOCK}.")


def allowed_mode(mode: str) -> str:
    """`mode`, or what the variable says where that sends less: `offline` or `disabled`."""
    asked = {"offline": "offline", "dryrun": "offline", "disabled": "disabled"}.get(os.environ.get(WANDB_MODE, ""))
    return asked or mode


def left_open(mode: str, run_id: str) -> str:
    """What becomes of a run whose process was killed, in a sentence."""
    if mode == "online":
        return "W&B marks it as crashed within some minutes."
    return f"`wandb sync {FOLDER}/offline-run-*-{run_id}` sends what there is of it, and closes it as failed."


class WandbRun:
    """Opens a run when it is made. Raises TrackerError where W&B refuses something."""

    def __init__(self, main: Path, mode: str, **settings: Any) -> None:
        """`settings` are those of `wandb.Settings` that say what the run is called and where it belongs."""
        self.is_offline, self.is_over, self.id = mode == "offline", False, str(settings["run_id"])
        folder = main / FOLDER
        folder.mkdir(exist_ok=True)
        os.environ[WANDB_ERROR_REPORTING] = "false"  # it would report to W&B's makers, in any mode
        for name, below in ((WANDB_CACHE_DIR, "cache"), (WANDB_DATA_DIR, "data")):  # else below the home
            os.environ.setdefault(name, str(folder / below))
        with _asked("open a run", f" {NEEDED}"):
            import wandb

            self._wandb = wandb
            wandb.setup(wandb.Settings(silent=True))  # else it would warn of each reference
            self._run = wandb.init(
                settings=wandb.Settings(
                    mode=mode,
                    root_dir=str(main),
                    use_dot_wandb=True,
                    console="off",
                    disable_code=True,
                    disable_git=True,
                    disable_job_creation=True,
                    host="",
                    sagemaker_disable=True,
                    save_code=False,
                    silent=True,
                    init_timeout=OPENING,
                    finish_timeout=CLOSING,
                    finish_timeout_raises=True,
                    x_disable_machine_info=True,
                    x_disable_meta=True,
                    x_disable_stats=True,
                    x_save_requirements=False,
                    **settings,
                )
            )

    @property
    def place(self) -> dict[str, str]:
        """What leads to the run: project, entity and address, as far as they are known."""
        run = self._run
        found = {"project": run.project, "entity": run.entity, "url": None if self.is_offline else run.url}
        return {key: str(value) for key, value in found.items() if value}

    def config(self, values: dict[str, Any]) -> None:
        """Adds to what the run was made with."""
        with _asked("log the config"):
            self._run.config.update(values)

    def metrics(self, values: dict[str, float], step: int | None) -> None:
        """Numbers of an epoch, or final ones."""
        with _asked("log metrics"):
            if step is None:
                self._run.summary.update(values)
            else:
                self._run.log({"epoch": step, **values}, step=step)

    def summary(self, values: dict[str, Any]) -> None:
        """Adds to what the run has led to."""
        with _asked("log the summary"):
            self._run.summary.update(values)

    def artifact(self, name: str, kind: str, path: str, metadata: dict[str, Any], *, is_input: bool) -> None:
        """A reference by the hash in `metadata["md5"]` to what DVC keeps: nothing is sent but that.

        The same hash is the same version of the artifact, wherever the DVC remote lies.
        """
        with _asked(f"log the {kind}"):
            artifact = self._wandb.Artifact(name, kind, metadata=metadata)
            # an address on S3 or GCS would have W&B connect, to look for credentials
            artifact.add_reference(f"dvc://md5/{metadata['md5']}", name=path, checksum=False)
            if not is_input:
                self._run.log_artifact(artifact)
            elif self.is_offline:
                # use_artifact refuses this offline; it would do the same and wait for the server
                self._run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
            else:
                self._run.use_artifact(artifact)

    def end(self, exit_code: int) -> None:
        """Closes the run, and ends the process that W&B has started for it."""
        if self.is_over:
            return
        self.is_over = True
        with _asked("close the run"):
            try:
                self._run.finish(exit_code=exit_code)
            finally:
                self._wandb.teardown(exit_code=exit_code)


@contextmanager
def _asked(what: str, advice: str = "") -> Iterator[None]:
    try:
        yield
    except Exception as error:
        said = " ".join(str(error).split())
        if key := os.environ.get(WANDB_API_KEY):
            said = said.replace(key, "(the key)")
        said = said[:300].rstrip(".") or type(error).__name__
        raise TrackerError(f"W&B could not {what}: {said}.{advice}") from error
