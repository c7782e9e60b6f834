# SPDX-License-Identifier: Apache-2.0
# The small programs, each against the shared runtime (NAME) and the static one (NAME-static) of the
# simulation. Included by the top Makefile after sim.mk. They find the simulated libraries beside
# themselves, without LD_LIBRARY_PATH.

prog_dir := tests/prog
prog_out := $(O)/prog
prog_names := $(basename $(notdir $(wildcard $(prog_dir)/*.c)))
prog_needs := $(wildcard $(prog_dir)/*.h) $(prog_dir)/prog.mk $(sim_headers) $(sim_libs)

PROG_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -fno-omit-frame-pointer -fno-optimize-sibling-calls \
	-pthread -Wall -Wextra -Wshadow -I$(sim_dir)/include
PROG_LDFLAGS := -pthread -Wl,-rpath,'$$ORIGIN/../sim'

prog_static := $(sim_out)/libcudart_static.a
prog_shared := -L$(sim_out) -lcudart
prog_driver := -L$(sim_out) -lcuda
# What NAME is linked with where it is not the shared runtime: the driver alone, both, nothing, and the
# static runtime, beside which it opens the shared one. And NAME-static, where it is not the static one.
define prog_on_driver
prog_with_$(1) := $(prog_driver)
prog_static_with_$(1) := $(prog_driver)
endef
define prog_on_both
prog_with_$(1) := $(prog_shared) -lcuda
prog_static_with_$(1) := $(prog_static) $(prog_driver)
endef
$(foreach name,driver hidden vmm vmmshare code multicast checkpoint,$(eval $(call prog_on_driver,$(name))))
$(foreach name,contexts devices external failures instance mixed,$(eval $(call prog_on_both,$(name))))
prog_with_dlopen := -ldl
prog_with_tworuntimes := $(prog_static)

$(prog_out)/ptszgraph $(prog_out)/ptszgraph-static: $(prog_dir)/graph.c

.PHONY: progs
progs: sim $(prog_names:%=$(prog_out)/%) $(prog_names:%=$(prog_out)/%-static) ## the small CUDA programs

$(prog_out)/%-static: $(prog_dir)/%.c $(prog_needs)
	@mkdir -p $(@D)
	$(call say,PROG)
	$(Q)$(CC) $(PROG_CFLAGS) $< $(or $(prog_static_with_$*),$(prog_static)) \
		$(PROG_LDFLAGS) -ldl -lrt -o $@

$(prog_out)/%: $(prog_dir)/%.c $(prog_needs)
	@mkdir -p $(@D)
	$(call say,PROG)
	$(Q)$(CC) $(PROG_CFLAGS) $< $(or $(prog_with_$*),$(prog_shared)) $(PROG_LDFLAGS) -ldl -o $@
