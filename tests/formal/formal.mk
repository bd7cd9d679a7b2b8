# formal.mk - proofs; docs/formal.md says of what.
# SPDX-License-Identifier: Apache-2.0

# The quick ones are part of `make test`.
FORMAL_TESTS := tests/formal/handshake.sh tests/formal/kinds.sh

.PHONY: formal
formal: ## every proof, also those too slow for make test
	@TEST_TIMEOUT=20000 $(RUN_TESTS) --suite formal --env FULL=1 $(FORMAL_TESTS)
