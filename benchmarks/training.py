"""The training loop against its limit, and against the usual way, in the same run.

    python benchmarks/training.py PROJECT [--sizes 32 64 128 224] [--times 3] [--epochs 10]

`PROJECT` is a freshly baked project after `make setup`; nothing in it is changed. Run with the project's own Python.
The limit is the network's forward, backward and step on one batch that stays where it is. Ours is what the stage
`train` does: it reads and decodes the shards once, shuffles, shifts, counts, shows its progress, and saves the weights.
The usual way is a folder of PNG files, transforms image by image, and a DataLoader, which decode in each epoch. After
each epoch of ours comes one of the limit and one of the usual way, of as many images: what else the machine does
meanwhile falls on all three. Figures are CPU seconds on one thread; ratios are those of three epochs that belong
together, their median and quartiles. Loading and saving are shared out over the epochs.
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
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    project = options.project.resolve()
    os.chdir(project)
    sys.path.insert(0, str(project))
    package = next(project.glob("*/stages/train.py")).parents[1].name

    import torch

    torch.set_num_threads(1)
    import_module("lineage.base.memory").keep_freed_memory()  # as the stage does; all three gain by it
    print(f"{os.cpu_count()} processors, Python {sys.version.split()[0]}, torch {torch.__version__}")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            size_of(Bench(project, package, size, options.epochs, Path(folder)), options.times)


def size_of(bench, times):
    took = {name: [] for name in ("here", "limit", "usual", "beside")}
    for _ in range(times):
        for name, seconds in bench.train().items():
            took[name] += seconds
    beside = statistics.median(took["beside"])  # of an epoch
    here = [seconds + beside for seconds in took["here"]]
    limit, usual = (statistics.median(took[name]) for name in ("limit", "usual"))
    print(
        f"{bench.size:>4} pixels, {bench.count} images, {len(here)} epochs; CPU seconds for 1,000 images: "
        f"limit {limit * 1000 / bench.count:.3f}, usual way {usual * 1000 / bench.count:.3f}. "
        f"Ours: {ratio(here, took['limit'])} times the limit, {beside / limit:.3f} of it loading and saving; "
        f"the usual way: {ratio(took['usual'], here)} times ours",
        flush=True,
    )


def ratio(some, others):
    low, middle, high = statistics.quantiles([one / other for one, other in zip(some, others, strict=True)], n=4)
    return f"{middle:.3f} ({low:.3f} to {high:.3f})"


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
        self.count = len(train)
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

    def train(self):
        """CPU seconds of each epoch but the first, in which much is allocated and imported."""
        took = {name: [] for name in ("here", "limit", "usual")}
        limit, usual = self.limit(), self.usual()

        def others(_):
            took["here"].append(cpu() - self.begun)
            for name, epoch in (("limit", limit), ("usual", usual)):
                begun = cpu(resource.RUSAGE_THREAD)  # the progress that is shown has a thread of its own: it is ours
                epoch()
                took[name].append(cpu(resource.RUSAGE_THREAD) - begun)
            self.begun = cpu()

        begun = cpu()
        train = self.load("train")
        beside = cpu() - begun
        network = self.network()
        self.begun = cpu()
        self.model["training"].fit(network, train, self.val, self.settings, others)
        begun = cpu()
        self.model["checkpoint"].save(self.folder / "model.safetensors", network, {})
        beside += cpu() - begun
        return {name: seconds[1:] for name, seconds in took.items()} | {"beside": [beside / self.epochs]}

    def limit(self):
        """An epoch on one batch."""
        from torch.nn import functional

        network = self.network()
        optimiser = self.optimiser(network)

        def epoch():
            for _ in range(self.count // BATCH):
                self.learn(network, optimiser, functional, *self.first)
            if rest := self.count % BATCH:
                self.learn(network, optimiser, functional, *(part[:rest] for part in self.first))

        return epoch

    def usual(self):
        """An epoch of PNG files."""
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

        def epoch():
            for images, labels in loader:
                self.learn(network, optimiser, functional, images, labels)

        return epoch

    @staticmethod
    def learn(network, optimiser, functional, images, labels):
        loss = functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def cpu(who=resource.RUSAGE_SELF):
    times = resource.getrusage(who)
    return times.ru_utime + times.ru_stime


if __name__ == "__main__":
    main()
