"""What MLflow says, and what it is given: runs, model versions, aliases."""
