/* SPDX-License-Identifier: GPL-2.0 OR BSD-3-Clause */
#ifndef VRAMTRACE_TYPES_H
#define VRAMTRACE_TYPES_H

/* __u8..__u64: from vmlinux.h in BPF, which must come first there, and from the kernel's user headers elsewhere. */
#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#endif
