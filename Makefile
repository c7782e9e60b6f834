# SPDX-License-Identifier: Apache-2.0
# vramtrace. `make help` lists targets and switches.

O ?= build
CC ?= cc
CLANG ?= clang
BPFTOOL ?= $(or $(shell command -v bpftool 2>/dev/null),/usr/sbin/bpftool)
PKG_CONFIG ?= pkg-config
PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
INCLUDEDIR ?= $(PREFIX)/include
CFLAGS ?= -O2 -g

BPF_ARCH := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(shell uname -m)))
ifeq ($(BPF_ARCH),x86)
# No instruction that others lack. The compiler's own choice clears each structure with `rep stos`, which takes 10 to 20 ns to begin.
TUNE := -mtune=skylake
endif
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef -Wpointer-arith
ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -include user/base/banned.h -Iinclude -Iuser -I$(O) -MMD -MP \
	-fno-omit-frame-pointer $(TUNE) $(WARN) $(CFLAGS)
ALL_LDFLAGS = $(LDFLAGS)

ifeq ($(WERROR),1)
WARN += -Werror
endif
ifneq ($(SAN),)
ALL_CFLAGS += -fsanitize=$(SAN) -fno-sanitize-recover=all
ALL_LDFLAGS += -fsanitize=$(SAN)
endif
ifeq ($(COVERAGE),1)
ALL_CFLAGS += --coverage -fprofile-update=atomic
ALL_LDFLAGS += --coverage
endif
ifeq ($(STATIC),1)
# Everything but libc: the binary runs on machines that have none of the libraries.
LIBS := -Wl,-Bstatic -lbpf -lelf -lz -lseccomp -Wl,-Bdynamic -lpthread
else
LIBS := -lbpf -lelf -lz -lseccomp -lpthread
endif
ifneq ($(V),1)
Q := @
say = @printf '  %-6s %s\n' $(1) $(patsubst $(O)/%,%,$@);
endif

USER_SRC := $(sort $(wildcard user/*/*.c))
USER_OBJ := $(USER_SRC:%.c=$(O)/%.o)
UNIT ?= test_*
UNIT_SRC := $(sort $(wildcard $(UNIT:%=tests/unit/%.c)))
UNIT_BIN := $(UNIT_SRC:%.c=$(O)/%)
SKEL := $(O)/vramtrace.skel.h
VERSION := $(shell git describe --always --dirty --tags 2>/dev/null || echo unknown)

.PHONY: all help unit coverage lint bench install uninstall clean check format gpu-tools FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(O)/vramtrace $(O)/vramtrace.8 $(O)/compile_commands.json ## build the tool and its manual (default)

help: ## this list
	@echo 'make [TARGET] [O=DIR] [SAN=address,undefined] [COVERAGE=1] [STATIC=1] [WERROR=1] [V=1]'
	@sed -n 's/^\([a-z][a-z_.-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo 'O=DIR build folder; SAN= sanitizers; COVERAGE=1 gcov; STATIC=1 all but libc linked in; WERROR=1 warnings are'
	@echo 'errors; V=1 whole commands; UNIT='"'"'test_x test_y*'"'"' only these unit tests; VMLINUX_H=FILE instead of this kernel'"'"'s types;'
	@echo 'DESTDIR=, PREFIX= for install.'

# --- BPF ---------------------------------------------------------------------------------------------------------------
$(O)/vmlinux.h:
	@mkdir -p $(@D)
	$(call say,BTF)
	$(Q)$(if $(VMLINUX_H),cp $(VMLINUX_H) $@,$(BPFTOOL) btf dump file /sys/kernel/btf/vmlinux format c > $@)

$(O)/bpf/%.bpf.o: bpf/%.bpf.c $(O)/vmlinux.h
	@mkdir -p $(@D)
	$(call say,BPF)
	$(Q)$(CLANG) -target bpf -D__TARGET_ARCH_$(BPF_ARCH) -O2 -g -mcpu=v3 -Wall -Werror -Wno-unused-function \
		-Iinclude -I$(O) -MMD -MP -MF $(@:.o=.d) -c $< -o $@

$(O)/%.skel.h: $(O)/bpf/%.bpf.o
	$(call say,SKEL)
	$(Q)$(BPFTOOL) gen skeleton $< name $*_bpf > $@

# --- user --------------------------------------------------------------------------------------------------------------
$(O)/version.h: FORCE
	@mkdir -p $(@D)
	@echo '#define VRAMTRACE_VERSION "$(VERSION)"' | cmp -s - $@ || echo '#define VRAMTRACE_VERSION "$(VERSION)"' > $@

$(O)/user/%.o: user/%.c | $(SKEL) $(O)/version.h
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@
	@printf '{"directory":"%s","file":"%s","arguments":["cc","-std=gnu11","-D_GNU_SOURCE","-Iinclude","-Iuser","-I%s","-c","%s"]},\n' \
		'$(CURDIR)' '$<' '$(O)' '$<' > $(@:.o=.cmd)

# The JSON schema and the manual's table travel inside the binary.
$(O)/user/sink/schema.o: user/sink/json-schema.json

$(O)/libvramtrace.a: $(USER_OBJ)
	$(call say,AR)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(O)/vramtrace: $(O)/user/main.o $(O)/libvramtrace.a
	$(call say,LD)
	$(Q)$(CC) $(ALL_LDFLAGS) $^ $(LIBS) -o $@

$(O)/compile_commands.json: $(O)/user/main.o $(USER_OBJ)
	@{ echo '['; cat $(^:.o=.cmd) | sed '$$ s/,$$//'; echo ']'; } > $@

$(O)/vramtrace.8: tools/man/vramtrace.8.in include/vramtrace/probes.def tools/gen-probe-table
	@mkdir -p $(@D)
	$(call say,MAN)
	$(Q)tools/gen-probe-table tools/man/vramtrace.8.in include/vramtrace/probes.def > $@

# --- tests -------------------------------------------------------------------------------------------------------------
$(O)/tests/unit/%: tests/unit/%.c $(O)/libvramtrace.a
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(ALL_CFLAGS) -Itests/unit $(ALL_LDFLAGS) $< $(O)/libvramtrace.a $(LIBS) -lcmocka -o $@

# One test of several files.
MODEL_OBJ := $(patsubst %.c,$(O)/%.o,$(wildcard tests/unit/model/*.c))

$(O)/tests/unit/model/%.o: tests/unit/model/%.c
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(ALL_CFLAGS) -c $< -o $@

$(O)/tests/unit/test_ledger_whole: tests/unit/test_ledger_whole.c $(MODEL_OBJ) $(O)/libvramtrace.a
	@mkdir -p $(@D)
	$(call say,TEST)
	$(Q)$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS) $(filter %.c %.o,$^) $(O)/libvramtrace.a $(LIBS) -lcmocka -o $@

unit: $(UNIT_BIN) ## unit and property tests (no root needed)
	@tools/run-unit $(O) $(UNIT_BIN)

coverage: ## what the unit tests reach; fails if that is too little of the ledger (no root)
	@tools/coverage $(O) --clear
	@$(MAKE) --no-print-directory unit O=$(O)/cov COVERAGE=1 CFLAGS='-O0 -g'
	@tools/coverage $(O)

check: ## everything: what CI runs (root)
	@tools/check

lint: ## house rules: layers, symbols, sizes, format
	@tools/lint

format: ## clang-format in place
	@git ls-files -co --exclude-standard '*.[ch]' | grep -v '^bpf/vmlinux' | xargs clang-format -i

include tests/sim/sim.mk tests/prog/prog.mk tests/fuzz/fuzz.mk tests/bench/bench.mk tests/abi/abi.mk

# --- install -----------------------------------------------------------------------------------------------------------
install: all ## into DESTDIR/PREFIX
	install -D -m 0755 $(O)/vramtrace $(DESTDIR)$(SBINDIR)/vramtrace
	install -D -m 0644 $(O)/vramtrace.8 $(DESTDIR)$(MANDIR)/man8/vramtrace.8

uninstall: ## what install brought
	rm -f $(DESTDIR)$(SBINDIR)/vramtrace $(DESTDIR)$(MANDIR)/man8/vramtrace.8

clean: ## remove the build folder
	rm -rf $(O)

-include $(USER_OBJ:.o=.d) $(O)/user/main.d $(wildcard $(O)/bpf/*.d) $(wildcard $(O)/tests/unit/*.d $(O)/tests/unit/model/*.d)
