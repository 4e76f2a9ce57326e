"""The program `serve`: one registered model behind HTTP, in the container contract of SageMaker and on this machine.

It asks neither Git nor DVC nor MLflow: it is told the hash of the registered files, and loads no others.
"""
