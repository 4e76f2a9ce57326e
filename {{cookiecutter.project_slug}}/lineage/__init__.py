"""Where a model comes from: facts of Git, DVC and MLflow, gathered while stages run and proved afterwards."""
