# SPDX-License-Identifier: Apache-2.0
# libFuzzer targets: tests/fuzz/fuzz_NAME.c, with a kept corpus in tests/fuzz/corpus/NAME. What a run finds new goes to
# $(O)/fuzz/corpus/NAME, an input that crashes to $(O)/fuzz/NAME-crash-*.

FUZZ_SECONDS ?= 60
FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -include user/base/banned.h -Iinclude -Iuser -MMD -MP -g -O1 \
	-fno-omit-frame-pointer -fno-sanitize-recover=all
FUZZ_SRC := $(wildcard user/base/*.c user/probe/*.c user/decode/*.c user/ledger/*.c)
FUZZ_OBJ := $(FUZZ_SRC:%.c=$(O)/fuzz/%.o)
FUZZ_NAMES := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BIN := $(FUZZ_NAMES:%=$(O)/fuzz/fuzz_%)

.PHONY: fuzz

$(O)/fuzz/user/%.o: user/%.c
	@mkdir -p $(@D)
	$(call say,FUZZCC)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link,address,undefined -c $< -o $@

$(O)/fuzz/libfuzzed.a: $(FUZZ_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(FUZZ_BIN): $(O)/fuzz/%: tests/fuzz/%.c $(O)/fuzz/libfuzzed.a
	$(call say,FUZZ)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer,address,undefined $< $(O)/fuzz/libfuzzed.a -lelf -lseccomp -o $@

fuzz: $(FUZZ_BIN) ## every fuzzer for FUZZ_SECONDS=60 each (clang)
	@set -e; for name in $(FUZZ_NAMES); do \
		mkdir -p $(O)/fuzz/corpus/$$name; \
		kept=tests/fuzz/corpus/$$name; [ -d $$kept ] || kept=; \
		echo "fuzz $$name: $(FUZZ_SECONDS) s"; \
		$(O)/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=4096 -timeout=10 -max_len=16384 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=$(O)/fuzz/$$name- $(O)/fuzz/corpus/$$name $$kept; \
	done

-include $(wildcard $(O)/fuzz/user/*/*.d) $(FUZZ_BIN:=.d)
