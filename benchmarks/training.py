"""The training loop against its limit, and against the usual way, in the same run.

    python benchmarks/training.py PROJECT [--sizes 32 64 128 224] [--times 5] [--epochs 10]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python.
The limit is the network's forward, backward and step on one batch that stays where it is. Ours is what the stage
`train` does: it reads and decodes the shards once, shuffles, shifts, counts, shows its progress, and saves the weights.
The usual way is a folder of PNG files, transforms image by image, and a DataLoader, which decode in each epoch. The
three take turns; figures are medians of CPU seconds for 1,000 images that are learned from, on one thread.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from growth import preprocess, write_raw

CLASSES, BATCH = 10, 32
PIXELS = 2**21  # of all images of the training split, more or less


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 128, 224])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    project = options.project.resolve()
    os.chdir(project)
    sys.path.insert(0, str(project))
    package = next(project.glob("*/stages/train.py")).parents[1].name

    import torch

    torch.set_num_threads(1)
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, torch {torch.__version__}")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            size_of(Bench(project, package, size, options.epochs, Path(folder)), options.times)


def size_of(bench, times):
    ways = {"limit": bench.limit, "here": bench.here, "usual": bench.usual}
    seconds = {name: [] for name in (*ways, "loading")}
    for number in range(times + 1):
        for name, way in ways.items():
            begun = cpu()
            way()
            if number:  # the first time, much is allocated and imported
                seconds[name].append((cpu() - begun) * 1000 / bench.learned)
        if number:
            seconds["loading"].append(bench.loading * 1000 / bench.learned)
    used = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{bench.size:>4} pixels, {bench.count} images, {bench.epochs} epochs: {used['limit']:.3f} s at the limit, "
        f"{used['here']:.3f} s here ({used['here'] / used['limit']:.3f} times, of which loading "
        f"{used['loading'] / used['limit']:.3f}), {used['usual']:.3f} s in the usual way "
        f"({used['usual'] / used['here']:.2f} times ours)",
        flush=True,
    )


class Bench:
    """The same images in shards and as files, and the network of the project."""

    def __init__(self, project, package, size, epochs, folder):
        import torch
        import yaml

        self.size, self.epochs, self.folder = size, epochs, folder
        names = ("checkpoint", "examples", "inference", "networks", "training")
        self.model = {name: import_module(f"{package}.model.{name}") for name in names}
        document = yaml.safe_load(Path("params.yaml").read_text())
        settings = {**document["train"], "epochs": epochs, "batch_size": BATCH, "threads": 1, "device": "cpu"}
        self.settings = import_module(f"{package}.settings").Train.model_validate(settings)
        self.architecture = document["model"]
        write_raw(folder / "raw" / "records.parquet", max(500, PIXELS // size**2), size)
        preprocess(project, package, folder, folder / "processed", size)()
        train = self.load("train")
        self.count, self.learned = len(train), epochs * len(train)
        self.val = self.load("val")
        self.val = self.model["inference"].Examples(self.val.images[:1], self.val.labels[:1])
        # the layout that the loop's batches of grey images have, and the quicker one: else this would be no limit
        images = self.model["networks"].normalise(train.images[:BATCH]).clone(memory_format=torch.channels_last)
        self.first = images, train.labels[:BATCH]
        self.write_files()

    def load(self, split):
        import torch

        from lineage.records.layout import read_description

        dataset, room = self.folder / "processed", {"memory": 2**30, "scratch": self.folder}
        description = read_description(dataset)
        return self.model["examples"].load_examples(dataset, description, split, torch.device("cpu"), **room)

    def write_files(self):
        from lineage.records.dataset import read_split

        for number, (image, label) in enumerate(read_split(self.folder / "processed", "train")):
            place = self.folder / "files" / label
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{number}.png").write_bytes(image)

    def network(self):
        return self.model["networks"].build(self.architecture, 1, CLASSES).train()

    def optimiser(self, network):
        import torch

        return torch.optim.AdamW(network.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)

    def limit(self):
        from torch.nn import functional

        network = self.network()
        optimiser = self.optimiser(network)
        for _ in range(self.learned // BATCH):
            self.learn(network, optimiser, functional, *self.first)

    def here(self):
        begun = cpu()
        train = self.load("train")
        self.loading = cpu() - begun
        network = self.network()
        self.model["training"].fit(network, train, self.val, self.settings, lambda _: None)
        self.model["checkpoint"].save(self.folder / "model.safetensors", network, {})

    def usual(self):
        from torch.nn import functional
        from torch.utils.data import DataLoader
        from torchvision import transforms
        from torchvision.datasets import ImageFolder

        steps = transforms.Compose(
            [
                transforms.Grayscale(),
                transforms.RandomAffine(0, translate=(self.settings.max_shift,) * 2),
                transforms.ToTensor(),
                transforms.Normalize(0.5, 0.5),
            ]
        )
        loader = DataLoader(ImageFolder(str(self.folder / "files"), steps), BATCH, shuffle=True)
        network = self.network()
        optimiser = self.optimiser(network)
        for _ in range(self.epochs):
            for images, labels in loader:
                self.learn(network, optimiser, functional, images, labels)

    @staticmethod
    def learn(network, optimiser, functional, images, labels):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def cpu():
    times = resource.getrusage(resource.RUSAGE_SELF)
    return times.ru_utime + times.ru_stime


if __name__ == "__main__":
    main()
