"""The stages of dvc.yaml that run on SageMaker, as one SageMaker Pipeline: compiled, started, collected into Git."""
