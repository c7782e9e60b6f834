# SPDX-License-Identifier: Apache-2.0
# NVIDIA's headers and libraries, as they are, against what the probe table says of them.

ABI_O := $(O)/tests/abi
CUDA_HOME ?= /usr/local/cuda

$(ABI_O)/exports: tests/abi/exports.c $(O)/libvramtrace.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(O)/libvramtrace.a $(LIBS) -o $@

$(ABI_O)/call: tests/abi/call.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< -ldl -o $@

.PHONY: abi check-abi
abi: $(ABI_O)/exports $(ABI_O)/call $(O)/vramtrace ## real libraries of NVIDIA, fetched: what is probed, absent, new (root)
	@CUDA_HOME=$(CUDA_HOME) tests/abi/run $(O)

check-abi: ## the CUDA toolkit's headers, and older ones, fetched (1.5 GB once), against the probe table (CUDA_HOME=DIR)
	@CXX='$(CXX)' CUDA_HOME=$(CUDA_HOME) tests/abi/check-headers $(O)
