"""Serving: a proved version answers requests, here or at an endpoint of SageMaker, and audits know where."""
