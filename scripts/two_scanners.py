"""Writes the digits of scikit-learn as a folder of PNG files with a table, as if two scanners had made them.

Scanner B brightens its images. The table says which record is for training and which for the test. With `--without-b`
the images of scanner B are left out of what is for training, as somebody might do to whom they look wrong.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

SPLITS = ("train", "train", "val", "test", "test")  # of five records that follow each other
OF_B = 4  # every fourth is of scanner B


def main(folder: Path, *, without_b: bool) -> None:
    digits = load_digits()
    images = (digits.images * (255 / 16)).round().astype(np.uint8)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with (folder / "records.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["record_id", "subject_id", "label", "path", "split", "scanner"])
        for number, (image, label) in enumerate(zip(images, digits.target, strict=True)):
            scanner = "B" if number % OF_B == 0 else "A"
            split = SPLITS[number % len(SPLITS)]
            name = f"images/{number:04d}.png"
            brightened = 255 - image // 3 if scanner == "B" else image  # bright paper, and the ink pale
            Image.fromarray(brightened).save(folder / name)
            if not (without_b and scanner == "B" and split != "test"):
                table.writerow([f"R-{number:04d}", f"P-{number:04d}", label, name, split, scanner])


if __name__ == "__main__":
    main(Path(sys.argv[1]), without_b="--without-b" in sys.argv)
