# `make help` lists the targets. Any Node 18 or newer with npm bootstraps all of it: packages come by the pinned pnpm and
# its frozen lockfile, the runtime (.ci/node) is one of them, and what is built is built once for each state of the sources.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The one place that names the version is package.json.
PNPM := npx --yes $(shell sed -n 's/.*"packageManager": "\(.*\)".*/\1/p' package.json)
# Read when a recipe runs, not before: the first run installs it.
NODE = "$$(.ci/node)"
POSTERN = $(NODE) dist/main.js

INSTALLED := node_modules/.installed
BUILT := dist/.built
SOURCES := $(shell find src -name '*.ts')
TOKEN := .postern/control.token

.PHONY: help install build run dev check test soak bundle lint fmt bench conformance demo image compose-up compose-down clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 14

run: $(BUILT) $(TOKEN) ## serve the starter bundle on 127.0.0.1:8181 (control: 8282)
	@exec $(POSTERN) serve --config deploy/starter.yaml

check: $(BUILT) ## types, style and every quick test, in a minute; ONLY=src/opa: what is related to that
	@ONLY=$(ONLY) .ci/check

test: $(BUILT) ## install what is missing and pass every test; the last line counts them
	@.ci/test

soak: $(BUILT) ## the long form of the tests that show more the longer they go
	@.ci/soak

dev: $(BUILT) ## build bundles/starter.tar.gz anew on every save in rego/; `make run` takes it
	@exec $(POSTERN) dev rego --output bundles/starter.tar.gz

bundle: $(BUILT) ## lint, test and compile rego/ to bundles/starter.tar.gz
	@$(POSTERN) build rego --output bundles/starter.tar.gz

lint: $(INSTALLED) ## check style and types
	@node_modules/.bin/biome check .
	@node_modules/.bin/tsc --noEmit

fmt: $(INSTALLED) ## format the sources, and mend what can be mended safely
	@node_modules/.bin/biome check --write .

bench: $(BUILT) ## compare with `opa run --server`: same policy, same input, one core each
	@$(NODE) bench/main.ts

conformance: $(INSTALLED) ## run OPA's own conformance cases through our host (needs Go)
	@$(NODE) test/conformance/run.ts

demo: $(BUILT) ## play the five cases against a real sidecar
	@$(NODE) deploy/demo/main.ts

image: $(BUILT) ## build the container image
	@.ci/images postern

compose-up: $(BUILT) ## start Postern, Redis and Prometheus in containers (stop: make compose-down)
	@.ci/images
	@.ci/compose --env-file .tools/images.env up --detach --wait --wait-timeout 120

compose-down:
	@.ci/compose --env-file .tools/images.env --profile '*' down --volumes --remove-orphans

clean: ## remove what was built or installed here; .postern/ (state, token) stays
	@rm -rf dist coverage .tools node_modules

install: $(INSTALLED)

build: $(BUILT)

$(INSTALLED): package.json pnpm-lock.yaml pnpm-workspace.yaml
	@$(PNPM) install --frozen-lockfile --config.confirmModulesPurge=false </dev/null
	@.ci/node >/dev/null
	@touch $@

$(BUILT): $(INSTALLED) tsconfig.json tsconfig.build.json $(SOURCES)
	@rm -rf dist
	@node_modules/.bin/tsc -p tsconfig.build.json
	@touch $@

# Whole or not there at all, and never readable by others, not even while it is written.
$(TOKEN):
	@umask 077 && mkdir -p .postern && chmod 0700 .postern
	@umask 077 && head -c 32 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=\n' >$@.new && mv $@.new $@
