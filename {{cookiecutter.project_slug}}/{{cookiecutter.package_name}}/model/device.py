"""Where and how exactly the arithmetic is done."""

from __future__ import annotations

import os
import platform
import random
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from packaging.markers import default_environment

from lineage.base.errors import SettingsError
from lineage.base.workers import cores


def choose_device(wanted: str, local: int | None = None) -> torch.device:
    """The device named "cpu", "cuda" or "mps", or for "auto" the fastest there is.

    Of several processes, each with its number `local` on this machine, each has a GPU of its own. Raises SettingsError
    if this machine does not have it.
    """
    if local is not None:
        return _own_device(wanted, local)
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, there in available.items() if there))
    if not available[wanted]:
        there = ", ".join(name for name, yes in available.items() if yes)
        raise SettingsError(f"device {wanted!r} is set, but this machine has only: {there}.")
    return torch.device(wanted)


def _own_device(wanted: str, local: int) -> torch.device:
    gpus = torch.cuda.device_count()
    if wanted == "cpu" or (wanted == "auto" and not gpus):
        return torch.device("cpu")
    if wanted == "mps":
        raise SettingsError("device 'mps' is set, and several processes train on 'cpu' or 'cuda' only.")
    if local >= gpus:
        raise SettingsError(f"process {local + 1} on this machine has no GPU of its own: it has {gpus}.")
    return torch.device("cuda", local)


def number_of_threads(wanted: int | Literal["auto"], then: Mapping[str, Any], processes: int = 1) -> int:
    """How many CPU threads each of the `processes` uses on this machine.

    With "auto" as many as `then`, the machine of an earlier training, says. Where it says nothing, they share the
    physical cores that this process may use.
    """
    if wanted != "auto":
        return wanted
    return int(then.get("threads") or max(1, cores() // processes))


def make_deterministic(seed: int, threads: int, deterministic: bool) -> None:
    """Fixes what would make two trainings differ: seeds, the number of threads, the choice of kernels."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(threads)  # one thread and two add in another order, and so give other weights
    if deterministic:
        # https://pytorch.org/docs/stable/notes/randomness.html
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # the same switch as use_deterministic_algorithms(True), without importing the compiler for eight seconds
        torch.set_deterministic_debug_mode("error")
        torch.backends.cudnn.benchmark = False
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False


def describe_machine(device: torch.device, threads: int) -> dict[str, Any]:
    """What of this machine can make the same training give other weights."""
    return {
        "device": str(device),
        "accelerator": torch.cuda.get_device_name(device) if device.type == "cuda" else "none",
        "processor": platform.processor() or platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": threads,
        "markers": dict(default_environment()),  # by which a lock chooses packages for a platform (PEP 508)
    }
