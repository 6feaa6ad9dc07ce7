# make run     one proven call, then a gateway to try things with (Ctrl-C ends it)
# make test    every test; system programs are installed where this user may
# make test T=tests/b2bua   one folder, one file, or whatever else pytest takes
# make quick   the pure tests and those on virtual time, within a minute
# make check   formatting, lint, strict types
# make programs  what the tests talk to, and nothing else
# make bench   measurements, written to bench/results/
# make hostile a million damaged datagrams, broken streams, honest calls under attack (25 minutes)
# make soak    a hundred restarts and two hundred reloads under load (15 minutes)
# make lock    resolve the dependencies anew into the requirements*.lock files
# make clean   remove what the other targets made
#
# PYTHON=/path/to/python3 chooses the Python; RUN_ONCE=1 makes `make run` end after its call.

.DEFAULT_GOAL := help
.PHONY: help run test quick check programs bench hostile soak lock clean
python := .venv/bin/python
# Tests at a time: most of the long ones wait, so there may be more than the machine has cores.
WORKERS ?= 4
# Containers often forbid Python to keep what it has compiled, which costs every start seconds.
export PYTHONDONTWRITEBYTECODE =

help:
	@sed -n 's/^# make /make /p' Makefile

# One stamp a lock file: each set of packages contains the one before it.
.venv/.installed-%: requirements-%.lock pyproject.toml .ci/venv
	@.ci/venv $<
	@touch $@

run: .venv/.installed-run
	@$(python) -m gateway run --demo $(if $(RUN_ONCE),--once)

check: .venv/.installed-dev
	@$(python) -m ruff format --check .
	@$(python) -m ruff check .
	@$(python) -m mypy

programs: .venv/.installed-dev
	@.ci/peers & .ci/system-packages && wait

test: programs
ifdef T
	@$(python) -m pytest $(T)
else
	@beside=0; alone=0; \
	$(python) -m pytest -n $(WORKERS) -m "not alone" || beside=$$?; \
	$(python) -m pytest -m alone || alone=$$?; \
	exit $$((beside || alone))
endif

# Folders without a quick test are not even read.
unread := $(addprefix --ignore=tests/,interop soak packaging testkit hostile contract \
	gateway/storage gateway/http gateway/jambonz gateway/provisioning)

quick: .venv/.installed-dev
	@$(python) -m pytest -n 2 -m "not programs and not slow and not alone" $(unread) $(T)

bench: .venv/.installed-bench
	@.ci/system-packages
	@$(python) -m bench

# A gateway process takes it all; HOSTILE="--datagrams 20000 --streams 640" makes it a short one.
hostile: .venv/.installed-dev
	@$(python) -m tests.hostile $(HOSTILE)

# SOAK="--restarts 10 --reloads 0" makes it a short one.
soak: programs
	@$(python) -m tests.soak $(SOAK)

compile = $(python) -m uv pip compile pyproject.toml --quiet --upgrade --universal \
	--python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

# requirements.lock is what a deployment installs; the others add to it: -run the test phone,
# -dev the tests, -bench the peer that is measured beside us.
lock: .venv/.installed-dev
	@$(python) -m pip install --quiet --disable-pip-version-check "uv>=0.9"
	@$(compile) -o requirements.lock
	@$(compile) -c requirements.lock --extra phone --group build -o requirements-run.lock
	@$(compile) -c requirements-run.lock --extra phone --group dev -o requirements-dev.lock
	@$(compile) -c requirements-dev.lock --extra phone --group bench -o requirements-bench.lock

clean:
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -rf .venv .run .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
