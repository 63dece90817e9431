/* SPDX-License-Identifier: Apache-2.0 */
/* Prints where the fields of bpf/abi stand, for tests that read shared memory from Python:
 * one "name offset size" a line. */
#include <stddef.h>
#include <stdio.h>

#include "bpf/abi/control.h"
#include "bpf/abi/lanes.h"

#define FIELD(type, field)                                                      \
    printf("%s.%s %zu %zu\n", #type, #field, offsetof(struct type, field),      \
           sizeof(((struct type *)0)->field))
#define SIZE(type) printf("%s 0 %zu\n", #type, sizeof(struct type))

int main(void) {
    SIZE(remora_lane);
    SIZE(remora_slot);
    SIZE(remora_process);
    SIZE(remora_exchange);
    FIELD(remora_control, magic);
    FIELD(remora_control, abi_version);
    FIELD(remora_control, lanes);
    FIELD(remora_control, session);
    FIELD(remora_control, heartbeat_ns);
    FIELD(remora_control, switches);
    FIELD(remora_control, sampler);
    FIELD(remora_control, threshold);
    FIELD(remora_control, pid_namespace);
    FIELD(remora_lane_head, owner);
    FIELD(remora_lane_head, claims);
    FIELD(remora_lane_head, free);
    FIELD(remora_lane_head, done);
    FIELD(remora_lane_head, lost);
    FIELD(remora_lane_head, process);
    FIELD(remora_process, image);
    FIELD(remora_process, start_ns);
    FIELD(remora_process, end_ns);
    FIELD(remora_process, trace_id);
    FIELD(remora_process, span_id);
    FIELD(remora_process, parent_id);
    FIELD(remora_process, pid_namespace);
    FIELD(remora_process, pid);
    FIELD(remora_process, parent_pid);
    FIELD(remora_process, exit_code);
    FIELD(remora_process, states);
    FIELD(remora_process, trace_flags);
    FIELD(remora_process, executable);
    FIELD(remora_process, command);
    FIELD(remora_process, service_name);
    FIELD(remora_process, attributes);
    FIELD(remora_slot, state);
    FIELD(remora_slot, exchange);
    FIELD(remora_slot, payload);
    FIELD(remora_exchange, trace_id);
    FIELD(remora_exchange, span_id);
    FIELD(remora_exchange, parent_id);
    FIELD(remora_exchange, image);
    return 0;
}
