"""One short file a stage of dvc.yaml: settings in, a call of the domain, files out. No Git, DVC, MLflow or SageMaker."""
