"""One training in one process, or in several that share each batch: ranks.

Whatever the number of processes, they see the same batches in the same order, and the gradient is that of the mean
over a whole batch. What differs is arithmetic: other sums round otherwise, batch norm takes the statistics of a share,
and each process leaves out other features (dropout). So the number is part of the result.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, nn

from lineage.run.ranks import Rank

from .inference import Examples, score

SMALLEST = 2  # images of one process: batch norm cannot learn from one
SILENCE = timedelta(minutes=30)  # after which a process that still waits for another gives up


@dataclass(frozen=True)
class Share:
    """Which records of a batch this process works on."""

    of: int  # records of the whole batch
    own: slice
    weight: float  # of the mean over them, so that the mean of all these over the processes is that of the batch
    counts: float  # for how many records it stands: together, those of the batch


def share_of(records: int, number: int, of: int) -> Share:
    """Which of the `records` of a batch the process of this number works on, of so many processes."""
    if records < SMALLEST * of:  # too few to be shared: each process works on all of them
        return Share(records, slice(0, records), 1.0, records / of)
    first, last = records * number // of, records * (number + 1) // of
    return Share(records, slice(first, last), (last - first) * of / records, last - first)


class Alone:
    """A training in this process."""

    number = 0
    of = 1

    @property
    def is_first(self) -> bool:
        """Whether this process shows how far it is, and saves."""
        return self.number == 0

    def share(self, records: int) -> Share:
        """Which of the `records` of a batch are this process's."""
        return Share(records, slice(0, records), 1.0, records)

    def join(self, network: nn.Module) -> nn.Module:
        """What to call in the place of `network`, whose gradients are then those of all processes."""
        return network

    def weighed(self, loss: Tensor, share: Share) -> Tensor:
        """What to send back through the network, of the mean loss over a share."""
        return loss

    def mean(self, total: float, count: float) -> float:
        """The mean of something of which this process has `count`, and their sum."""
        return total / max(count, 1)

    def score(self, network: nn.Module, examples: Examples, batch_size: int) -> tuple[float, float]:
        """Mean cross-entropy and accuracy on `examples`, the same in all processes."""
        return score(network, examples, batch_size)

    def of_first(self, found: Any) -> Any:
        """What the first process has found."""
        return found

    def of_all(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        """What each process has, by its number."""
        return [state]


ALONE = Alone()


class Several(Alone):
    """A training in several processes, on as many devices of one kind: gloo between CPUs, NCCL between GPUs."""

    def __init__(self, rank: Rank, device: torch.device) -> None:
        self.number, self.of, self._device = rank.number, rank.of, device
        is_gpu = device.type == "cuda"
        torch.distributed.init_process_group("nccl" if is_gpu else "gloo", timeout=SILENCE)

    def leave(self) -> None:
        """Once all of them are here."""
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()

    def same(self, number: int) -> int:
        """The number of the first process."""
        told = torch.tensor(number, device=self._device)
        torch.distributed.broadcast(told, 0)
        return int(told)

    def share(self, records: int) -> Share:
        return share_of(records, self.number, self.of)

    def join(self, network: nn.Module) -> nn.Module:
        # a weight of one channel has its one number in two layouts, and copying it costs nothing
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        # its new name is not in torch 2.8, which AWS's images have
        warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated", category=FutureWarning)
        devices = [self._device] if self._device.type == "cuda" else None
        # statistics of batch norm are brought to all where they are used, in `score`
        return nn.parallel.DistributedDataParallel(network, device_ids=devices, broadcast_buffers=False)

    def weighed(self, loss: Tensor, share: Share) -> Tensor:
        return loss * share.weight

    def mean(self, total: float, count: float) -> float:
        all_total, all_count = self._sum(total, count)
        return super().mean(all_total, all_count)

    def score(self, network: nn.Module, examples: Examples, batch_size: int) -> tuple[float, float]:
        for buffer in network.buffers():
            torch.distributed.broadcast(buffer, 0)
        first, last = len(examples) * self.number // self.of, len(examples) * (self.number + 1) // self.of
        count = last - first
        own = Examples(examples.images[first:last], examples.labels[first:last])
        loss, accuracy = score(network, own, batch_size) if count else (0.0, 0.0)
        # whole numbers of right answers: epochs are compared by them
        all_loss, all_right, all_count = self._sum(loss * count, round(accuracy * count), count)
        return all_loss / all_count, all_right / all_count

    def of_first(self, found: Any) -> Any:
        told = [found]
        torch.distributed.broadcast_object_list(told, 0, device=self._device)
        return told[0]

    def of_all(self, state: dict[str, Any]) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = [{}] * self.of
        torch.distributed.all_gather_object(told, state)
        return told

    def _sum(self, *numbers: float) -> list[float]:
        """The sums of numbers over all processes."""
        summed = torch.tensor(numbers, dtype=torch.float64, device=self._device)
        torch.distributed.all_reduce(summed)
        return summed.tolist()
