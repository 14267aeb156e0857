# `make help` lists the targets. The runtime is pinned: any Node 18 or newer bootstraps it (docs/architecture.md).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PNPM := npx --yes pnpm@10.34.8
