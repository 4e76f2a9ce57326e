"""evaluate: scores the model on the test split, and keeps what it says of each record."""

from __future__ import annotations

import json

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    import torch

    from lineage.base.memory import keep_freed_memory
    from lineage.records.layout import read_description
    from lineage.records.predictions import write_predictions

    from ..evaluation import overall_scores, write_class_scores, write_confusion
    from ..intervals import interval_scores
    from ..model import checkpoint
    from ..model.device import choose_device, number_of_threads
    from ..model.examples import load_examples
    from ..model.inference import predict
    from ..slices import as_metrics, scores_by_slice, tell_worst, write_slices

    options = settings.evaluate
    trained = json.loads(inputs["models/run.json"].read_text(encoding="utf-8"))
    torch.set_num_threads(number_of_threads(options.threads, trained["machine"]))
    device = choose_device(options.device)
    network, header = checkpoint.load(inputs["models/model.safetensors"])
    data = read_description(inputs["data/processed"])
    room, scratch = options.memory_mb * 2**20, report.cache_dir
    network.to(device)
    keep_freed_memory()
    said = {}
    for split in ("test", *options.further_splits):
        examples = load_examples(inputs["data/processed"], data, split, device, memory=room, scratch=scratch)
        said[split] = predict(network, examples.images, options.batch_size).cpu().numpy()
        if split == "test":
            truth = examples.labels.cpu().numpy()
    dataset, classes = inputs["data/processed"], header["classes"]
    table = write_predictions(outputs["data/predictions.parquet"], dataset, classes, said, options.slices)

    probabilities = said["test"].astype("float64")
    predicted = probabilities.argmax(axis=1)
    rows = table.slice(0, len(truth))  # the test split is the first
    owners = rows["subject_id"].to_pylist()
    scores = {
        **overall_scores(probabilities, truth),
        **interval_scores(predicted == truth, owners, options.min_subjects),
    }
    columns = {name: rows[name].to_pylist() for name in options.slices}
    slices = scores_by_slice(probabilities, truth, owners, columns, options.min_subjects)
    by_slice, logged = as_metrics(slices)
    report.metrics({f"test_{name}": value for name, value in {**scores, **logged}.items()})
    everything = {"test": {**scores, **by_slice}}
    outputs["metrics/test.json"].write_text(json.dumps(everything, indent=2) + "\n", newline="\n")
    write_confusion(outputs["plots/confusion.csv"], predicted, truth, classes)
    write_class_scores(outputs["plots/classes.csv"], predicted, truth, classes)
    write_slices(outputs["plots/slices.csv"], scores, slices)
    tell_worst(slices, scores["accuracy"])


if __name__ == "__main__":
    run(__file__, work)
