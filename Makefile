# make setup   the environment, in .venv
# make book    the whole path: simulate, train, predict, evaluate, notebooks, book
# make test    all tests
# make clean   forget what was built (results/sources, what was fetched, is kept)

PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup book test check clean

setup: $(STAMP)

# torch first and alone: where the machine has a build for its device, pip keeps that one.
$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("howfar needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[test]'
	touch $@

book: setup
	$(BIN)/howfar run --all --to book --cores $(CORES)
	@echo "The book: book/_build/html/index.html"

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile

check: setup
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests

clean:
	rm -rf book/_build book/_executed book/_figures book/_generated .snakemake
	find results -mindepth 1 -maxdepth 1 ! -name sources -exec rm -rf {} + 2>/dev/null || true
