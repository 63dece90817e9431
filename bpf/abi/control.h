/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The control page: what the agent tells running programs. A memfd of its own that only the agent
 * can write (F_SEAL_FUTURE_WRITE; mode 0444 on older kernels); the shim maps it read-only. A change
 * takes effect at the next request. Fields are read with relaxed atomics, each on its own. */
#ifndef REMORA_ABI_CONTROL_H
#define REMORA_ABI_CONTROL_H

#include "bpf/abi/record.h"

#define REMORA_CONTROL_MAGIC 0x316c7274635f6d72ull /* "rm_ctrl1" */
#define REMORA_CONTROL_BYTES 4096u
/* The agent renews heartbeat_ns at least every 500 ms; older than this, nobody is reading. */
#define REMORA_HEARTBEAT_LIMIT_NS 5000000000ull

enum remora_sampler {
    REMORA_SAMPLER_ALWAYS_ON = 0,
    REMORA_SAMPLER_ALWAYS_OFF = 1,
    REMORA_SAMPLER_RATIO = 2,
    REMORA_SAMPLER_PARENT_ALWAYS_ON = 3,
    REMORA_SAMPLER_PARENT_ALWAYS_OFF = 4,
    REMORA_SAMPLER_PARENT_RATIO = 5,
};

enum remora_control_switches {
    REMORA_SWITCH_DISABLED = 1 << 0,          /* pass everything through */
    REMORA_SWITCH_SDK_DISABLED = 1 << 1,      /* record nothing, hand incoming context on */
    REMORA_SWITCH_SAMPLER_FORCED = 1 << 2,    /* set by a flag: wins over the target's environment */
    REMORA_SWITCH_NO_INGRESS_INSERT = 1 << 3, /* never add a header to what the program reads */
    REMORA_SWITCH_NO_INJECT = 1 << 4,         /* never add a header to what the program sends */
    REMORA_SWITCH_NO_PROCESS_SPANS = 1 << 5,
    REMORA_SWITCH_SERVICE_FORCED = 1 << 6,    /* reserved */
    REMORA_SWITCH_NO_PROPAGATION = 1 << 7,    /* read no trace header of a peer, write none */
    REMORA_SWITCH_TRACE_TELEMETRY = 1 << 8,   /* record exports and scrapes of telemetry, too */
};

/* A header field that the user wants on spans: its value may leave the process. */
#define REMORA_NAMED_FIELDS_MAX 32u
#define REMORA_NAMED_FIELD_BYTES 56u
enum remora_named_where {
    REMORA_NAMED_SERVER_REQUEST = 1 << 0,
    REMORA_NAMED_SERVER_RESPONSE = 1 << 1,
    REMORA_NAMED_CLIENT_REQUEST = 1 << 2,
    REMORA_NAMED_CLIENT_RESPONSE = 1 << 3,
};
struct remora_named_field {
    uint8_t size;
    uint8_t where; /* enum remora_named_where */
    uint8_t pad[6];
    char name[REMORA_NAMED_FIELD_BYTES]; /* lower case */
};

struct remora_control {
    uint64_t magic;
    uint32_t abi_version;
    uint32_t lanes;         /* how many lanes the other file has */
    uint64_t session[2];    /* random; the shim compares it with its environment */
    uint64_t heartbeat_ns;  /* CLOCK_MONOTONIC */
    uint32_t switches;
    uint32_t sampler;       /* enum remora_sampler */
    uint64_t threshold;     /* sampled when the low 56 bits of the trace id are >= threshold;
                               1 << 56: never */
    uint64_t pid_namespace; /* the agent's own */
    uint32_t named_fields;  /* how many follow; complete before any program can map the page */
    uint32_t pad;
    struct remora_named_field named[REMORA_NAMED_FIELDS_MAX];
};
REMORA_STATIC_ASSERT(sizeof(struct remora_named_field) == 64, "layout");
REMORA_STATIC_ASSERT(sizeof(struct remora_control) <= REMORA_CONTROL_BYTES, "layout");

/* How the shim finds both: REMORA_SESSION=1:<agent pid>:<lanes fd>:<control fd>:<session, 32 hex>.
 * ":t" behind it says that the TRACEPARENT beside it was put there by us (by a shim, or by the agent
 * with all ids zero, as a place to write to): where there is nothing to continue any more (a
 * server's children) such a one says so, while a user's own stays. The shim opens /proc/<pid>/fd/<fd> after readlink() has said "/memfd:remora-lanes (deleted)" or
 * "/memfd:remora-control (deleted)"; where that is not allowed (another user), the abstract unix
 * socket "\0remora-<session's first 16 hex>" hands both descriptors (lanes, control, in that order)
 * to whoever sends the 32 hex digits. */
#define REMORA_SESSION_VARIABLE "REMORA_SESSION"
#define REMORA_LANES_MEMFD "remora-lanes"
#define REMORA_CONTROL_MEMFD "remora-control"

#endif
