"""evaluate: scores the model on the test split, and keeps what it says of each record."""

from __future__ import annotations

import json

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    import torch

    from lineage.records.layout import read_description
    from lineage.records.predictions import write_predictions

    from ..evaluation import overall_scores, write_class_scores, write_confusion
    from ..intervals import accuracy_interval, subjects_of
    from ..model import checkpoint
    from ..model.device import choose_device, number_of_threads
    from ..model.examples import load_examples
    from ..model.inference import predict

    options = settings.evaluate
    trained = json.loads(inputs["models/run.json"].read_text(encoding="utf-8"))
    torch.set_num_threads(number_of_threads(options.threads, trained["machine"]))
    device = choose_device(options.device)
    network, header = checkpoint.load(inputs["models/model.safetensors"])
    data = read_description(inputs["data/processed"])
    room, scratch = options.memory_mb * 2**20, report.cache_dir
    network.to(device)
    said = {}
    for split in ("test", *options.further_splits):
        examples = load_examples(inputs["data/processed"], data, split, device, memory=room, scratch=scratch)
        said[split] = predict(network, examples.images, options.batch_size).cpu().numpy()
        if split == "test":
            truth = examples.labels.cpu().numpy()
    write_predictions(outputs["data/predictions.parquet"], inputs["data/processed"], header["classes"], said)

    probabilities = said["test"].astype("float64")
    predicted = probabilities.argmax(axis=1)
    subjects = subjects_of(outputs["data/predictions.parquet"], "test")
    scores = {**overall_scores(probabilities, truth), **accuracy_interval(predicted == truth, subjects)}
    report.metrics({f"test_{name}": value for name, value in scores.items()})
    outputs["metrics/test.json"].write_text(json.dumps({"test": scores}, indent=2) + "\n", newline="\n")
    write_confusion(outputs["plots/confusion.csv"], predicted, truth, header["classes"])
    write_class_scores(outputs["plots/classes.csv"], predicted, truth, header["classes"])


if __name__ == "__main__":
    run(__file__, work)
