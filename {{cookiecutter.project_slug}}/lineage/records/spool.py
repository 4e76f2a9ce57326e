"""Images brought from the order of their source into that of a dataset version, in parts that fit in memory.

The source is read once, from its beginning to its end. Where all images together are too many, those of each part go
into a file of their own meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

ORDER = "order"  # a column of the files: which row of the dataset version an image belongs to
MOST_PARTS = 256  # each is an open file


class Batches(Protocol):
    """Images in the order of their source."""

    @property
    def count(self) -> int: ...

    @property
    def size(self) -> int:
        """Of all images, in bytes, as well as it is known before they are read."""

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All images, some MB at a time, with a column `image`."""


@dataclass
class Part:
    """The images of rows that follow each other, in a file or in memory."""

    file: Path | None
    batches: list[pa.RecordBatch] = field(default_factory=list)

    def read(self) -> pa.Table:
        """The images in the order of the rows."""
        if self.file is None:
            table = pa.Table.from_batches(self.batches)
        else:
            with pa.OSFile(str(self.file)) as file:
                table = pa.ipc.open_file(file).read_all()
        return table.sort_by(ORDER).drop_columns([ORDER])

    def clear(self) -> None:
        """Deletes what is done with."""
        if self.file is not None:
            self.file.unlink()


def spool(images: Batches, positions: NDArray[np.int64], ends: Sequence[int], folder: Path) -> list[Part]:
    """The images of a dataset version. `positions` says where in the source the image of each row is.

    A part ends before each row of `ends`; if there are several, their files are in `folder`.
    """
    order = np.full(images.count, -1, dtype=np.int64)
    order[positions] = np.arange(len(positions))
    parts = [Part(folder / f"{number}.arrow" if len(ends) > 1 else None) for number in range(len(ends))]
    writers: dict[int, pa.RecordBatchFileWriter] = {}
    first = 0
    with ExitStack() as opened:
        for batch in images.batches():
            rows = order[first : first + batch.num_rows]
            first += batch.num_rows
            owners = np.where(rows >= 0, np.searchsorted(ends, rows, side="right"), -1)
            for number in np.unique(owners[owners >= 0]):
                chosen = np.flatnonzero(owners == number)
                taken = batch.take(pa.array(chosen)).append_column(ORDER, pa.array(rows[chosen]))
                part = parts[number]
                if part.file is None:
                    part.batches.append(taken)
                    continue
                if number not in writers:
                    file = opened.enter_context(pa.OSFile(str(part.file), "wb"))
                    writers[number] = opened.enter_context(pa.ipc.new_file(file, taken.schema))
                writers[number].write_batch(taken)
    return parts


def ends_of_parts(ends: Sequence[int], size: int, most: int) -> list[int]:
    """Those of `ends`, before which rows shards end, that end a part as well.

    All rows together have images of `size` bytes; a part has `most` bytes, or a shard more.
    """
    wanted = ends[-1] / min(max(1, -(-size // most)), MOST_PARTS)  # rows
    chosen, begun = [], 0
    for end in ends:
        if end - begun >= wanted or end == ends[-1]:
            chosen.append(end)
            begun = end
    return chosen
