PYTHON ?= python3
TEMPLATE := {{cookiecutter.project_slug}}
ENVIRONMENT := $(PYTHON) "$(TEMPLATE)/scripts/environment.py"
RUFF := .venv-test/bin/ruff
SOURCES := benchmarks hooks scripts tests

.PHONY: help demo demo-optout demo-sagemaker test test-long lint lock

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Bake a project into demo/, run its pipeline, and show the model and its chain.
	@$(ENVIRONMENT) --venv .venv --requirements requirements.lock
	@.venv/bin/python scripts/demo.py

demo-optout: ## Take a patient out of the training data, train again, and prove it with a certificate.
	@$(ENVIRONMENT) --venv .venv --requirements requirements.lock
	@.venv/bin/python scripts/demo_optout.py

demo-sagemaker: .venv-test ## Run the pipeline in SageMaker jobs, against a stand-in for AWS on this machine.
	@.venv-test/bin/python scripts/demo_sagemaker.py

test: .venv-test ## Run the tests.
	.venv-test/bin/python -m pytest --numprocesses 2 --dist loadfile -m "not long"

test-long: .venv-test ## Run the tests that damage and vary a project hundreds of times.
	.venv-test/bin/python -m pytest -m long

lint: .venv-test ## Check style. The baked project's own checks are among the tests.
	$(RUFF) check --config pyproject.toml $(SOURCES)
	$(RUFF) format --check --config pyproject.toml $(SOURCES)

lock: ## Write requirements.lock from requirements.in (needs uv).
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header requirements.in -o requirements.lock

.PHONY: .venv-test
.venv-test:
	@$(ENVIRONMENT) --venv .venv-test --requirements requirements.lock "$(TEMPLATE)/requirements.lock" "$(TEMPLATE)/requirements-dev.lock"
