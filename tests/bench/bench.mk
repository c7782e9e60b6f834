# SPDX-License-Identifier: Apache-2.0
# What tracing costs, against the floor of empty probes; root but for the ledger's part.

BENCH_O := $(O)/tests/bench
# As NVIDIA builds: every function begins with push %rbp; an endbr64 there would cost five times as much per hit.
BENCH_CFLAGS := -std=gnu11 -O2 -g -Iinclude -fcf-protection=none -fno-omit-frame-pointer -fno-optimize-sibling-calls

$(BENCH_O)/libcuda.so.1: tests/bench/library.c include/vramtrace/probes.def
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(BENCH_CFLAGS) -DLAYER_DRIVER -shared -fPIC -Wl,-soname,libcuda.so.1 -Wl,--build-id $< -o $@

$(BENCH_O)/libcudart.so.13: tests/bench/library.c include/vramtrace/probes.def $(BENCH_O)/libcuda.so.1
	$(call say,CC)
	$(Q)$(CC) $(BENCH_CFLAGS) -DLAYER_RUNTIME -shared -fPIC -Wl,-soname,libcudart.so.13 -Wl,--build-id $< \
		$(BENCH_O)/libcuda.so.1 '-Wl,-rpath,$$ORIGIN' -o $@

$(BENCH_O)/target: tests/bench/target.c $(BENCH_O)/libcudart.so.13
	$(call say,CC)
	$(Q)$(CC) $(BENCH_CFLAGS) $< $(BENCH_O)/libcudart.so.13 $(BENCH_O)/libcuda.so.1 '-Wl,-rpath,$$ORIGIN' -o $@

$(BENCH_O)/crowd: tests/bench/crowd.c $(BENCH_O)/libcudart.so.13
	$(call say,CC)
	$(Q)$(CC) $(BENCH_CFLAGS) -pthread $< $(BENCH_O)/libcudart.so.13 $(BENCH_O)/libcuda.so.1 '-Wl,-rpath,$$ORIGIN' -o $@

$(BENCH_O)/%.bpf.o: tests/bench/%.bpf.c
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) -target bpf -O2 -g -mcpu=v3 -Wall -I/usr/include/$(shell uname -m)-linux-gnu -c $< -o $@

$(BENCH_O)/rings: tests/bench/rings.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -pthread $< $(LIBS) -o $@

$(BENCH_O)/floor: tests/bench/floor.c include/vramtrace/probes.def
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -Iinclude $< $(LIBS) -o $@

$(BENCH_O)/attach_time: tests/bench/attach_time.c $(O)/libvramtrace.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $< $(O)/libvramtrace.a $(LIBS) -o $@

$(BENCH_O)/ledger: tests/bench/ledger.c tests/bench/stage.c tests/bench/stage.h tests/bench/pauses.h $(O)/libvramtrace.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(filter %.c,$^) $(O)/libvramtrace.a -o $@

.PHONY: bench-parts bench-throughput bench-ledger
bench-parts: $(BENCH_O)/target $(BENCH_O)/floor $(BENCH_O)/floor.bpf.o $(BENCH_O)/crowd $(BENCH_O)/rings $(BENCH_O)/rings.bpf.o

bench: bench-parts $(BENCH_O)/attach_time $(O)/vramtrace bench-ledger ## what tracing costs and keeps up with, against empty probes and bpftrace (root)
	@tests/bench/run $(BENCH_O) $(O)/vramtrace
	@tests/bench/throughput $(BENCH_O) $(O)/vramtrace

bench-throughput: bench-parts $(O)/vramtrace ## only what it keeps up with (root)
	@tests/bench/throughput $(BENCH_O) $(O)/vramtrace

bench-ledger: $(BENCH_O)/ledger ## only what a block costs in the ledger: bytes, time, pauses (no root)
	@$(BENCH_O)/ledger
