# SPDX-License-Identifier: Apache-2.0
# The simulated CUDA. Included by the top Makefile, which sets O and CC; `sim` builds and checks it.
#
# A probed function must begin with `push %rbp`, as in the real libraries: the kernel emulates that
# instruction, and a probe on another one costs ten times as much. Hence these flags, and none of
# the caller's CFLAGS.

sim_dir := tests/sim
sim_out := $(O)/sim
sim_headers := $(wildcard $(sim_dir)/*.h $(sim_dir)/*.def $(sim_dir)/include/*.h)

SIM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O2 -fPIC -fvisibility=hidden -pthread \
	-fcf-protection=none -fno-omit-frame-pointer -fno-optimize-sibling-calls -fno-shrink-wrap \
	-Wall -Wextra -Wmissing-prototypes -Wshadow -I$(sim_dir)/include
# As the real ones: a build id, unwind tables, no .symtab.
SIM_LDFLAGS := -shared -pthread -Wl,--build-id=sha1 -Wl,-z,defs -Wl,-Bsymbolic -Wl,-s \
	-Wl,-rpath,'$$ORIGIN'

sim_books := card card_file card_object env
sim_cuda := cuda_context cuda_current cuda_visible cuda_device cuda_pointer cuda_symbols cuda_module \
	cuda_memory cuda_async cuda_managed cuda_array cuda_vmm cuda_multicast cuda_checkpoint cuda_ipc cuda_external cuda_pool cuda_pool_share \
	cuda_stream cuda_capture cuda_graph block pool vmm graph arena truth fault $(sim_books)
sim_cudart := cudart_driver cudart_device cudart_memory cudart_managed cudart_array cudart_stream cudart_graph \
	cudart_pool cudart_share truth fault $(sim_books)
sim_nvml := nvml $(sim_books)

sim_libs := $(addprefix $(sim_out)/,libcuda.so.1 libcuda.so libcudart.so.13 libcudart.so \
	libnvidia-ml.so.1 libnvidia-ml.so libcudart_static.a)

.PHONY: sim
sim: $(sim_out)/checked ## the simulated CUDA libraries

$(sim_out)/shared/%.o: $(sim_dir)/%.c $(sim_headers) $(sim_dir)/sim.mk
	@mkdir -p $(@D)
	$(call say,SIMCC)
	$(Q)$(CC) $(SIM_CFLAGS) -c $< -o $@

$(sim_out)/static/%.o: $(sim_dir)/%.c $(sim_headers) $(sim_dir)/sim.mk
	@mkdir -p $(@D)
	$(call say,SIMCC)
	$(Q)$(CC) $(SIM_CFLAGS) -DVRAMSIM_STATIC -c $< -o $@

$(sim_out)/libcuda.so.1: $(sim_cuda:%=$(sim_out)/shared/%.o)
	$(call say,SIMLD)
	$(Q)$(CC) $(SIM_LDFLAGS) -Wl,-soname,$(@F) $^ -o $@

$(sim_out)/libnvidia-ml.so.1: $(sim_nvml:%=$(sim_out)/shared/%.o)
	$(call say,SIMLD)
	$(Q)$(CC) $(SIM_LDFLAGS) -Wl,-soname,$(@F) $^ -o $@

$(sim_out)/libcudart.so.13: $(sim_cudart:%=$(sim_out)/shared/%.o) $(sim_dir)/libcudart.map
	$(call say,SIMLD)
	$(Q)$(CC) $(SIM_LDFLAGS) -Wl,-soname,$(@F) -Wl,--version-script=$(sim_dir)/libcudart.map \
		$(filter %.o,$^) -o $@

$(sim_out)/libcudart_static.a: $(sim_cudart:%=$(sim_out)/static/%.o)
	$(Q)rm -f $@
	$(Q)$(AR) rcs $@ $^

$(sim_out)/libcuda.so $(sim_out)/libnvidia-ml.so: %: %.1
	$(Q)ln -sf $(<F) $@

$(sim_out)/libcudart.so: $(sim_out)/libcudart.so.13
	$(Q)ln -sf $(<F) $@

$(sim_out)/check_driver: $(sim_dir)/check_driver.c $(sim_headers) $(sim_libs)
	$(call say,SIMCC)
	$(Q)$(CC) $(SIM_CFLAGS) $< -L$(sim_out) -lcuda -lnvidia-ml -Wl,-rpath,'$$ORIGIN' -o $@

$(sim_out)/checked: $(sim_libs) $(sim_out)/check_driver $(sim_dir)/check-prologue include/vramtrace/probes.def
	$(call say,CHECK)
	$(Q)$(sim_dir)/check-prologue include/vramtrace/probes.def $(sim_out)
	$(Q)rm -f $(sim_out)/check.card*
	$(Q)env -u VRAMSIM_LOG -u VRAMSIM_FAIL -u VRAMSIM_CONTEXT_BYTES VRAMSIM_CARD=$(abspath $(sim_out))/check.card \
		VRAMSIM_GPUS=4 VRAMSIM_BYTES=8G VRAMSIM_FASTEST=3,1,0,2 timeout 60 $(sim_out)/check_driver
	$(Q)rm -f $(sim_out)/check.card*
	$(Q)touch $@
