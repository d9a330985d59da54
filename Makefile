# Every target for people has a description after "##", which `make help` prints.
SHELL := /bin/bash
# With -j too: build-go embeds what web builds. The go command uses all processors by itself.
.NOTPARALLEL:
.DEFAULT_GOAL := help

# All programs are statically linked: each is one file that runs on any Linux distribution. For --wrap see
# internal/sandbox/goruntime.c.
SHIM_TAGS := seccomp,netgo,osusergo,shim
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# The programs don't contain the state of git, so that the same sources give the same bytes, wherever they are.
GOBUILD := go build -trimpath -buildvcs=false
BIN := bin
PAGES := .build/pages

# The folders for make install. DESTDIR comes before each of them.
PREFIX := /usr/local
MANDIR := $(PREFIX)/share/man
BASHDIR := $(PREFIX)/share/bash-completion/completions
ZSHDIR := $(PREFIX)/share/zsh/site-functions
FISHDIR := $(PREFIX)/share/fish/vendor_completions.d
LDFLAGS := -s -w -X github.com/mayfly-run/mayfly/internal/program.version=$(VERSION)
SHIM_LDFLAGS := $(LDFLAGS) -linkmode external -extldflags "-static -Wl,--wrap=mmap -Wl,--wrap=pthread_create"

# Packages whose tests make real sandboxes. They run one at a time, since each checks that it leaves nothing on the host.
REAL_TESTS = $(filter-out %/test/layers %/test/makefile %/test/release %/test/web,$(shell go list ./test/...))
REAL = ./internal/oci/... ./internal/cli/... $(REAL_TESTS)
PURE = $(filter-out $(shell go list $(REAL) ./sdk/... ./test/web),$(shell go list ./...))
FUZZTIME := 3s
# Ends a package whose tests hang. It isn't a limit on the time of tests, which have their own limits for what they wait for.
PATIENCE := 3h
TOOLS := .build/tools
export MAYFLY_TEST_BIN := $(CURDIR)/bin

.PHONY: help
help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## install the Debian packages that building and testing need (as root)
	@test/setup.sh

.PHONY: build
build: libseccomp web build-go ## build bin/mayfly, bin/mayflyd, bin/mayfly-shim and bin/mayfly-cel
	CGO_ENABLED=1 $(GOBUILD) -tags $(SHIM_TAGS) -ldflags '$(SHIM_LDFLAGS)' -o $(BIN)/mayfly-shim ./cmd/mayfly-shim

.PHONY: libseccomp
libseccomp:
	@pkg-config --exists libseccomp || { echo "make build: libseccomp's header files are missing; run 'make setup' first" >&2; exit 1; }

.PHONY: build-go
build-go: ## build the programs in pure Go, which need no C compiler
	CGO_ENABLED=0 $(GOBUILD) -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/mayfly ./cmd/mayflyd ./cmd/mayfly-cel

# The pages of the server, which mayflyd contains. Without them it has a page that says so.
.PHONY: web
web: web/dist/index.html ## build the pages of the server

WEB_MODULES := web/node_modules/.package-lock.json
WEB_CONFIG := web/package.json web/package-lock.json web/.npmrc
WEB_SOURCES := $(shell find web/src web/public -type f ! -name '*.test.ts' ! -path web/src/api/schema.ts 2>/dev/null)
NPM = command -v npm >/dev/null || { echo "make web: npm is missing; run 'make setup' first, or build without the pages with 'make build-go'" >&2; exit 1; }

$(WEB_MODULES): $(WEB_CONFIG)
	@$(NPM)
	npm ci --prefix web --no-progress --loglevel=error
	@touch $@

web/dist/index.html: $(WEB_MODULES) $(WEB_SOURCES) $(wildcard web/*.html web/*.ts web/*.js) web/tsconfig.json
	@$(NPM)
	@find web/dist -mindepth 1 ! -name placeholder.html -delete
	npm run --prefix web --silent build -- --logLevel warn

# The types of the API, of which only the checks know.
web/src/api/schema.ts: $(WEB_MODULES) web/types.mjs $(shell find internal/api internal/server internal/run internal/engine -name '*.go' ! -name '*_test.go' 2>/dev/null)
	go run ./release/openapi | (cd web && node types.mjs)

.PHONY: lint-web
lint-web: web/src/api/schema.ts ## check the pages' types and format
	cd web && npm run --silent lint && npm run --silent check

.PHONY: pages
pages: ## write the man pages and the shell completions to .build/pages
	@GOOS= GOARCH= CC= CGO_ENABLED=0 go run ./release/pages -version '$(VERSION)' $(PAGES)

.PHONY: install
install: build pages ## install programs, man pages and completions below DESTDIR and PREFIX (/usr/local)
	install -d $(addprefix $(DESTDIR),$(PREFIX)/bin $(MANDIR)/man1 $(BASHDIR) $(ZSHDIR) $(FISHDIR))
	install -m 755 $(addprefix $(BIN)/,mayfly mayflyd mayfly-shim mayfly-cel) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(PAGES)/man1/*.1 $(DESTDIR)$(MANDIR)/man1
	install -m 644 $(PAGES)/bash/mayfly $(DESTDIR)$(BASHDIR)
	install -m 644 $(PAGES)/zsh/_mayfly $(DESTDIR)$(ZSHDIR)
	install -m 644 $(PAGES)/fish/mayfly.fish $(DESTDIR)$(FISHDIR)

.PHONY: release
release: ## write tarballs, Debian packages, SBOMs and checksums to .build/release (as root: it installs a cross compiler)
	VERSION='$(VERSION)' release/build.sh .build/release amd64 arm64

.PHONY: images
images: setup ## build the project's base images from Debian packages
	images/build.sh

.PHONY: server-image
server-image: build-go ## write an image of the server, FROM scratch and not root, to .build/server.tar
	release/server-image.sh $(BIN) .build/server.tar

.PHONY: demo
demo: setup build images ## run a real tool end to end (as root)
	test/demo.sh

.PHONY: test
test: setup build test-tools ## run everything that CI runs, and list what failed (as root)
	test/all.sh lint lint-web vet cross test-race test-bounds fuzz-smoke + test-images test-sandbox test-programs test-web-build test-web test-gvisor test-python test-go

.PHONY: test-images
test-images:
	images/build.sh $(TEST_IMAGES)

# The images in which tests run tools.
TEST_IMAGES := busybox shell python kubectl clients java

# Tests with bounds in time or megabytes, or with so much work that the race detector takes minutes. Smaller tests run the same
# code under the race detector.
BOUNDS := ^Test(AddIsLinear|HostileDefinitions|LargeTransfer|UnpackRefusesFiveMillionEntries|PullStopsBombs|UnpackBoundsDirectoryNames|LookupIsFast|LoadRefusesHostileArchives|ManyConnections|ManyMockedConnections|PlanScale|RepetitiveSecret|StreamingNeedsLittleMemory|TooManyFolders|WorkflowLimits)$$

# SQLite, which is translated from C, takes three times as long with the race detector. The code that uses it still runs with it.
OTHERS := -gcflags=modernc.org/sqlite/lib=-race=false

.PHONY: test-pure
test-pure: test-tools ## test the packages that need no sandbox
	@test/all.sh test-race test-bounds

.PHONY: test-race
test-race: test-tools
	go test -race $(OTHERS) -timeout $(PATIENCE) -skip '$(BOUNDS)' $(PURE)

.PHONY: test-bounds
test-bounds: test-tools
	go test -p 1 -timeout $(PATIENCE) -run '$(BOUNDS)' $(PURE)

.PHONY: test-real
test-real: build test-tools ## test real sandboxes, and that they leave nothing (as root)
	images/build.sh $(TEST_IMAGES)
	@test/all.sh test-sandbox test-programs

.PHONY: test-sandbox
test-sandbox:
	go test -race -p 1 -count=1 -timeout $(PATIENCE) ./internal/oci/... ./internal/cli/...

# These tests run the built programs, which have no race detector.
.PHONY: test-programs
test-programs: test-tools
	go test -p 1 -count=1 -timeout $(PATIENCE) $(REAL_TESTS)

# The pages, in a real browser with a real server and real sandboxes.
.PHONY: test-web
test-web: web build-go ## test the pages in a browser (as root)
	cd web && npm run --silent unit
	go test -count=1 -timeout $(PATIENCE) ./test/web

# The pictures of the pages in docs, with the tests that make them: the file and a part of the name of each, for vitest.
PICTURES := overview-light overview-dark runs-light run-usage-light log-light tool-run-light workflow-light workflow-dark builder-ran-light \
	builder-form-light dev-light dev-failed-light settings-members-light
PICTURED := $(addprefix test/,$(addsuffix .test.ts,overview run runpage log tools workflow builder dev settings)) \
	-t looks.what.goes.on|signs.in,.sees|what.a.run.has.made|colours,.groups|finds.a.tool,|why.a.release.failed|empty.page.to|are.the.same.document|tools.of.a.folder|makes.a.token

.PHONY: pictures
pictures: web build-go ## take the pictures of the pages in docs/pictures (as root)
	rm -rf .build/pictures
	MAYFLY_PICTURES=$(CURDIR)/.build/pictures MAYFLY_WEB_TESTS='$(PICTURED)' go test -count=1 -timeout $(PATIENCE) ./test/web
	mkdir -p docs/pictures
	for p in $(PICTURES); do install -m 644 .build/pictures/$$p.png docs/pictures/ || exit; done
	if command -v optipng >/dev/null; then optipng -quiet docs/pictures/*.png; fi

# A sample for make test: test-full builds more often, and runs the checks with Node 18 as well.
.PHONY: test-web-build
test-web-build: web web/src/api/schema.ts ## test that the pages are the same bytes wherever they are built, and with Node 18 (as root)
	test/web-build.sh

.PHONY: test-sdk
test-sdk: build ## test the SDKs for Python and Go with real sandboxes (as root)
	images/build.sh shell python
	@test/all.sh test-python test-go

.PHONY: test-python
test-python:
	cd sdk/python && python3 -m unittest

.PHONY: test-go
test-go:
	go test -race -count=1 -timeout $(PATIENCE) ./sdk/...

.PHONY: test-slow
test-slow: build ## run the reference's example of a test unchanged: its script waits for five minutes (as root)
	images/build.sh python
	test/example.sh

.PHONY: test-security
test-security: build ## run the attacks of the security profile (as root)
	go test -p 1 -count=1 -timeout $(PATIENCE) -v -run '^Test[IMNS][0-9][0-9]' ./internal/... ./test/...

# A sample for make test: the attacks that take seconds and whose results depend on the kernel.
GVISOR_SAMPLE := ^Test(I01|I06_ReadOnly|I07_NoDevices|I08|I09_Denied|I10|I12|I13_Hosts|I14_Fork|I16_FullDisk|M08|N02|N04_Raw)

.PHONY: test-gvisor
test-gvisor:
	MAYFLY_TEST_ENGINE=gvisor go test -p 1 -count=1 -timeout $(PATIENCE) -run '$(GVISOR_SAMPLE)' ./test/security ./test/network

.PHONY: test-security-gvisor
test-security-gvisor: build ## run the attacks on gVisor, whose sandboxes have their own kernel: ten minutes (as root)
	MAYFLY_TEST_ENGINE=gvisor go test -p 1 -count=1 -timeout $(PATIENCE) -v ./test/security ./test/network

.PHONY: test-full
test-full: build ## run the long tests at full length: 10 GB of log, 200 cancelled runs, 225 links of images, 100 kills of a workflow, 1,000 items, four builds of the pages (as root)
	MAYFLY_TEST_FULL=1 go test -p 1 -count=1 -timeout $(PATIENCE) -v -run '^TestI(04|17|18)' ./test/security
	MAYFLY_TEST_FULL=1 go test -count=1 -timeout $(PATIENCE) -v -run '^TestKilled|^TestManyItems' ./test/workflow
	MAYFLY_TEST_FULL=1 $(MAKE) --no-print-directory test-web-build

# The faults that a server and its runners survive, and requests derived from the API's description. A sample of each is in make test.
#
#	killed servers, runners and sandboxes   TestKills, TestKilledRunner, TestRestart, TestWorkflowOutlivesTheServer
#	histories against a model               TestKills; Histories of package sqlstore
#	a stopped runner                        TestStopped
#	a server that is away                   TestServerAway
#	a power loss                            TestPowerLoss
#	a partition from the database           TestPartition; TestPostgresRestarts of package sqlstore
#	a full disk                             TestDiskFull, TestRunnerDiskFull
#	clocks an hour apart                    TestClocks
#	a cancel across servers                 TestCancelReaches
#	a canary secret                         TestCanary, TestSearcher, TestSecrets, TestTraces
#	roles, and every endpoint fuzzed        TestRoles, TestAnswersAsDescribed of package server
FAULTS := ^Test(Kills|KilledRunner|PowerLoss|Stopped|DiskFull|RunnerDiskFull|WorkflowOutlivesTheServer|Restart|ServerAway|Clocks|Partition|CancelReaches|Canary|Searcher|Secrets|Traces)$$

.PHONY: test-faults
test-faults: build ## kill the server, its runners and sandboxes 100 times, take its power, its disk, its clock, its network and its database: half an hour (as root)
	MAYFLY_TEST_FULL=1 go test -count=1 -timeout $(PATIENCE) -v -run '$(FAULTS)' ./test/server
	go test -count=20 -timeout $(PATIENCE) -run '^Test(SQLite|Postgres)$$/^Histories$$|^TestPostgres$$/^Replicas$$/^Histories$$|^TestHistoriesCanFail$$' ./internal/store/sqlstore
	go test -count=5 -timeout $(PATIENCE) -run '^TestPostgresRestarts' ./internal/store/sqlstore
	go test -count=1 -timeout $(PATIENCE) -run '^Test(Roles|AnswersAsDescribed)$$' ./internal/server -rapid.checks=5000 -rapid.nofailfile

.PHONY: test-release
test-release: release ## test the whole release, and that two builds without a cache are the same (as root)
	MAYFLY_TEST_RELEASE=$(CURDIR)/.build/release go test -count=1 -timeout $(PATIENCE) -run '^TestRelease' ./test/release
	MAYFLY_TEST_FULL=1 go test -count=1 -timeout 60m -run '^TestReproducible' ./test/release

.PHONY: test-vm
test-vm: ## test on cgroup v2, systemd and Debian's kernel, in an emulated machine: half an hour (as root)
	test/vm/run.sh

.PHONY: fuzz-smoke
fuzz-smoke: ## fuzz each parser for FUZZTIME
	test/fuzz.sh $(FUZZTIME)

.PHONY: check
check: lint vet cross ## lint, vet, and build for the other systems

$(TOOLS)/%: tools/go.mod tools/go.sum
	cd tools && go build -o ../$(TOOLS)/ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $(TOOLS)/*

$(TOOLS)/versitygw: tools/s3/go.mod tools/s3/go.sum
	cd tools/s3 && CGO_ENABLED=0 go build -o ../../$(TOOLS)/ github.com/versity/versitygw/cmd/versitygw
	@touch $@

.PHONY: test-tools
test-tools: $(TOOLS)/versitygw ## build the server for S3 that tests start

.PHONY: lint
lint: $(TOOLS)/golangci-lint ## run golangci-lint as configured
	$(TOOLS)/golangci-lint run --allow-parallel-runners

.PHONY: format
format: $(TOOLS)/golangci-lint ## format the code
	$(TOOLS)/golangci-lint fmt

.PHONY: vet
vet: ## run go vet
	go vet ./...

.PHONY: cross
cross: ## build the programs in pure Go for macOS and Windows
	GOOS=darwin GOARCH=arm64 CGO_ENABLED=0 $(GOBUILD) -o /dev/null ./cmd/mayfly ./cmd/mayflyd ./cmd/mayfly-cel
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 $(GOBUILD) -o /dev/null ./cmd/mayfly ./cmd/mayflyd ./cmd/mayfly-cel

.PHONY: bench-server
bench-server: build ## measure the server's budgets (as root)
	images/build.sh busybox
	go run ./bench/server $(BENCHFLAGS)

.PHONY: bench-web
bench-web: build ## measure the pages' budgets in a browser (as root)
	MAYFLY_BUDGETS=1 MAYFLY_WEB_TESTS=test/budgets.test.ts go test -v -count=1 -timeout $(PATIENCE) ./test/web

.PHONY: bench
bench: setup build images ## measure the budgets beside docker, podman and runc (as root)
	bench/run.sh $(BENCHFLAGS)

.PHONY: bench-masks
bench-masks: setup build ## measure masking on the output of real programs (as root)
	bench/masks.sh

.PHONY: bench-sqlite
bench-sqlite: ## compare drivers for SQLite under the load of a server
	go run -C bench/sqlite . $(BENCHFLAGS)

.PHONY: clean
clean: ## remove everything that was built
	rm -rf bin .build web/node_modules web/src/api/schema.ts
	find web/dist -mindepth 1 ! -name placeholder.html -delete
