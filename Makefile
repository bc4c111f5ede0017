# Every target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OLDEST := .venv-pipecat-1.12
JOBS   ?= 2
TEXT   ?= Hello! I speak while I am still being written.

.PHONY: help serve say test test-pipecat-oldest check format bench clean
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 30

serve: $(VENV)/.speak ## run the server and its WebUI at http://localhost:9000 (FLAGS=... adds flags)
	@$(BIN)/qwen3-tts-live serve $(FLAGS)

say: $(VENV)/.speak ## speak TEXT into out.wav
	@$(BIN)/qwen3-tts-live say "$(TEXT)" $(FLAGS)

# What is timed by a real clock gets the machine for itself; pytest's 5 says that FLAGS chose nothing.
test: $(VENV)/.test ## run the tests (no GPU, no network, no weights)
	@$(BIN)/python -m pytest -m 'not alone' -n $(JOBS) --dist worksteal $(FLAGS) || [ $$? = 5 ]
	@$(BIN)/python -m pytest -m alone $(FLAGS) || [ $$? = 5 ]

test-pipecat-oldest: $(OLDEST)/.test ## run the Pipecat tests on the oldest Pipecat that is supported
	@$(OLDEST)/bin/python -m pytest tests/unit/pipecat $(FLAGS)

check: $(VENV)/.test ## format, lint, types, layers, dependencies
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry plugin standalone_server

format: $(VENV)/.test ## reformat and fix what a tool can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.test ## load a server of its own with 64 clients
	@$(BIN)/python benchmarks/load.py

clean: ## remove the environment and all caches
	rm -rf $(VENV) $(OLDEST) dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/.speak: pyproject.toml constraints.txt | $(VENV)/.uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[server,preview]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/.uv
	$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e '.[test]'
	@touch $@ $(VENV)/.speak

# Only what these tests need, and so no torch.
$(OLDEST)/.test: pyproject.toml constraints.txt | $(VENV)/.uv
	@$(PYTHON) -m venv $(OLDEST)
	@grep -v '^pipecat-ai' constraints.txt > $(OLDEST)/constraints.txt
	$(BIN)/uv pip install -q --python $(OLDEST)/bin/python -c $(OLDEST)/constraints.txt \
	  -e '.[pipecat,preview,server]' 'pipecat-ai==1.12.*' hypothesis pytest pytest-asyncio pytest-timeout
	@touch $@

$(VENV)/.uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "The venv module is needed; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/pip install -q --disable-pip-version-check uv
	@touch $@
