# Everything a person or a CI machine runs. `make` alone prints this list.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GO ?= go
# Pinned, and built from source into a folder that git ignores: go.mod stays the product's alone.
GOLANGCI_VERSION := v2.15.0
GOLANGCI_DIR := $(CURDIR)/.cache/tools/golangci-lint-$(GOLANGCI_VERSION)
GOLANGCI := $(GOLANGCI_DIR)/golangci-lint

# The next release; a test holds every file that names it to this line.
VERSION := 0.1.0

FUZZTIME ?= 20s
BENCHTIME ?= 1s
# What a release is for, besides the machine at hand. A worker runs on Linux only; clients run on all of them.
CROSS := linux/arm64 darwin/arm64 windows/amd64

.PHONY: help
help: ## Print this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r name text; do printf '  %-10s %s\n' "$$name" "$$text"; done

.PHONY: demo
demo: build ## Build, then run a whole campaign on a simulated host: no GPU, no account, no network
	bin/sotaloop demo

.PHONY: build
build: ## Build the static binary bin/sotaloop
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -o bin/sotaloop ./cmd/sotaloop

.PHONY: npm
npm: ## Build the npm packages into dist/npm: the same commit gives the same bytes
	node npm/pack.mjs $(VERSION)

.PHONY: npm-test
npm-test: npm ## Build them again and compare, install them into an empty folder, and play the demo from there
	npm/try.sh $(VERSION)

.PHONY: test
test: fmt-check vet cross lint race conformance campaigns ## Everything CI checks: format, vet, cross-compilation, lint, and all tests with the race detector

.PHONY: check
check: fmt-check vet lint ## The fast part of test: format, vet, lint

# One package at a time: many tests measure, and another package's tests would be foreign load.
.PHONY: race
race: ## Run all tests but whole campaigns with the race detector (architecture, goldens and documentation among them)
	$(GO) test -race -run='^$$' $$($(GO) list ./... | grep -v /e2e$$) >/dev/null # compiles everything, both cores at it
	$(GO) test -race -shuffle=on -timeout=10m -p=1 $$($(GO) list ./... | grep -v /e2e$$)

# Alone: campaigns measure, and other tests would be foreign load.
.PHONY: campaigns
campaigns: ## Play whole campaigns against the built program and a simulated host, with the race detector
	SOTALOOP_CHEATS="$(CURDIR)/.cache/cheats.txt" $(GO) test -race -count=1 -timeout=15m ./e2e
	@echo "cheat suite"; cat .cache/cheats.txt

.PHONY: cheats
cheats: ## Play the cheat suite alone: every attack has to be refused, every honest twin has to pass
	SOTALOOP_CHEATS="$(CURDIR)/.cache/cheats.txt" $(GO) test -race -count=1 -timeout=15m -run '^TestCheats$$' ./e2e
	@cat .cache/cheats.txt

# The suite and a Node that runs it come from npm by their lockfile, 240 MB, once. Where they cannot be had, this says so and
# passes; CONFORMANCE=required makes that an error.
CONFORMANCE ?= optional
CONFORMANCE_DIR := $(CURDIR)/.cache/conformance
.PHONY: conformance
conformance: ## Run the official MCP conformance suite, both releases, against the product and a fixture server
	@if ! $(MAKE) --no-print-directory $(CONFORMANCE_DIR)/installed; then \
	  echo "conformance: SKIPPED: the suite could not be installed from npm"; test "$(CONFORMANCE)" != required; \
	else \
	  SOTALOOP_CONFORMANCE="$(CONFORMANCE_DIR)" $(GO) test -tags conformance -count=1 -timeout=5m -v -run '^TestConformance$$' ./server; \
	fi

$(CONFORMANCE_DIR)/installed: server/testdata/conformance/package.json server/testdata/conformance/package-lock.json
	@command -v npm >/dev/null || { echo "npm is not installed"; exit 1; }
	rm -rf $(CONFORMANCE_DIR) && mkdir -p $(CONFORMANCE_DIR)
	cp $^ $(CONFORMANCE_DIR)
	cd $(CONFORMANCE_DIR) && timeout 300 npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# Not part of CI: 320 MB from npm once, and two minutes a client.
CLIENTS_DIR := $(CURDIR)/.cache/clients
.PHONY: clients
clients: $(CLIENTS_DIR)/installed ## Have the official TypeScript clients and MCP Inspector's command line play whole simulated campaigns
	cp e2e/clients/*.mjs $(CLIENTS_DIR)
	SOTALOOP_CLIENTS="$(CLIENTS_DIR)" $(GO) test -count=1 -timeout=20m -v -run '^TestClients$$' ./e2e

$(CLIENTS_DIR)/installed: e2e/clients/package.json e2e/clients/package-lock.json
	rm -rf $(CLIENTS_DIR) && mkdir -p $(CLIENTS_DIR)
	cp $^ $(CLIENTS_DIR)
	cd $(CLIENTS_DIR) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
	touch $@

# Not part of CI: 8 GB from a package index, and an hour and a half of two quiet cores. An interrupted run goes on where it was.
# The campaign's host is core 0; the clients have the rest.
FAILURES := unknown_flag,bad_type,context,model_absent,port
.PHONY: e2e-cpu
e2e-cpu: ## Set up real vLLM and SGLang for a CPU in DIR, play a campaign on them, write docs/FIELD.md
	@test -n "$(DIR)" || { echo "name the folder that gets the engines (12 GB): make e2e-cpu DIR=/some/folder"; exit 2; }
	python3 -B -m unittest discover -s e2e/cpu -p 'test_*.py'
	python3 -B e2e/cpu/setup.py "$(DIR)"
	test -d "$(DIR)/captures" || python3 -B e2e/cpu/capture/capture.py "$(abspath $(DIR))" "$(abspath $(DIR))/captures" --only help,failures --cases $(FAILURES)
	SOTALOOP_CPU="$(abspath $(DIR))" $(GO) test -count=1 -v -run '^TestCPU' ./internal/framework
	SOTALOOP_CPU="$(abspath $(DIR))" $(GO) test -count=1 -v -timeout=4h -run '^TestCPU(Campaign|Same)$$' ./e2e
	SOTALOOP_CPU="$(abspath $(DIR))" taskset -c 1 $(GO) test -count=1 -v -timeout=1h -run '^TestCPUCross$$' ./internal/bench
	SOTALOOP_CPU="$(abspath $(DIR))" $(GO) test -count=1 -v -timeout=1h -run '^TestCPUCrossMock$$' ./internal/bench
	SOTALOOP_CPU="$(abspath $(DIR))" $(GO) test -count=1 -v -run '^TestCPUZField$$' ./e2e

.PHONY: short
short: ## Run all tests but whole campaigns, without the race detector
	$(GO) test -short ./...

.PHONY: vet
vet: ## Run go vet
	$(GO) vet ./...
	$(GO) vet -tags conformance ./server

.PHONY: cross
cross: ## Compile for the other platforms and vet there, tests included
	@for target in $(CROSS); do \
	  echo "vet $$target"; \
	  CGO_ENABLED=0 GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) vet ./...; \
	done

.PHONY: lint
lint: $(GOLANGCI) ## Run golangci-lint
	$(GOLANGCI) run --allow-parallel-runners ./...

# The first build takes minutes; later ones come from Go's build cache.
$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION) (once)"
	GOBIN=$(GOLANGCI_DIR) GOFLAGS= CGO_ENABLED=0 $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)

.PHONY: fmt
fmt: ## Format all Go files
	gofmt -s -w .

.PHONY: fmt-check
fmt-check:
	@files=$$(gofmt -s -l .); \
	if [ -n "$$files" ]; then echo "not formatted (run make fmt):"; echo "$$files"; exit 1; fi

.PHONY: golden
golden: ## Rewrite all golden files and generated documentation; read the diff before you commit
	UPDATE=1 $(GO) test -short -count=1 ./...

.PHONY: docs
docs: ## Regenerate docs/RULES.md and the tool table of README.md
	UPDATE=1 $(GO) test -count=1 -run '^TestDocs' .

.PHONY: fuzz
fuzz: ## Fuzz every parser of foreign bytes for FUZZTIME each
	@for file in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' $$file); do \
	    echo "$$(dirname $$file) $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) "$$(dirname $$file)"; \
	  done; \
	done

.PHONY: bench
bench: ## Run all benchmarks; nothing asserts on their times
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: clean
clean: ## Remove what builds left, the built linter included
	rm -rf bin dist .cache
