# Every way to build, run and test Headwater. `make` alone lists them.

# SwiftPM calls these flags unsafe, and a package that sets unsafe flags can't be embedded in another one; that is why
# they stand here and not in Package.swift. Unchecked exclusivity halves the instructions of the routing core, and
# cross-module optimization lets small functions of one target be inlined in another.
RELEASE_FLAGS = -c release -Xswiftc -enforce-exclusivity=unchecked -Xswiftc -cross-module-optimization

CONFIG ?= deploy/dev.yaml

.DEFAULT_GOAL := help
.PHONY: help setup build release run test test-kafka chaos crash-test check bench demo certs format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Install the system packages that are missing (Debian, Ubuntu)
	@scripts/setup

build: setup ## Debug build of everything
	swift build

release: setup ## Optimised program: .build/release/headwater
	swift build $(RELEASE_FLAGS) --product headwater

run: release ## Broker on 127.0.0.1:1883 with a development Kafka inside; HTTP on 127.0.0.1:9883 (CONFIG=file)
	@mkdir -p run
	.build/release/headwater run --config $(CONFIG)

test: setup ## All tests: one build, then the test runner, then interoperability tests
	@scripts/test

test-kafka: setup ## The bridge's tests against a Kafka that isolates and fences: Tests/TestKafka, or HEADWATER_TEST_KAFKA=host:port,…
	@scripts/test-kafka

chaos: release ## Devices publish while broker and Kafka are killed, hung and slowed by turns; prints its counts (SECONDS=n SEED=n KINDS=kill,…)
	@scripts/chaos $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(if $(KINDS),--kinds $(KINDS))

crash-test: setup ## The long crash tests: at least 500 kills and power cuts, every kind of damage (KILLS=n SEED=n)
	@KILLS=$(KILLS) SEED=$(SEED) scripts/crash-test

check: ## What CI checks besides the tests: paths, marks of unfinished work, scripts, format
	@scripts/check

bench: release ## Measure the release program (needs gcc and mosquitto)
	@scripts/bench

demo: release ## A message's way from MQTT to Kafka, shown in the terminal
	@scripts/demo

certs: ## Development certificates in certs/out
	@certs/generate.sh

format: ## Format the Swift sources in place
	swift format --in-place --parallel --recursive Sources Tests Package.swift

clean: ## Remove what builds and runs have left
	rm -rf .build run bench-out
