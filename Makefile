# What each target is for: make help.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS   += --no-print-directory

LINT_VERSION := 2.15.0
LINT         := bin/tools/golangci-lint-$(LINT_VERSION)

# One server for the tests of all packages; without it each package would start its own.
PGSERVER := go run ./platform/db/dbtest/pgserver
# Beyond this a package hangs: the slowest takes a few minutes.
TEST_TIMEOUT := 20m

# What a release is built for, without cgo.
RELEASE_TARGETS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64

# How tests are built and run. They have been vetted before, and are linked without debug information, which is quicker.
TEST := -vet=off -ldflags=-w -timeout $(TEST_TIMEOUT)
RACE := -race $(TEST)

# Long computations in one goroutine, with bounds of memory: the race detector would make them ten times as long.
HOSTILE := -run 'TestHostile|TestLargeInput' ./modules/pipelines/definition/... ./modules/workers

.PHONY: help
help: ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## build the program and try it on a first pipeline
	@scripts/first-run.sh

.PHONY: build
build: ## build bin/sluice
	@scripts/setup.sh compiler
	@go build -o bin/sluice .

.PHONY: test
test: ## everything: build, vet, the targets of a release, lint, all tests on both databases, and the fault tests at one hundredth, under the race detector
	@scripts/setup.sh compiler postgres pooler python packager
	@$(MAKE) build
	@$(MAKE) targets
	@$(MAKE) lint # which includes go vet
	@scripts/in-memory.sh $(PGSERVER) -- go run ./scripts/testcount $(RACE) ./... \
		-- $(TEST) $(HOSTILE) -- $(RACE) -tags chaos ./chaos/...

.PHONY: test-short
test-short: ## all tests on both databases, without the race detector and lint
	@scripts/setup.sh compiler postgres pooler python packager
	@$(PGSERVER) -- go run ./scripts/testcount -timeout $(TEST_TIMEOUT) ./...

# One package and a pattern of tests, for test-one and watch.
PKG :=
RUN := .

.PHONY: test-one
test-one: ## some tests of one package: make test-one PKG=./modules/tasks RUN=TestApply
	@test -n "$(PKG)" || { echo "say which package: make test-one PKG=./modules/tasks RUN=TestApply" >&2; exit 2; }
	@scripts/setup.sh compiler postgres
	@$(PGSERVER) -- go test -count=1 -run '$(RUN)' $(PKG)

.PHONY: watch
watch: ## the same, again after each change of a Go or SQL file, until interrupted
	@stamp=$$(mktemp); trap 'rm -f "$$stamp"' EXIT; touch -d @0 "$$stamp"; \
	while true; do \
		if [ -n "$$(find . -name '*.go' -newer "$$stamp" -print -quit; find . -name '*.sql' -newer "$$stamp" -print -quit)" ]; then \
			touch "$$stamp"; $(MAKE) test-one PKG='$(PKG)' RUN='$(RUN)' || true; \
		fi; \
		sleep 1; \
	done

.PHONY: chaos
chaos: ## the fault tests at full size, some 45 minutes on a quiet machine, at most an hour; writes docs/chaos.md
	@scripts/setup.sh compiler postgres
	@go run ./chaos/driver -minutes 60 -report docs/chaos.md

.PHONY: chaos-short
chaos-short: ## the fault tests at one hundredth of their size, some minutes
	@scripts/setup.sh compiler postgres
	@go run ./scripts/testcount -race -tags chaos -timeout $(TEST_TIMEOUT) ./chaos/...

# What the comparison is told, such as -scale 0.1 for a quick look, or -only river,floor: make bench ARGS='-scale 0.1'
ARGS :=

.PHONY: bench
bench: build bench-build ## compare with other engines and the floor, some twenty minutes on a quiet machine; writes docs/benchmarks.md
	@scripts/setup.sh postgres
	@bin/compare -revision "$$(git describe --always --dirty)" -out results.json -docs docs/benchmarks.md $(ARGS)

.PHONY: bench-build
bench-build:
	@scripts/setup.sh compiler
	@cd bench && go build -o ../bin/compare .

.PHONY: bench-check
bench-check: bench-build $(LINT) ## build, vet, lint and test the comparison: modules of their own, with the other engines
	@scripts/setup.sh postgres
	@cd bench && go vet ./... && ../$(LINT) run ./... && go test ./...

# A build for every target would take as long as half of the tests, because nothing of it is used by them. TestRelease
# builds the program for one, without cgo.
.PHONY: targets
targets: ## type-check the program for each target of a release, without cgo, and the comparison in bench/
	@go run ./scripts/typecheck $(RELEASE_TARGETS) ./bench

.PHONY: release
release: ## build the release of this commit into dist/: archives, Debian packages and SHA256SUMS (docs/releases.md)
	@scripts/setup.sh packager
	@scripts/release.sh dist $(RELEASE_TARGETS)

.PHONY: lint
lint: $(LINT) ## check the code's form (.golangci.yml says what and why)
	@$(LINT) run

.PHONY: fmt
fmt: $(LINT) ## format the code
	@$(LINT) fmt

.PHONY: setup
setup: ## install what building and testing need: gcc, PostgreSQL's programs, PgBouncer, Git, dpkg, the linter
	@scripts/setup.sh compiler postgres pooler python packager
	@$(MAKE) $(LINT)
	@echo "setup: all there"

.PHONY: clean
clean: ## remove what the targets built
	@rm -rf bin dist coverage.out

# The linter of exactly this version: one that is installed already, else built from source, which takes some minutes.
$(LINT):
	@scripts/linter.sh $(LINT_VERSION) $@
