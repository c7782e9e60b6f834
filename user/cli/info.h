/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_INFO_H
#define CLI_INFO_H

/* Questions answered without tracing. Each returns an exit status. */
int info_list_probes(void);
int info_json_schema(void);

#endif
