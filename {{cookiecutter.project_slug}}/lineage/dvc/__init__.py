"""What DVC says: dvc.yaml, dvc.lock, its configuration, its objects. The pipeline is declared nowhere else."""
