# make setup   the environment, in .venv
# make book    the whole path: simulate, train, predict, evaluate, notebooks, book
# make test    all tests
# make gpu-check  values and speed on a GPU, against the CPU; DEVICE=cpu QUICK=--quick without one
# make check   lint, format, types, and whether what is installed fits together
# make lock    pyproject.toml resolved again, versions kept; FLAGS="--upgrade-package X"
# make clean   forget what was built (results/sources, what was fetched, is kept)

PYTHON ?= python3
CORES ?= 2
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: setup book test gpu-check check lock clean

setup: $(STAMP)

# All but torch by SHA-256; then torch, whose build depends on the machine: pip takes the one for
# its device where the machine offers it; then the project, built by the locked hatchling.
# Modules are compiled once, on all cores: where Python may not write bytecode (containers often set
# PYTHONDONTWRITEBYTECODE), each process would compile pandas, torch and the rest anew.
$(STAMP): pyproject.toml requirements.lock constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("howfar needs Python 3.11.5 or newer; set PYTHON=...") if sys.version_info < (3, 11, 5) else None'
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --no-deps --requirement requirements.lock
	$(INSTALL) --constraint constraints.txt torch
	$(INSTALL) --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib src/howfar > /dev/null 2>&1 || true  # some files are for other Pythons
	touch $@

book: setup
	$(BIN)/howfar run --all --to book --cores $(CORES)
	@echo "The book: book/_build/html/index.html"

# Compiled tests are kept, where containers often forbid it: pytest takes its time for them.
test: setup
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) --dist loadfile

check: setup
	$(BIN)/ruff check src tests tools
	$(BIN)/ruff format --check src tests tools
	$(BIN)/mypy
	$(BIN)/python -m pip check

DEVICE ?= cuda
gpu-check: setup
	$(BIN)/python tests/gpu_check.py --device $(DEVICE) $(QUICK)

lock:
	$(PYTHON) tools/lock.py $(FLAGS)

clean:
	rm -rf book/_build book/_generated .snakemake
	find results -mindepth 1 -maxdepth 1 ! -name sources -exec rm -rf {} + 2>/dev/null || true
