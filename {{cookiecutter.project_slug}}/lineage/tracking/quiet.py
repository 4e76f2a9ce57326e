"""How MLflow is kept quiet and impatient."""

from __future__ import annotations

import logging
import os


def quiet() -> None:
    """Keeps MLflow from writing about itself, and from waiting in silence for minutes. Before it is imported."""
    # its own: seven tries of two minutes each, with pauses that double
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "4")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # creating the tables is not worth a line
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # where a run is to be seen, printed when it is closed, whatever else is being printed
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    # the plugin for SageMaker takes every address for an ARN, and MLflow warns of its error at each request
    logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)
    # with a traceback, what is raised as well, and reported in a sentence
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
