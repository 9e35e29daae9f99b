# All commands of the project, from a fresh machine on: `make help` lists them.

.DEFAULT_GOAL := help
.PHONY: help run stop shell format check test bench profile proof release screens packages tools \
	types style contracts settings migrations schema compiled-tests

# The Python that makes .venv.
PYTHON ?= python3
python := .venv/bin/python
# Variables of another project.
unexport DJANGO_SETTINGS_MODULE PYTHONPATH PYTHONHOME
# Without kept bytecode each process compiles all packages anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE
ifndef T
# The tests of the service are about the service without apps of a shop, which have their own.
check test: export SHOP_APPS :=
endif
# Production settings that reach no database: these gates ask for none, and start none.
production := DATABASE_URL=postgresql://nobody@localhost/nothing ALLOWED_HOSTS=orders.example.com \
	SECRET_KEY=$$($(python) -c "import secrets; print(secrets.token_urlsafe(64))") \
	PYTHONWARNINGS=ignore::RuntimeWarning

help: ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST)

run: packages ## Run everything until Ctrl-C: PostgreSQL, web server, workers, demo data (PORT, DATA_DIR).
	@exec $(python) manage.py run --parent $$PPID

stop: packages ## Stop an embedded PostgreSQL that a lone manage.py left running.
	@$(python) manage.py stop

shell: packages ## Open a Python shell on the databases of make run, with the models at hand.
	@$(python) manage.py shell

format: tools ## Sort imports, format the code, and mend what ruff can.
	@$(python) -m ruff check --fix
	@$(python) -m ruff format

# Two gates at a time, the longest first; each prints its output when it ends.
gates = @$(MAKE) --no-print-directory --jobs 2 --output-sync=target

types:
	@echo "== Types (mypy)"
	@$(python) -m mypy || { echo "If a module that has moved isn't found: rm -r .mypy_cache"; false; }

style:
	@echo "== Style (ruff)"
	@$(python) -m ruff check
	@$(python) -m ruff format --check

contracts:
	@echo "== Import contracts (import-linter)"
	@.venv/bin/lint-imports --no-logo

settings:
	@echo "== Deployment settings (check --deploy)"
	@$(production) $(python) manage.py check --deploy --fail-level WARNING

migrations:
	@echo "== Migrations (makemigrations --check)"
	@$(production) $(python) manage.py makemigrations --check --dry-run

schema:
	@echo "== API schema (spectacular)"
	@$(production) $(python) manage.py spectacular --validate --fail-on-warn --file /dev/null

# pytest compiles the tests and keeps the result: the processes of a run would each do it anew.
compiled-tests:
	@echo "== Tests (compiled by pytest)"
	@output=$$($(python) -m pytest --collect-only --quiet) || { echo "$$output"; false; }

check: tools ## Run the quick gates in a minute: ruff, import contracts, mypy, unit tests.
	$(gates) types style contracts
	@echo "== Unit tests (pytest)"
	@$(python) -m pytest tests/unit

test: tools ## Run all gates and the whole test suite; with T=path, the tests of that file or folder only.
ifdef T
	@$(python) -m pytest $(T)
else
	$(gates) types style contracts settings migrations schema compiled-tests
	@echo "== Tests (pytest)"
	@$(python) -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder
endif

peers := tests/benchmarks/peers
sizes := $(foreach size,ORDERS ROUNDS NUMBER,$(if $($(size)),--$(shell echo $(size) | tr A-Z a-z) $($(size))))

bench: tools $(peers)/.venv/installed ## Race against what a shop would use instead; RACE=read runs one, ORDERS, ROUNDS, NUMBER size it.
	@$(python) -m tests.benchmarks $(RACE) $(sizes)
	@$(if $(RACE),,$(python) -m tests.benchmarks.live && $(python) -m tests.benchmarks.screens)

profile: tools ## Show where the time of a race goes: RACE=read, list, place, post or rebuild.
	@$(python) -m tests.benchmarks.profile $(RACE) $(ORDERS)

npm := $(shell command -v npm)

proof: tools $(if $(npm),tests/clients/node_modules/installed) ## Run the proofs at full size, or PART=crash; a stopped run goes on, AGAIN=1 begins anew.
	@$(if $(npm),,echo "npm isn't installed: no linter reads the OpenAPI document, and no TypeScript client is generated.")
	@AGAIN=$(AGAIN) $(python) -m tests.proof_run $(PART)

release: tools ## Keep the databases of this version, and write its day and commit into CHANGELOG.md.
	@$(python) -m tests.releases

screens: tools ## Make the pictures of docs/screens anew, in Chromium, on a copy with demo data.
	@DJANGO_SETTINGS_MODULE=config.settings $(python) -m tests.screens

# Nothing is installed if all is there. The same script by any Python: it says which one is needed.
install = @command -v "$(PYTHON)" >/dev/null || { \
	echo "Python 3.11 or newer is needed, and there is no $(PYTHON): install it, or name another" \
		"one, as in PYTHON=python3.12 make run." >&2; exit 1; }; \
	exec "$(PYTHON)" -I config/install.py

packages:
	$(install) requirements-production.txt

tools:
	$(install) requirements.txt

# Linters and generators of clients, in an environment of their own.
tests/clients/node_modules/installed: tests/clients/package-lock.json
	@cd tests/clients && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# The environment of the peers of `make bench`.
$(peers)/.venv/installed: $(peers)/requirements.txt
	@"$(PYTHON)" -m venv $(peers)/.venv
	@$(peers)/.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
