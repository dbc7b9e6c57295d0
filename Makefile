# The same few commands for everybody; .ci/run runs them all on a clean clone.

STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME   ?= 10s

# lab-short: where its runs go, other runs to show beside them, runs at a time (default: one for each core).
SHORT   ?= $(CURDIR)/.lab-short
AGAINST ?=
JOBS    ?=

# image: its name, and the processor that it is for.
IMAGE     ?= pulsering:dev
IMAGEARCH ?= $(shell go env GOARCH)

.PHONY: all test race lint e2e fuzz bench demo image lab lab-short phi

all: lint test race e2e fuzz

test: ## What the README says: clusters in virtual time, a few loopback sockets, three minutes
	go test ./...

race: ## The same under the race detector, ten minutes
	.ci/race

lint: ## gofmt, vet, staticcheck, and that other systems and processors still build
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not gofmt-clean:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags e2e ./...
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags e2e ./...
	CGO_ENABLED=0 GOOS=darwin go build ./...
	CGO_ENABLED=0 GOOS=windows go build ./...
	CGO_ENABLED=0 GOARCH=arm64 go vet ./detector # its assembly
	CGO_ENABLED=0 GOARCH=386 go build ./...

e2e: ## Real processes, real sockets, real signals, on loopback and across network namespaces
	go test -tags e2e -count=1 -timeout 20m ./cmd/... ./cluster/web/... ./deploy/... ./detector/... ./examples/... ./internal/supervise/...

fuzz: ## Every decoder of anything from the network, FUZZTIME each
	@for target in $$(grep -rho --include='*_test.go' 'func Fuzz[A-Za-z0-9_]*' . | sed 's/func //' | sort -u); do \
		dir=$$(grep -rl --include='*_test.go' "func $$target(" . | head -n 1 | xargs dirname); \
		echo "$$target in $$dir"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
	done

bench: ## Every benchmark, one short run each
	go test -run '^$$' -bench . -benchtime 100ms -benchmem ./...

mutants: ## Small mistakes in cluster, and which of them its tests do not notice; an hour
	go run ./internal/mutants $(if $(SEED),-seed $(SEED)) -quick "Scenarios|Model|Listen" ./cluster ./cluster/internal/*

lab: ## The whole series of cluster experiments into docs/results, hours; Ctrl-C, and run again to go on
	go test ./cluster/lab -run '^TestLab$$' -timeout 0 -v -args -series

lab-short: ## What a change of the protocol runs before (SHORT=folder) and after (AGAINST=folder): a table, under 20 minutes; resumable
	go test ./cluster/lab -run '^TestLab$$' -timeout 0 -v -args -shortlist -results='$(abspath $(SHORT))' \
		$(if $(AGAINST),-against='$(abspath $(AGAINST))') $(if $(JOBS),-jobs=$(JOBS))

phi: ## The calibration of φ under four seeds and its competitors into docs/results, about half an hour
	go test ./internal/qos -run '^Test(Results|Quality|Timeouts|Tuning)$$' -timeout 0 -v -args -full -out=$(CURDIR)/docs/results

demo:
	go run ./cmd/pulsering demo

image: ## A container image of the command, which draws no pictures there: fonts take a quarter of a binary
	rm -rf .image && mkdir -p .image/state
	CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGEARCH) go build -tags noplot -trimpath -ldflags='-s -w' -o .image/pulsering ./cmd/pulsering
	docker build --platform linux/$(IMAGEARCH) -t $(IMAGE) \
		--label org.opencontainers.image.version=$$(go version -m .image/pulsering | awk '$$1 == "mod" { print $$3 }') .
