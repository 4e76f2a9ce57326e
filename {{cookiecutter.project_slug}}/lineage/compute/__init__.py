"""Where a stage runs: on this machine, or as an Amazon SageMaker job. The stage does not know."""
