/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ATTACH_SELFTEST_H
#define ATTACH_SELFTEST_H

#include "attach/features.h"

/*
 * Whether a return probe lets a program under seccomp live. Linux 6.11 made the return a system call (x86-64), which early versions
 * took from programs that may only make a few: they were killed. One child in strict mode and one with a list of allowed calls
 * return through a probe of a function of our own; both must come through it, and be seen to.
 *
 * Needs features_ask() before; fills return_probes and its why. Returns the link, or -1 where there is none: to be kept as long as one
 * likes, for closing it takes tens of milliseconds. A few milliseconds, and nothing where return probes are switched off.
 */
int selftest_run(unsigned int without, struct features *features);

#endif
