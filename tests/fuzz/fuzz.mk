# SPDX-License-Identifier: Apache-2.0
# libFuzzer targets: tests/fuzz/fuzz_NAME.c, with a kept corpus in tests/fuzz/corpus/NAME; tests/fuzz/run says where a run leaves things.

FUZZ_SECONDS ?=
FUZZ_RUNS ?=
FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -include user/base/banned.h -Iinclude -Iuser -MMD -MP -g -O1 \
	-fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_SRC := $(wildcard user/base/*.c user/probe/*.c user/decode/*.c user/ledger/*.c user/source/*.c user/symbol/*.c)
FUZZ_OBJ := $(FUZZ_SRC:%.c=$(O)/fuzz/%.o)
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_NAMES:%=$(O)/fuzz/fuzz_%)

.PHONY: fuzz fuzz-coverage

$(O)/fuzz/user/%.o: user/%.c
	@mkdir -p $(@D)
	$(call say,FUZZCC)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@

# This file too: with .SECONDARY a folder that is added here would else be no reason.
$(O)/fuzz/libfuzzed.a: $(FUZZ_OBJ) tests/fuzz/fuzz.mk
	$(Q)rm -f $@ && $(AR) rcs $@ $(FUZZ_OBJ)

$(FUZZ_BIN): $(O)/fuzz/%: tests/fuzz/%.c $(O)/fuzz/libfuzzed.a
	$(call say,FUZZ)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined $< $(O)/fuzz/libfuzzed.a $(LIBS) -o $@

fuzz: $(FUZZ_BIN) ## every fuzzer for FUZZ_SECONDS=60, or FUZZ_RUNS=N times, a CPU each (clang)
	@tests/fuzz/run $(FUZZ_SECONDS:%=--seconds %) $(FUZZ_RUNS:%=--runs %) $(O) $(FUZZ_NAMES)

# Without sanitizers: what the inputs that were found, and those that are kept, reach of decode/ and ledger/.
$(O)/fuzz/coverage_ledger: tests/fuzz/fuzz_ledger.c tests/fuzz/ledger_lives.h tests/fuzz/ledger_recount.h $(FUZZ_SRC)
	$(call say,FUZZ)
	$(Q)$(CLANG) $(filter-out -MMD -MP,$(FUZZ_CFLAGS)) -fsanitize=fuzzer -fprofile-instr-generate -fcoverage-mapping $< \
		$(wildcard user/base/*.c user/decode/*.c user/ledger/*.c) user/probe/table.c $(LIBS) -o $@

fuzz-coverage: $(O)/fuzz/coverage_ledger ## lines of decode/ and ledger/ that the inputs of the ledger's fuzzer reach
	@mkdir -p $(O)/fuzz/corpus/ledger
	@LLVM_PROFILE_FILE=$(O)/fuzz/ledger.profraw $< -runs=0 $(O)/fuzz/corpus/ledger tests/fuzz/corpus/ledger 2>/dev/null
	@llvm-profdata merge -o $(O)/fuzz/ledger.profdata $(O)/fuzz/ledger.profraw
	@llvm-cov report $< -instr-profile $(O)/fuzz/ledger.profdata user/decode user/ledger -show-region-summary=false \
		-show-branch-summary=false

-include $(wildcard $(O)/fuzz/user/*/*.d) $(FUZZ_BIN:=.d)
