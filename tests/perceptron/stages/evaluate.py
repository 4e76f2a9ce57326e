"""evaluate: as the template's own, with the network of ../model/perceptron.py."""

from __future__ import annotations

import json

from lineage.pipeline.runner import Report, run
from lineage.run.outputs import Inputs, Outputs

from ..settings import Settings


def work(settings: Settings, inputs: Inputs, outputs: Outputs, report: Report) -> None:
    from lineage.records.layout import read_description
    from lineage.records.predictions import write_predictions

    from ..evaluation import overall_scores, write_class_scores, write_confusion
    from ..intervals import interval_scores
    from ..model.perceptron import Examples, load
    from ..slices import as_metrics, scores_by_slice, tell_worst, write_slices

    network, header = load(inputs["models/model.safetensors"])
    test = Examples.read(inputs["data/processed"], read_description(inputs["data/processed"]), "test")
    probabilities = network.predict(test.images)
    said = {"test": probabilities}
    names, dataset, classes = settings.evaluate.slices, inputs["data/processed"], header["classes"]
    rows = write_predictions(outputs["data/predictions.parquet"], dataset, classes, said, names)
    predicted = probabilities.argmax(axis=1)
    columns = {name: rows[name].to_pylist() for name in names}
    people, least = rows["subject_id"].to_pylist(), settings.evaluate.min_subjects
    scores = {**overall_scores(probabilities, test.labels), **interval_scores(predicted == test.labels, people, least)}
    slices = scores_by_slice(probabilities.astype("float64"), test.labels, people, columns, least)
    by_slice, logged = as_metrics(slices)
    report.metrics({f"test_{name}": value for name, value in {**scores, **logged}.items()})
    everything = {"test": {**scores, **by_slice}}
    outputs["metrics/test.json"].write_text(json.dumps(everything, indent=2) + "\n", newline="\n")
    write_confusion(outputs["plots/confusion.csv"], predicted, test.labels, classes)
    write_class_scores(outputs["plots/classes.csv"], predicted, test.labels, classes)
    write_slices(outputs["plots/slices.csv"], scores, slices)
    tell_worst(slices, scores["accuracy"])


if __name__ == "__main__":
    run(__file__, work)
