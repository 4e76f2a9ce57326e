"""train: trains the model on the dataset version and keeps its best epoch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from lineage.records.layout import read_description

    from ..model import checkpoint
    from ..model.device import choose_device, describe_machine, make_deterministic, number_of_threads
    from ..model.examples import load_examples
    from ..model.history import History
    from ..model.pretrained import start_from
    from ..model.training import fit
    from ..model.trial import build_and_try

    options = settings.train
    threads = number_of_threads(options.threads, report.machine_of_then)
    make_deterministic(options.seed, threads, options.deterministic)
    device = choose_device(options.device)
    dataset = inputs["data/processed"]
    data = read_description(dataset)
    architecture = settings.model.model_dump()
    network = build_and_try(architecture, data.channels, data.image_size, len(data.classes))
    room, scratch = options.memory_mb * 2**20, report.cache_dir
    train = load_examples(dataset, data, "train", device, memory=room, scratch=scratch)
    val = load_examples(dataset, data, "val", device, memory=room, scratch=scratch)

    started = start_from(network, inputs["models/pretrained.pth"]) if architecture.get("pretrained") else None
    network.to(device)
    history = History(report.metrics)
    best = fit(network, train, val, options, on_epoch=history.add)

    header = {
        "architecture": architecture,
        "classes": data.classes,
        "image_size": data.image_size,
        "channels": data.channels,
        "background": data.background,
        "further_pages": data.further_pages,
    }
    checkpoint.save(outputs["models/model.safetensors"], network, header)
    history.write(outputs["plots/training.csv"])
    final = {"best_epoch": best.number, "val_accuracy": best.val_accuracy, "val_loss": best.val_loss}
    report.metrics(final)
    outputs["metrics/train.json"].write_text(json.dumps(final, indent=2) + "\n", newline="\n")
    loaded = {"pretrained_sha256": started} if started else {}
    with outputs["models/model.safetensors"].open("rb") as file:
        made = {"model_sha256": hashlib.file_digest(file, "sha256").hexdigest()}  # binds the weights to this run
    machine = describe_machine(device, threads)
    given = {"worked_with": report.worked_with}  # dvc.lock must say the same
    record = {**report.run, **given, **loaded, **made, "machine": machine, "best": asdict(best)}
    outputs["models/run.json"].write_text(json.dumps(record, indent=2) + "\n", newline="\n")


if __name__ == "__main__":
    run(__file__, work)
