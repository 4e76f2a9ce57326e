"""One short file a stage: settings in, a call of the domain, files out. No Git, DVC, MLflow or SageMaker."""
