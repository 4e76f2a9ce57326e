"""The usual way: the model that was logged, as a version."""

import json
from pathlib import Path

import mlflow

mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.register_model(json.loads(Path("run.json").read_text())["uri"], "plain")
