# Everything a developer or a curious user runs. `make` alone lists it.

CARGO ?= cargo

.PHONY: help demo test torture bench fmt peers clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## build, then show the main job on real captured events (Ctrl-C ends it)
	@scripts/demo

test: peers ## install what the tests need, then run every test
	$(CARGO) test --workspace --all-features --locked

torture: peers ## kill, fill, corrupt and poison it, at length; prints the figures
	CONCHE_TORTURE=long $(CARGO) test -p conche --all-features --locked --test it torture -- --nocapture --test-threads=1
	CONCHE_TORTURE=long $(CARGO) test -p conche-store --all-features --locked --test it sqlite -- --nocapture --test-threads=1
	$(CARGO) test -p conche-script --all-features --locked --test it -- hostile pool probes --nocapture
	$(CARGO) test -p conche-modules --all-features --locked --lib --test it schedule
	$(CARGO) test -p conche-api --all-features --locked --test it every_route
	CONCHE_FUZZ=100000 $(CARGO) test -p conche-testkit --all-features --locked --test it fuzz
	CONCHE_FUZZ=20000 $(CARGO) test -p conche --all-features --locked --test it fuzz_

bench: ## measure it: one table of ratios and absolute figures
	$(CARGO) build --release --locked
	target/release/conche bench

peers: ## install the real servers that tests talk to
	@scripts/peers

fmt: ## format the code
	$(CARGO) fmt --all

clean: ## remove what was built and what the demo left
	$(CARGO) clean
	rm -rf demo-data
