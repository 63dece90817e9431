// SPDX-License-Identifier: Apache-2.0
#include "agent/inspect/bpf_trial.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/base/unique_fd.h"

namespace remora {

namespace {

template <typename Fill>
UniqueFd bpf(bpf_cmd command, Fill fill) {
    bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    fill(attributes);
    return UniqueFd{static_cast<int>(::syscall(SYS_bpf, command, &attributes, sizeof(attributes)))};
}

UniqueFd make_map(bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries) {
    return bpf(BPF_MAP_CREATE, [=](bpf_attr& attributes) {
        attributes.map_type = type;
        attributes.key_size = key;
        attributes.value_size = value;
        attributes.max_entries = entries;
    });
}

// r0 = 1; exit: "let it pass" where the answer matters.
UniqueFd load(bpf_prog_type type) {
    bpf_insn program[2];
    memset(program, 0, sizeof(program));
    program[0].code = BPF_ALU64 | BPF_MOV | BPF_K;
    program[0].imm = 1;
    program[1].code = BPF_JMP | BPF_EXIT;
    static const char licence[] = "GPL";
    return bpf(BPF_PROG_LOAD, [&](bpf_attr& attributes) {
        attributes.prog_type = type;
        attributes.insns = reinterpret_cast<uint64_t>(program);
        attributes.insn_cnt = 2;
        attributes.license = reinterpret_cast<uint64_t>(licence);
    });
}

UniqueFd attach(const UniqueFd& program, const char* tracepoint) {
    return bpf(BPF_RAW_TRACEPOINT_OPEN, [&](bpf_attr& attributes) {
        attributes.raw_tracepoint.name = reinterpret_cast<uint64_t>(tracepoint);
        attributes.raw_tracepoint.prog_fd = static_cast<uint32_t>(program.get());
    });
}

}  // namespace

std::vector<BpfStep> try_bpf() {
    std::vector<BpfStep> steps;
    const auto note = [&steps](const char* name, const UniqueFd& fd) {
        steps.push_back({name, fd ? 0 : errno});
    };
    constexpr uint32_t page = 4096;
    note("array map", make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1));
    note("ring buffer", make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, page));
    note("tracepoint programs", load(BPF_PROG_TYPE_TRACEPOINT));
    note("kprobe programs", load(BPF_PROG_TYPE_KPROBE));
    note("sock_ops programs", load(BPF_PROG_TYPE_SOCK_OPS));
    note("sk_msg programs", load(BPF_PROG_TYPE_SK_MSG));
    const UniqueFd tracepoint = load(BPF_PROG_TYPE_RAW_TRACEPOINT);
    note("raw tracepoints", tracepoint);
    if (tracepoint) note("attach to sys_exit", attach(tracepoint, "sys_exit"));
    return steps;
}

}  // namespace remora
