/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Sizes that producers (shim, probes) and the agent agree on. Every one is a bound that a reader
 * may rely on and that a hostile writer can't exceed: readers clip to these, never to a value
 * that they found in shared memory. */
#ifndef REMORA_ABI_LIMITS_H
#define REMORA_ABI_LIMITS_H

#define REMORA_ABI_VERSION 2u

#define REMORA_SLOT_BYTES 2048u                          /* one open or finished exchange */
#define REMORA_SLOTS_PER_LANE 63u                        /* slot 0's place is the lane's head */
#define REMORA_LANE_BYTES (REMORA_SLOT_BYTES * (REMORA_SLOTS_PER_LANE + 1u))
#define REMORA_LANES_DEFAULT 512u                        /* 64 MiB of address space, sparse */
#define REMORA_LANES_MAX 8192u
#define REMORA_LANES_PER_PROCESS 64u                     /* 4032 open exchanges a process */

#define REMORA_REQUEST_CAPTURE_MAX 1024u                 /* bytes of a filtered request head */
#define REMORA_TRACESTATE_MAX 512u                       /* Trace Context 2, 3.3.1.5: at least 512 */
#define REMORA_PROTOCOL_NAME_MAX 16u
#define REMORA_ALPN_MAX 16u
#define REMORA_ATTEMPTS_MAX 3u                           /* failed connects told of one opening */
#define REMORA_HOST_NAME_MAX 64u
#define REMORA_LOSS_REASONS_MAX 48u
#define REMORA_CONNECT_SETTLED_NS 5000000000ull          /* no other connect follows a failed one */
#define REMORA_DATA_MAX 16384u                           /* bytes of one data record */

#endif
