# Netloom's few commands. Each installs what it needs; all are safe to repeat.
#   make up      a whole cloud network on this machine (root)
#   make down    stop it and leave nothing behind (root)
#   make machines  what virtual machines need beside that: an emulator and a kernel (root)
#   make test    all checks and tests (root: they use real switches and namespaces)
#   make tempest OpenStack's own tests against the cloud that runs, or one of its own (root)
#   make bench   measure how fast it is (root)
#   make lock    renew requirements.lock from pyproject.toml

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLIENTS := .cache/clients
PACKAGES := openvswitch-switch dnsmasq-base haproxy radvd iptables ipset nftables conntrack ethtool iproute2 \
	keepalived conntrackd busybox-static dropbear-bin util-linux procps iputils-ping
MACHINE_PACKAGES := qemu-system-x86
TEST_PACKAGES := $(PACKAGES) $(MACHINE_PACKAGES) postgresql openssh-client openssl tcpdump curl
BENCH_PACKAGES := wrk

.PHONY: up down machines status test lint unit host-tests e2e tempest bench lock packages test-packages clients

up: packages $(VENV)/installed
	@$(BIN)/netloom up $(OPTIONS)

down: $(VENV)/installed
	@$(BIN)/netloom down $(OPTIONS)

machines:
	@tools/install-packages $(MACHINE_PACKAGES)
	@tools/guest-kernel

status: $(VENV)/installed
	@$(BIN)/netloom status

test: test-packages $(VENV)/developed clients lint
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin:/sbin" tests/run

lint: $(VENV)/developed
	@$(BIN)/ruff check netloom tests bench
	@$(BIN)/ruff format --check netloom tests bench
	@$(BIN)/mypy
	@$(BIN)/lint-imports

packages:
	@tools/install-packages $(PACKAGES)

test-packages:
	@tools/install-packages $(TEST_PACKAGES)
	@tools/guest-kernel

$(VENV)/bin/pip:
	@echo "virtual environment"; $(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml requirements.lock | $(VENV)/bin/pip
	@echo "Netloom's Python packages"
	@$(BIN)/pip install --quiet --constraint requirements.lock --editable .
	@touch $@

$(VENV)/developed: pyproject.toml requirements.lock | $(VENV)/bin/pip
	@echo "the developers' Python packages"
	@$(BIN)/pip install --quiet --constraint requirements.lock --editable .[dev]
	@touch $@ $(VENV)/installed

clients: $(CLIENTS)/modern/installed $(CLIENTS)/newton/installed $(CLIENTS)/liberty/installed $(CLIENTS)/tempest/installed \
	$(CLIENTS)/nova/installed

# The unmodified clients that the tests run (Nova is one, too), each in an environment of its own. Those of old name all that they need:
# what they ask for themselves excludes what runs on the Python of today.
$(CLIENTS)/newton/installed $(CLIENTS)/liberty/installed: AS_NAMED := --no-deps
$(CLIENTS)/%/installed: tests/clients/%.txt
	@echo "OpenStack clients ($*)"
	@$(PYTHON) -m venv $(CLIENTS)/$*
	@$(CLIENTS)/$*/bin/pip install --quiet $(AS_NAMED) --requirement $<
	@touch $@

tempest: test-packages $(VENV)/developed $(CLIENTS)/tempest/installed
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin:/sbin" $(BIN)/python -m tests.tempest $(OPTIONS)

bench: test-packages $(VENV)/developed
	@tools/install-packages $(BENCH_PACKAGES)
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin:/sbin" $(BIN)/python -m bench $(OPTIONS)

lock: $(VENV)/bin/pip
	@tools/lock
