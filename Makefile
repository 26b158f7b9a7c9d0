# Everything sets itself up in .venv. See README.md.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SRC := pyproject.toml

.PHONY: demo run test check simulate bench killpoints powerloss lock sbom fuzz mutants clean soak

demo: .venv/runtime.stamp
	@$(BIN)/python tools/demo.py

run: .venv/runtime.stamp
	@$(BIN)/conductor serve

# In two processes, since most tests wait for something. TESTS=0 runs them one after another in this one.
TESTS ?= 2
test: .venv/dev.stamp
	@sh tools/test_tools.sh
	@$(BIN)/python -m pytest -n $(TESTS) --dist worksteal

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

SEEDS ?= 1-100
HOURS ?= 6
simulate: .venv/dev.stamp
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS) --hours $(HOURS)

bench: .venv/dev.stamp
	@$(BIN)/python -m benchmarks

# Every system call that changes a file, with kill -9 in its place; prints how many there are.
killpoints: .venv/dev.stamp
	@CONDUCTOR_TEST_ALL_POINTS=1 $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/faults/test_kill_points.py \
	  tests/faults/test_index_kill_points.py tests/faults/test_upgrade.py

# Images of the disk after a power loss, ten thousand of them (IMAGES=...).
powerloss: .venv/dev.stamp
	@PYTHONPATH=tests $(BIN)/python -m powerloss $(IMAGES)

sbom:
	@$(PYTHON) tools/sbom.py

# One target of tests/fuzz for some minutes. Needs atheris, which is not locked: it says so when it is missing.
TARGET ?= pages
FUZZ_SECONDS ?= 300
fuzz: .venv/dev.stamp
	@cd tests && $(CURDIR)/$(BIN)/python -m fuzz $(TARGET) -max_total_time=$(FUZZ_SECONDS) -max_len=4000

# Every small change of core/ that its tests do not notice. Needs mutmut, which is not locked: pip install mutmut.
mutants: .venv/dev.stamp
	@$(BIN)/python -m mutmut run
	@$(BIN)/python -m mutmut results

# Hours of kill -9 against a simulated vendor, then every id is compared; writes soak.md.
SOAK_HOURS ?= 2
KILLS ?= 500
soak: .venv/dev.stamp
	@PYTHONPATH=tests $(BIN)/python -m soak --hours $(SOAK_HOURS) --kills $(KILLS)

lock:
	tools/lock.sh

clean:
	rm -rf .venv build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Conductor needs Python 3.11 or newer. Set PYTHON=python3.x."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

# --no-deps: the locks are the whole closure, without the data frame libraries that chdb-core asks for and we never use.
.venv/runtime.stamp: requirements/runtime.txt requirements/build.txt $(SRC) | .venv/bin/python
	@echo "Installing Conductor into .venv (about 200 MB to download the first time) ..."
	@$(PIP) install --no-deps --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: requirements/dev.txt .venv/runtime.stamp
	@echo "Installing the tools for tests ..."
	@$(PIP) install --no-deps --require-hashes -r requirements/dev.txt
	@touch $@
