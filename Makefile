PYTHON ?= python3
TEMPLATE := {{cookiecutter.project_slug}}
ENVIRONMENT := $(PYTHON) "$(TEMPLATE)/scripts/environment.py"
RUFF := .venv-test/bin/ruff
SOURCES := benchmarks hooks scripts tests

.PHONY: help demo demo-optout demo-judgement demo-sagemaker image test test-long options lint docs links reference pictures sums lock

help: ## Say what there is.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: ## Bake a project into demo/, run its pipeline, and show the model and its chain.
	@$(ENVIRONMENT) --venv .venv --requirements requirements.lock
	@.venv/bin/python scripts/demo.py

demo-optout: ## Take a patient out of the training data, train again, and prove it with a certificate.
	@$(ENVIRONMENT) --venv .venv --requirements requirements.lock
	@.venv/bin/python scripts/demo_optout.py

demo-judgement: ## Compare versions, decide which goes live, and see one refused.
	@$(ENVIRONMENT) --venv .venv --requirements requirements.lock
	@.venv/bin/python scripts/demo_judgement.py

demo-sagemaker: .venv-test ## Live a model's life on SageMaker, from raw data to cleanup, against a stand-in for AWS on this machine.
	@.venv-test/bin/python scripts/demo_sagemaker.py

image: .venv-test ## Build the image of the Dockerfile, for the tests (root, Debian's buildah and mmdebstrap, 32 GB).
	@.venv-test/bin/python scripts/image.py

# Three at a time on two cores: a third of a test is waiting, for a server, a job or a lock.
test: .venv-test ## Run the tests.
	.venv-test/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m "not long"

test-long: .venv-test ## Run the tests that damage and vary a project hundreds of times.
	.venv-test/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder -m long

options: .venv-test ## Bake a project with ANSWERS="ci=gitlab infra=yes", and run its lint and tests.
	.venv-test/bin/python scripts/options.py $(ANSWERS)

# The template's package and project have no names yet: hence N999, folders in place of the whole, and `scans`, the package
# of the tests' example. What tools would leave in the template, they would leave in every project: hence no caches.
lint: .venv-test ## Check style, and the framework's types and imports, where it lies.
	$(RUFF) check --no-cache --ignore N999 $(SOURCES) "$(TEMPLATE)"/*/
	$(RUFF) format --no-cache --check $(SOURCES) "$(TEMPLATE)"/*/
	@.venv-test/bin/python scripts/framework.py --check
	MYPYPATH="$(TEMPLATE):tests:tests/framework/example" .venv-test/bin/mypy --explicit-package-bases \
		--config-file "$(TEMPLATE)/pyproject.toml" "$(TEMPLATE)/lineage" tests/framework
	@sed 's/{{ cookiecutter.package_name }}/scans/' "$(TEMPLATE)/pyproject.toml" > .venv-test/imports.toml
	PYTHONPATH="$(TEMPLATE):tests/framework/example" .venv-test/bin/lint-imports --no-cache .venv-test/imports.toml

docs: .venv-test ## Build the manual into build/manual/site, and check its links.
	@$(ENVIRONMENT) --venv .venv-docs --requirements requirements-docs.lock
	@PYTHONPATH=scripts .venv-test/bin/python -B -m manual pages
	@.venv-docs/bin/zensical build --strict --config-file build/manual/zensical.toml

links: ## Ask whether the pages of others that the manual links to are still there (needs a network).
	@$(PYTHON) scripts/links.py

reference: .venv-test ## Write docs/reference/ from the code.
	@PYTHONPATH=scripts .venv-test/bin/python -B -m manual reference

pictures: demo ## Take the pictures of the manual, of the project that `make demo` makes (needs Chromium).
	@PYTHONPATH=scripts .venv-test/bin/python -B -m manual pictures demo/traceable-digits

sums: ## Write the list of the framework's files, by which doctor finds edited ones.
	$(PYTHON) scripts/framework.py

lock: ## Write the locks from requirements.in and requirements-docs.in (needs uv).
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header requirements.in -o requirements.lock
	uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header requirements-docs.in -o requirements-docs.lock

.PHONY: .venv-test
.venv-test:
	@$(ENVIRONMENT) --venv .venv-test --requirements requirements.lock "$(TEMPLATE)/requirements.lock" "$(TEMPLATE)/requirements-dev.lock"
