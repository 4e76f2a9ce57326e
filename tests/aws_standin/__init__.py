"""A stand-in for AWS on this machine: moto answers, and SageMaker jobs really run. README.md says what it lacks."""
