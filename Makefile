# Python 3.11, git and make are all that is needed; everything else is installed into .venv.
PYTHON ?= python3.11
BIN := .venv/bin
N ?= 2000

.PHONY: install run test lint bench fuzz pictures pins clean
.DEFAULT_GOAL := run

install: .venv/installed

PIP := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --require-hashes --requirement

# The stamps are newer than the lists of requirements once those are installed.
.venv/installed: requirements.txt
	@command -v $(PYTHON) >/dev/null || { echo "Storekeeper needs Python 3.11: install it, or name it with PYTHON=... make"; exit 1; }
	@echo "Installing Storekeeper's requirements into .venv, once; this takes a minute."
	@$(PYTHON) -m venv .venv
	@$(PIP) requirements.txt
	@touch $@

.venv/tools: tests/requirements.txt .venv/installed
	@echo "Installing the tools of tests and checks into .venv, once; this takes a few minutes."
	@$(PIP) tests/requirements.txt
	@touch $@

run: install
	@exec $(BIN)/python manage.py serve

test: .venv/tools
	$(BIN)/python -m pytest $(ARGS)

lint: .venv/tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/djlint --quiet --lint templates
	$(BIN)/mypy .
	DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m tests.deployment

bench: .venv/tools
	$(BIN)/python -m tests.bench.run

fuzz: .venv/tools
	$(BIN)/python -m tests.fuzz $(N)

# The pictures in README and docs, from a real browser.
pictures: .venv/tools
	$(BIN)/python -m pytest tests/browser/pictures.py

# Pins every requirement with its hashes, from the lists in pyproject.toml; the files name no registry.
PIN := CUSTOM_COMPILE_COMMAND="make pins" $(BIN)/pip-compile --quiet --strip-extras --generate-hashes \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options
pins: .venv/tools
	@$(PIN) --output-file requirements.txt pyproject.toml 2>&1 | sed -E 's#[a-z]+://[^ ]+#(registry)#g'
	@$(PIN) --extra test --allow-unsafe --output-file tests/requirements.txt pyproject.toml 2>&1 | sed -E 's#[a-z]+://[^ ]+#(registry)#g'

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
