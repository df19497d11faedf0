# Each target is what you would type yourself. `make study` and `make test` do all the setting up that they need.

# nbgrader starts `alembic` by name, so the environment's programs come first on the path.
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help install study test build book read doctor lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1@\2/p' Makefile | awk -F@ '{ printf "%-16s %s\n", $$1, $$2 }'

install: ## make .venv and install the course in it
	@sh lib/classroom/install.sh

study: install ## open the course in JupyterLab, in copies of your own under work/
	@.venv/bin/python -m classroom.cli study

test: install ## run all tests
	@.venv/bin/python -m pytest

build: install ## build the chapters' notebooks from their sources in solutions/
	@.venv/bin/python -m classroom.cli build

book: install ## build the book, solutions hidden
	@.venv/bin/python -m classroom.cli publish

read: book ## build the book and open it in a browser
	@.venv/bin/python -m webbrowser "file://$(CURDIR)/book/_build/html/index.html"

doctor: install ## say what is missing or wrong on this machine
	@.venv/bin/python -m classroom.cli doctor

lock: install ## pin in requirements.lock what pyproject.toml asks for
	@.venv/bin/python -m pip install --quiet uv==0.13.8
	@.venv/bin/python -m uv pip compile --quiet pyproject.toml --output-file requirements.lock

clean: ## remove what can be built again, but neither .venv nor work/
	rm -rf .cache .pytest_cache .ruff_cache .hypothesis book/_build lib/*.egg-info
