/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

/* `vramtrace doctor`: whether this machine can be traced, how, and at what cost; what a bug report needs. Returns an exit status. */
int doctor_run(int argc, char **argv); /* argv[0] is "doctor" */

#endif
