"""train: trains the model on the dataset version and keeps its best epoch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from lineage.records.layout import read_description
    from lineage.run.ranks import processes_here, work_in_ranks

    from ..model.device import number_of_threads
    from ..model.examples import SharedSplits, Splits
    from ..model.history import History
    from ..model.task import Task, train, train_as_rank

    options = settings.train
    processes, hosts = options.processes, report.hosts
    threads = number_of_threads(options.threads, report.machine_of_then, processes_here(processes, hosts))
    dataset = inputs["data/processed"]
    data = read_description(dataset)
    splits = Splits(dataset, data, memory=options.memory_mb * 2**20, scratch=report.cache_dir)
    architecture = settings.model.model_dump()
    pretrained = inputs["models/pretrained.pth"] if architecture.get("pretrained") else None
    weights = outputs["models/model.safetensors"]
    checkpoints = report.open_checkpoints() if options.resume else None
    task = Task(options, threads, architecture, data, splits, pretrained, target=weights, checkpoints=checkpoints)
    history = History(report.metrics)
    if processes == 1:
        trained = train(task, on_epoch=history.add)
    else:
        task = replace(task, splits=SharedSplits(splits))
        trained = work_in_ranks(train_as_rank, task, processes=processes, hosts=hosts, hear=history.add)
    if trained is None:
        return  # the first process is on another machine, and so is what it made

    history.write(outputs["plots/training.csv"])
    best = trained.best
    final = {"best_epoch": best.number, "val_accuracy": best.val_accuracy, "val_loss": best.val_loss}
    report.metrics(final)
    outputs["metrics/train.json"].write_text(json.dumps(final, indent=2) + "\n", newline="\n")
    loaded = {"pretrained_sha256": trained.pretrained_sha256} if trained.pretrained_sha256 else {}
    with weights.open("rb") as file:
        made = {"model_sha256": hashlib.file_digest(file, "sha256").hexdigest()}  # binds the weights to this run
    given = {"worked_with": report.worked_with}  # dvc.lock must say the same
    record = {**report.run, **given, **loaded, **made, "machine": trained.machine, "best": asdict(best)}
    outputs["models/run.json"].write_text(json.dumps(record, indent=2) + "\n", newline="\n")


if __name__ == "__main__":
    run(__file__, work)
