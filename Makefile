# Two commands for a fresh machine: `make demo` and `make test`. Every step says what it does and how long it took.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
CHECKS := .venv-checks
PEERS := $(VENV)-qlib/.installed $(VENV)-freqtrade/.installed
WORKERS ?= 3
TESTS ?= cryptobot_assets_tests

# step NAME, COMMAND: run it and say how long it took.
step = @echo "==> $(1)"; started=$$SECONDS; $(2); echo "    $(1): $$((SECONDS - started)) s"

.PHONY: help demo up dev test lint checks bench lock clean

help: ## Show the targets.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

demo: $(INSTALLED) ## Klines to a served prediction, end to end, on embedded defaults.
	$(call step,demo,$(BIN)/cryptobot demo --once)
	@echo "Bring the platform up on this home with: make up"

up: $(INSTALLED) ## Dagster, MLflow, the prediction service and the dashboard on this machine.
	@$(BIN)/cryptobot up

test: $(INSTALLED) ## Install what the tests need, then check style and types and run the whole suite.
	$(call step,system packages,deploy/install-test-packages)
	$(call step,lint,$(BIN)/ruff check . && $(BIN)/ruff format --check .)
	$(call step,types,$(BIN)/mypy)
	$(call step,tests,CRYPTOBOT_REQUIRE_ALL=1 $(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder \
		--max-worker-restart 2 --durations 25)

dev: $(INSTALLED) ## Mend style, then run the fast tests, those that failed last first; TESTS=folder or file for some.
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .
	@$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not platform and not browser" -x --failed-first $(TESTS)

lint: $(INSTALLED) ## Check style and types.
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

checks: $(INSTALLED) $(CHECKS)/.installed ## Image, workflows, Terraform, secrets, licences, vulnerabilities; no tests.
	$(call step,checks,deploy/check $(VENV) $(CHECKS))

bench: $(INSTALLED) $(PEERS) ## Side by side with Qlib, freqtrade and others, 15 to 45 minutes; BENCH="--size small" in a few.
	@$(BIN)/python benchmarks/bench.py $(BENCH)

lock: $(INSTALLED) ## Resolve the dependencies anew, with hashes and without addresses.
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --all-extras --upgrade pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --extra build --extra kubernetes --constraint requirements.lock \
		pyproject.toml -o deploy/runtime.lock
	$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
		--python-version 3.11 --upgrade deploy/checks.in -o deploy/checks.lock
	for peer in qlib freqtrade; do \
		$(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --no-annotate --no-header \
			--python-version 3.11 --upgrade benchmarks/peers/$$peer.in -o benchmarks/peers/$$peer.lock; \
	done

clean: ## Remove the environments; homes are left alone.
	rm -rf $(VENV) $(VENV)-qlib $(VENV)-freqtrade $(CHECKS)

$(VENV)/.made:
	$(call step,virtual environment,deploy/make-environment "$(PYTHON)" "$(VENV)")
	@touch $@

$(INSTALLED): $(VENV)/.made requirements.lock deploy/bootstrap.lock pyproject.toml
	$(call step,install from the lock,deploy/install-locked "$(VENV)")
	@touch $@

$(CHECKS)/.installed: $(VENV)/.made deploy/checks.lock deploy/bootstrap.lock
	$(call step,checkers,deploy/make-environment "$(PYTHON)" "$(CHECKS)" && deploy/install-checkers "$(CHECKS)")
	@touch $@

$(PEERS): $(VENV)-%/.installed: $(VENV)/.made benchmarks/peers/%.lock deploy/bootstrap.lock
	$(call step,$* in an environment of its own,deploy/install-peer "$(PYTHON)" "$(VENV)-$*" benchmarks/peers/$*.lock)
	@touch $@
