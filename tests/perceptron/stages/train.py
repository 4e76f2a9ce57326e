"""train: as the template's own, with the network of ../model/perceptron.py."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from lineage.records.layout import read_description

    from ..model.fitting import fit
    from ..model.history import History
    from ..model.perceptron import Examples, Perceptron, describe_machine, save

    options = settings.train
    dataset = inputs["data/processed"]
    data = read_description(dataset)
    network = Perceptron.random(
        data.channels * data.image_size**2, getattr(settings.model, "width", 16), len(data.classes), options.seed
    )
    train, val = Examples.read(dataset, data, "train"), Examples.read(dataset, data, "val")
    history = History(report.metrics)
    checkpoints = report.open_checkpoints() if options.resume else None
    best = fit(network, train, val, options, history.add, checkpoints)
    header = {
        "architecture": settings.model.model_dump(),
        "classes": data.classes,
        "image_size": data.image_size,
        "channels": data.channels,
        "background": data.background,
        "further_pages": data.further_pages,
    }
    save(outputs["models/model.safetensors"], network, header)
    history.write(outputs["plots/training.csv"])
    final = {"best_epoch": best.number, "val_accuracy": best.val_accuracy, "val_loss": best.val_loss}
    report.metrics(final)
    outputs["metrics/train.json"].write_text(json.dumps(final, indent=2) + "\n")
    made = {"model_sha256": hashlib.sha256(outputs["models/model.safetensors"].read_bytes()).hexdigest()}
    given = {"worked_with": report.worked_with}
    record = {**report.run, **given, **made, "machine": describe_machine(), "best": asdict(best)}
    outputs["models/run.json"].write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    run(__file__, work)
