"""What happens at `dvc repro`: a stage is run, here or elsewhere, and the last one registers the model."""
