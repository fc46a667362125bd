# make report: the whole report · make test: every test · make docs: the site · make help: the rest
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help report test lint docs old-processor lab env prepare publish lock clean

help:     ## this list
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1	/' | expand -t 24

report: env  ## run the notebooks: tables, figures and one HTML report in data/runs/demo (ARGS="--profile smoke")
	$(BIN)/song-metric report $(ARGS)

test: lint  ## every test: style, notebooks, command line, a smoke run, the repository's own consistency
	$(BIN)/nbdev_test --n_workers 2 --do_print --timing
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: env  ## ruff over notebooks, module, tests and tools (its rules: pyproject.toml)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

docs: env  ## the documentation site in _docs, offline (to search it: python3 -m http.server -d _docs)
	$(BIN)/python tools/site.py

old-processor: env  ## does every package work on old processors? (needs qemu-user)
	$(BIN)/python tools/old_processor.py $(ARGS)

lab: env  ## read and rerun the notebooks in JupyterLab
	$(BIN)/jupyter lab nbs

env: $(VENV)/.installed  ## the environment in .venv, from requirements.lock

$(VENV)/.installed: requirements.lock settings.ini setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "song_metric needs Python 3.11 or newer, and $(PYTHON) is older or not there. Name another: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar on -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@$(BIN)/python -c "import librosa, numpy; librosa.feature.melspectrogram(y=librosa.griffinlim(numpy.ones((1025, 16))))" && touch $@  # numba compiles librosa once, and keeps it

prepare: env  ## after editing a notebook: export the module, clean the notebooks, write the README
	$(BIN)/python tools/prepare.py

publish: env  ## for those who keep the repository, after make report: its tables, figures and outputs become the published ones
	$(BIN)/song-metric publish
	$(BIN)/python tools/keep_outputs.py
	$(BIN)/python tools/prepare.py

lock: env  ## renew requirements.lock from settings.ini's ranges (needs uv)
	$(BIN)/python tools/lock.py

clean:  ## remove every run and cache (the environment stays)
	rm -rf data/runs data/cache _proc _docs
