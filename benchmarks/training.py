"""The training loop against its limit, and against the usual way, in the same run.

    python benchmarks/training.py PROJECT [--sizes 32 64 128] [--times 5] [--epochs 3]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python.
The limit is the network's forward, backward and step on one batch that stays where it is. Ours is `model/training.py`:
shuffling, shifting, metrics, validation, progress; decoding is counted with the usual way only, which decodes in each
epoch: a folder of PNG files, transforms image by image, a DataLoader. The three take turns; figures are medians of CPU
seconds for 1,000 images, on one thread.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
from importlib import import_module
from pathlib import Path

CLASSES, BATCH, COUNT = 10, 32, 2048


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("project", type=Path)
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
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
            size_of(Bench(package, size, options.epochs, Path(folder)), options.times)


def size_of(bench, times):
    ways = {"limit": bench.limit, "here": bench.here, "usual": bench.usual}
    seconds = {name: [] for name in ways}
    for number in range(times + 1):
        for name, way in ways.items():
            begun = cpu()
            images = way()
            if number:  # the first time, much is allocated and imported
                seconds[name].append((cpu() - begun) * 1000 / images)
    used = {name: statistics.median(values) for name, values in seconds.items()}
    print(
        f"{bench.size:>4} pixels: {used['limit']:.3f} s at the limit, {used['here']:.3f} s here "
        f"({used['here'] / used['limit']:.3f} times), {used['usual']:.3f} s in the usual way "
        f"({used['usual'] / used['here']:.2f} times ours)",
        flush=True,
    )


class Bench:
    """The same images in memory and as files, and the network of the project."""

    def __init__(self, package, size, epochs, folder):
        import torch
        import yaml
        from PIL import Image

        self.size, self.epochs, self.folder = size, epochs, folder
        self.model = {name: import_module(f"{package}.model.{name}") for name in ("networks", "training", "inference")}
        document = yaml.safe_load(Path("params.yaml").read_text())
        settings = {**document["train"], "epochs": epochs, "batch_size": BATCH, "threads": 1, "device": "cpu"}
        self.settings = import_module(f"{package}.settings").Train.model_validate(settings)
        self.architecture = document["model"]
        images = torch.randint(0, 256, (COUNT, 1, size, size), dtype=torch.uint8)
        labels = torch.arange(COUNT) % CLASSES
        self.train = self.model["inference"].Examples(images, labels)
        self.val = self.model["inference"].Examples(images[:1], labels[:1])
        for number, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
            place = folder / str(label)
            place.mkdir(exist_ok=True)
            Image.fromarray(image[0].numpy()).save(place / f"{number}.png")

    def network(self):
        return self.model["networks"].build(self.architecture, 1, CLASSES).train()

    def optimiser(self, network):
        import torch

        return torch.optim.AdamW(network.parameters(), lr=self.settings.lr, weight_decay=self.settings.weight_decay)

    def limit(self):
        from torch.nn import functional

        network = self.network()
        optimiser = self.optimiser(network)
        images = self.model["networks"].normalise(self.train.images[:BATCH])
        labels = self.train.labels[:BATCH]
        for _ in range(self.epochs * COUNT // BATCH):
            self.learn(network, optimiser, functional, images, labels)
        return self.epochs * COUNT

    def here(self):
        self.model["training"].fit(self.network(), self.train, self.val, self.settings, lambda _: None)
        return self.epochs * COUNT

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
        loader = DataLoader(ImageFolder(str(self.folder), steps), BATCH, shuffle=True)
        network = self.network()
        optimiser = self.optimiser(network)
        for _ in range(self.epochs):
            for images, labels in loader:
                self.learn(network, optimiser, functional, images, labels)
        return self.epochs * COUNT

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
