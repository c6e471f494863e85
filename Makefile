# The two commands of this project: `make demo` and `make test`.
PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
RUN := .venv/bin
# matrices here are small: threads of the linear algebra only wait for each other
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test quick lint bench score conformance ci-tools setup-demo setup-test locks hant mappings
.DEFAULT_GOAL := demo

setup-demo:
	@[ -n "$(PYTHON)" ] || { echo "rechannel needs python 3.11 or newer on the PATH (Debian: apt install python3 python3-venv)"; exit 2; }
	@$(PYTHON) scripts/environment.py demo

setup-test:
	@[ -n "$(PYTHON)" ] || { echo "rechannel needs python 3.11 or newer on the PATH (Debian: apt install python3 python3-venv)"; exit 2; }
	@$(PYTHON) scripts/environment.py test

demo: setup-demo  ## set up everything, run the main job, print where the reports are
	@$(RUN)/rechannel demo --force

test: setup-test  ## set up and pass the tests
	@$(RUN)/python -m pytest -n auto

quick: setup-test  ## at most 60 s: for every commit
	@$(RUN)/ruff check .
	@$(RUN)/python -m mypy
	@$(RUN)/python -m pytest -n auto -m "not slow" -x

lint: setup-test
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/python -m mypy

bench: setup-test  ## the long series; writes benchmarks/results
	@$(RUN)/python -m benchmarks

score: setup-test  ## the product on made markets, about 20 minutes; the commit is the seed; writes docs/scoreboard.md
	@$(RUN)/python scripts/scoreboard.py

conformance: setup-test  ## identical integers on DuckDB, Spark and ClickHouse, in an environment of its own
	@command -v java >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq openjdk-17-jre-headless; }
	@$(PYTHON) scripts/environment.py ci-engines
	@RECHANNEL_CONFORMANCE=1 .venv-engines/bin/python -m pytest tests/tables/test_engines.py

ci-tools: setup-test  ## headless Chromium for the page tests, where the system can install it
	@command -v chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -y -qq chromium fonts-noto-cjk; }

hant: setup-test  ## rewrite the zh-Hant message files from zh-Hans
	@$(RUN)/python scripts/traditional.py

mappings: setup-demo  ## rewrite the list of products in docs/mappings.md from the mapping files
	@$(RUN)/python scripts/mappings.py

locks:  ## rewrite the hash locks; they hold no host names
	@$(RUN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		pyproject.toml --extra build -o locks/demo.txt
	@$(RUN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		pyproject.toml --extra build --extra test -o locks/test.txt
	@$(RUN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11 \
		pyproject.toml --extra build --extra test --extra ci-engines -c locks/test.txt -o locks/ci-engines.txt
