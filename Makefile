# tickberry. `make` alone lists what can be done.
.DEFAULT_GOAL := help
CARGO ?= cargo
# Arguments for the program: make run ARGS="--http 127.0.0.1:9000"
ARGS ?=

.PHONY: help
help: ## List what can be done
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Everything in one process: the page is on http://127.0.0.1:8080 (live with FINNHUB_TOKEN, else simulated)
	@exec target/debug/tickberry up $(ARGS)

.PHONY: build
build: ## Compile the program for `make run`
	@$(CARGO) build --locked --workspace --bins

.PHONY: setup
setup: ## Install what the tests need beside Rust (Debian packages by name; sudo where not root)
	@scripts/setup

.PHONY: servers
servers: ## Build the real InfluxDB and Grafana that tests talk to (13 minutes, once)
	@scripts/servers

.PHONY: test
test: ## Set up and run all tests; prints a table of stages with budget and actual time
	@scripts/test

# Rounds of make chaos, cuts of make powercut, their seed, and the round to begin with.
ROUNDS ?= 20
SEED ?=
FIRST ?=
CUTS ?= 20
ARCH ?= amd64

.PHONY: chaos
chaos: build ## Real faults: ROUNDS=20 rounds of kills, stops and partitions, each against the oracle (SEED=, FIRST=)
	@TB_ROUNDS=$(ROUNDS) TB_SEED=$(SEED) TB_FIRST=$(FIRST) \
		$(CARGO) test --locked --quiet -p tickberry-tests --test chaos

.PHONY: powercut
powercut: ## Real power cuts: CUTS=20 of a virtual machine whose disk forgets what was not flushed (SEED=, FIRST=, ARCH=arm64 after make cross)
	@$(if $(filter arm64,$(ARCH)),,$(CARGO) build --locked --quiet -p tickberry)
	@scripts/powercut-lab $(if $(filter arm64,$(ARCH)),target/cross/tickberry-arm64,target/debug/tickberry) target/powercut-$(ARCH) $(ARCH)
	@TB_CUTS=$(CUTS) TB_SEED=$(SEED) TB_FIRST=$(FIRST) TB_LAB=$(CURDIR)/target/powercut-$(ARCH) \
		$(CARGO) test --locked --quiet -p tickberry-tests --test powercut

# OWN_IMAGE=1: in an image of Debian packages instead of one from a registry, with podman; wants root.
OWN_IMAGE ?=
FOR ?= arm64

.PHONY: cross
cross: ## Programs for Pis, with cross and Docker or Podman, checked: target/cross/ (FOR="arm64 armhf", OWN_IMAGE=1)
	@scripts/cross $(if $(OWN_IMAGE),--own-image) $(FOR)

.PHONY: dist
dist: ## Packages and tarballs with SHA256SUMS: target/dist/ (FOR=arm64 for this one alone, OWN_IMAGE=1)
	@scripts/dist $(if $(OWN_IMAGE),--own-image) $(if $(filter-out file,$(origin FOR)),$(FOR))

.PHONY: lab
lab: servers ## A shelf of virtual Pis, one of them arm64, in a network of their own (root; packages from `make dist`)
	@scripts/lab up

.PHONY: lab-down
lab-down: ## End the shelf of virtual Pis, whatever state it is in; nothing is left
	@scripts/lab down

# Worlds of make sim; SEED= is the first of them.
SEEDS ?= 3000

.PHONY: sim
sim: ## Deterministic simulation: SEEDS=3000 worlds of crashes, lost messages and bad disks from SEED= on (release build)
	@$(CARGO) run --locked --release --quiet -p tickberry-sim -- --seeds $(SEEDS) --seed $(if $(SEED),$(SEED),1)

# Names of patches in tests/breaks/; none: all.
BREAKS ?=

.PHONY: breaks
breaks: ## Break the program on purpose, one patch of tests/breaks/ at a time: the tests must notice each (BREAKS=names)
	@scripts/breaks $(BREAKS)

.PHONY: lint
lint: clippy ## Formatting, clippy and shellcheck, warnings are errors
	@$(CARGO) fmt --all --check
	@shellcheck scripts/* tests/shelf/* .ci/run

# The second takes what `cargo test` alone leaves out.
.PHONY: clippy
clippy:
	@$(CARGO) clippy --locked --quiet --workspace --all-targets -- -D warnings
	@$(CARGO) clippy --locked --quiet -p tickberry-tests --test '*' -- -D warnings

.PHONY: fresh
fresh: ## How long `make run` takes in a fresh Debian root file system (needs root and mmdebstrap)
	@scripts/fresh run

# For how long make demo runs.
DEMO_SECONDS ?= 120

.PHONY: demo
demo: build ## Broker and aggregator killed every ten seconds, and the ledger: on the page, and audited (DEMO_SECONDS=120)
	@DEMO_SECONDS=$(DEMO_SECONDS) exec scripts/demo

.PHONY: bench
bench: ## Codec, parser, fold and journal against their peers, as ratios in one run (release build)
	@$(CARGO) bench --locked -p tickberry-bench

.PHONY: grafana-cost
grafana-cost: servers ## What a refresh of each dashboard costs: every query against a month of data
	@$(CARGO) test --locked --quiet -p tickberry-tests --test grafana -- --ignored --nocapture cost

.PHONY: influx-cost
influx-cost: build servers ## What InfluxDB costs beside tickberry: memory, CPU, bytes written and on disk
	@scripts/influx-cost 180

.PHONY: fuzz
fuzz: ## Fuzz the batch decoder for FUZZ_SECONDS (default 60); installs cargo-fuzz if it is not there
	@scripts/fuzz

.PHONY: deny
deny: ## Licences, duplicate and banned crates (needs cargo-deny)
	@$(CARGO) deny check bans licenses sources

# The shelf: docs/shelf.md. INVENTORY= says which, ANSIBLE= is for further options (ANSIBLE="--limit pi2 -vvv").
INVENTORY ?= ansible/inventory/shelf.yml
ANSIBLE ?=
HOST ?=
FILE ?=
DEVICE ?=
IMAGE ?=
BACKUP ?=
# Started in ansible/, where its settings are; so paths are made absolute here.
playbook = @[ -e "$(INVENTORY)" ] || { echo "there is no inventory $(INVENTORY): make inventory, or INVENTORY=…" >&2; exit 66; }; \
	inventory=$$(realpath "$(INVENTORY)") && venv=$$(scripts/ansible-venv) && cd ansible && PATH="$$venv/bin:$$PATH" \
	exec ansible-playbook -i "$$inventory" $(1).yml $(2) $(ANSIBLE)
# Variables of a playbook, and those of them that are paths. As JSON: Ansible takes name=value apart where there is a space.
set = $(if $(2),-e '{"$(1)": "$(2)"}')
set-path = $(call set,$(1),$(if $(2),$(if $(filter /%,$(firstword $(2))),,$(CURDIR)/)$(2)))

.PHONY: inventory
inventory: ## Ask what the shelf is, and write it to INVENTORY=ansible/inventory/shelf.yml
	@scripts/inventory "$(INVENTORY)"

.PHONY: flash
flash: ## A card for a host: HOST=pi1 DEVICE=/dev/sdX, or FILE=pi1.img (IMAGE= is a local image; ANSIBLE=-K asks for sudo's password)
	$(call playbook,flash,$(call set,flash_host,$(HOST)) $(call set-path,flash_to_file,$(FILE)) \
		$(call set,flash_device,$(DEVICE)) $(call set-path,flash_image,$(IMAGE)))

.PHONY: site
site: ## Set the shelf up; again, it changes nothing
	$(call playbook,site)

.PHONY: update
update: ## To another version, host by host; back by itself where it is not healthy
	$(call playbook,update)

.PHONY: verify
verify: ## Ask every part of the shelf, and print one table
	$(call playbook,verify)

.PHONY: backup
backup: ## Journal, store and Grafana, to this machine
	$(call playbook,backup)

.PHONY: restore
restore: ## A backup onto a shelf that is set up: BACKUP=folder
	$(call playbook,restore,$(call set-path,tickberry_backup,$(BACKUP)))

.PHONY: destroy
destroy: ## Take the programs off the shelf; data is kept (ANSIBLE="-e tickberry_purge=true" deletes it)
	$(call playbook,destroy)

.PHONY: lint-ansible
lint-ansible: ## ansible-lint (production, offline) and yamllint
	@venv=$$(scripts/ansible-venv) && cd ansible && PATH="$$venv/bin:$$PATH" && yamllint . && ansible-lint --nocolor -q
