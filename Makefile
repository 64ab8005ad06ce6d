# Everything runs in a virtual environment of the project's own; python3.11 or newer and make are all it needs.
PYTHON ?= python3
VENV ?= .venv
TABLE ?= 6
SEEDS ?= 3
RUN = $(VENV)/bin/python run_all.py

.PHONY: demo test table check clean browser lock

demo: $(VENV)/installed  ## train one seed of Table 6 on the digits from nothing, and print it
	rm -rf demo
	$(RUN) --table 6 --profile digits --seeds 1 --results demo/results --checkpoints demo/checkpoints

table: $(VENV)/installed  ## print a table, training what is missing: make table TABLE=11 SEEDS=1
	$(RUN) --table $(TABLE) --seeds $(SEEDS)

test: $(VENV)/installed browser  ## install the versions of requirements.lock and run the tests with them
	$(VENV)/bin/python -m pytest

browser:  ## Chromium for the tests of the leaderboard's page, where it may be installed: as root on Debian
	@command -v chromedriver > /dev/null || { test "$$(id -u)" = 0 && command -v apt-get > /dev/null \
	&& apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium chromium-driver > /dev/null; } \
	|| echo "There is no chromedriver here, and it cannot be installed: the tests of the page in a browser are skipped."

check: $(VENV)/installed-dev  ## what every commit has to pass
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

lock:  ## pin in requirements.lock what pyproject.toml asks for, keeping pins that still fit: make lock [UPGRADE=1]
	$(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install --quiet uv
	.cache/lock/bin/uv pip compile pyproject.toml --extra test --universal --python-version 3.11 --quiet \
	--no-annotate --custom-compile-command "make lock" --output-file requirements.lock $(if $(UPGRADE),--upgrade)
	rm -rf .cache/lock

clean:  ## remove the environment, the demo and the checkpoints
	rm -rf $(VENV) demo .cache

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml requirements.lock
	$(VENV)/bin/python -m pip install --quiet --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(VENV)/bin/python -m pip install --quiet --constraint requirements.lock --editable '.[dev]'
	touch $@
