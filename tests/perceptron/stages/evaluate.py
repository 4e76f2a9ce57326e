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
    from ..model.perceptron import Examples, load

    network, header = load(inputs["models/model.safetensors"])
    test = Examples.read(inputs["data/processed"], read_description(inputs["data/processed"]), "test")
    probabilities = network.predict(test.images)
    said = {"test": probabilities}
    write_predictions(outputs["data/predictions.parquet"], inputs["data/processed"], header["classes"], said)
    predicted = probabilities.argmax(axis=1)
    scores = overall_scores(probabilities, test.labels)
    report.metrics({f"test_{name}": value for name, value in scores.items()})
    outputs["metrics/test.json"].write_text(json.dumps({"test": scores}, indent=2) + "\n", newline="\n")
    write_confusion(outputs["plots/confusion.csv"], predicted, test.labels, header["classes"])
    write_class_scores(outputs["plots/classes.csv"], predicted, test.labels, header["classes"])


if __name__ == "__main__":
    run(__file__, work)
