"""What SageMaker's own Model Registry and ML Lineage show of this project's versions: copies of what Git holds."""
