# Two commands on a fresh machine: `make search` and `make test`. Everything is installed into .venv.
PYTHON ?= python3.11
UV_VERSION := 0.13.9
DEMO := data/demo

# Images of containers often set it. Then every process compiles all that it imports: PyTorch takes 6 s instead of 3 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: search test test-hosts install lint format lock clean

search: install $(DEMO)/README.md
	.venv/bin/spooftune launch spaces/quickstart.yaml --eval

# A file of tests on each processor; more than four searches at a time would only wait for the disk.
test: install lint
	.venv/bin/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# A cluster of three hosts in network namespaces. It needs root and Debian's iproute2, openssh-server and rsync.
test-hosts: install
	.venv/bin/python -m pytest -m hosts -rs

install: .venv/installed

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet uv==$(UV_VERSION)
	.venv/bin/uv pip install --quiet --python .venv/bin/python --requirements requirements.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
	touch $@

$(DEMO)/README.md: | install
	.venv/bin/spooftune corpus demo $(DEMO)

lint: install
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: install
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# After a change of the dependencies in pyproject.toml.
lock: install
	.venv/bin/uv pip compile --quiet --extra demo --extra gpl --extra serve --extra dev --python-version 3.11 --no-annotate --no-header --output-file requirements.txt pyproject.toml

clean:
	rm -rf .venv build *.egg-info .mypy_cache .pytest_cache .ruff_cache
