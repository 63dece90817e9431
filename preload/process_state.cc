// SPDX-License-Identifier: Apache-2.0
#include "preload/process_state.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "agent/context/ids.h"
#include "preload/exchange.h"
#include "preload/exchange_life.h"
#include "preload/lane_writer.h"
#include "preload/opening.h"
#include "preload/process_command.h"
#include "preload/process_settings.h"
#include "preload/raw_syscall.h"
#include "preload/session.h"

namespace remora::shim {
namespace {

// Where the kernel can't wipe (before Linux 4.14) this stands in, and only fork() itself is
// noticed.
constinit ForkPage never_wiped{1};

enum ForkPageState : uint64_t { wiped = 0, intact = 1, being_renewed = 2 };

struct ProcessData {
    remora_process record;  // written by the constructor and by child_init alone
    SpanContext span;       // the process span
    SpanContext incoming;   // what TRACEPARENT brought
    char tracestate[REMORA_TRACESTATE_MAX];
    uint16_t tracestate_size;
    bool has_span;  // its record is with the agent, so its id may go out
};
constinit ProcessData process{};

std::atomic<uint32_t> states{0};  // remora_process_states
std::atomic<bool> daemonised{false};
std::atomic<bool> filtered{false};
std::atomic<uint32_t> epoch{1};

// From which all ids of this process are drawn. Not for secrets.
std::atomic<uint64_t> entropy[4];
std::atomic<uint64_t> seeds_given{0};

// The finalizer of SplitMix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t x) noexcept {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

// In a forked child under a seccomp filter getrandom could be fatal: its pid and the time make the
// difference to its parent.
void gather_entropy() noexcept {
    uint64_t words[4] = {};
    constexpr unsigned nonblocking = 1;  // GRND_NONBLOCK
    if (!seccomp_filtered()) raw_syscall(SYS_getrandom, words, sizeof(words), nonblocking);
    const uint64_t here = monotonic_now() ^ (uint64_t{process.record.pid} << 40);
    for (unsigned i = 0; i < 4; ++i) {
        const uint64_t before = entropy[i].load(std::memory_order_relaxed);
        entropy[i].store(words[i] ^ mix(before + here + i), std::memory_order_relaxed);
    }
}

uint64_t own_pid_namespace() noexcept {
    char link[40] = {};
    if (raw_syscall(SYS_readlink, "/proc/self/ns/pid", link, sizeof(link) - 1) < 6) return 0;
    uint64_t number = 0;  // "pid:[4026531836]"
    for (const char* c = link + 5; ascii_digit(static_cast<uint8_t>(*c)); ++c)
        number = number * 10 + static_cast<uint64_t>(*c - '0');
    return number;
}

void make_fork_page() noexcept {
    constexpr size_t page = 4096;
    const long address =
        raw_syscall(SYS_mmap, 0, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (address < 0 && address >= -4095) return;
    if (raw_syscall(SYS_madvise, address, page, MADV_WIPEONFORK) != 0) {
        raw_syscall(SYS_munmap, address, page);
        return;
    }
    auto* fresh = reinterpret_cast<ForkPage*>(address);
    fresh->alive = intact;
    fork_page = fresh;
}

void set_state(uint32_t state) noexcept {
    if ((states.load(std::memory_order_relaxed) & state) != 0) return;
    states.fetch_or(state, std::memory_order_relaxed);
    __atomic_fetch_or(&process.record.states, state, __ATOMIC_RELAXED);
    publish_process_states(state);
}

void copy_text(const char* from, char* to, size_t capacity) noexcept {
    if (from != nullptr) memcpy(to, from, strnlen(from, capacity - 1));
}

void fill_record(int argument_count, char** arguments) noexcept {
    remora_process& record = process.record;
    record.pid = static_cast<uint32_t>(raw_syscall(SYS_getpid));
    record.parent_pid = static_cast<uint32_t>(raw_syscall(SYS_getppid));
    record.start_ns = monotonic_now();
    record.pid_namespace = own_pid_namespace();
    raw_syscall(SYS_readlink, "/proc/self/exe", record.executable, sizeof(record.executable) - 1);
    describe_command(argument_count, arguments, record.executable, record.command,
                     sizeof(record.command));
}

void fill_span(IdGenerator& ids) noexcept {
    const SpanContext* parent = process.incoming.valid() ? &process.incoming : nullptr;
    SpanContext& span = process.span;
    span.trace_id = parent != nullptr ? parent->trace_id : ids.trace_id();
    span.span_id = ids.span_id();
    span.flags = parent != nullptr ? parent->flags & flag_random : flag_random;
    if (current_sampler().decide(parent, span.trace_id)) span.flags |= flag_sampled;

    remora_process& record = process.record;
    memcpy(record.trace_id, span.trace_id.bytes, sizeof(record.trace_id));
    memcpy(record.span_id, span.span_id.bytes, sizeof(record.span_id));
    if (parent != nullptr)
        memcpy(record.parent_id, parent->span_id.bytes, sizeof(record.parent_id));
    record.trace_flags = span.flags;
}

// The span's id may go out as sampled only when the agent has its record.
void register_span() noexcept {
    process.has_span = true;
    if (!process.span.sampled()) return;
    const bool read = agent_reading(process.record.start_ns);
    if (read && claim_first_lane()) return;
    count_loss(read ? REMORA_LOSS_no_lane : REMORA_LOSS_agent_away);
    process.span.flags &= static_cast<uint8_t>(~flag_sampled);
    process.record.trace_flags = process.span.flags;
}

bool own_process() noexcept { return raw_syscall(SYS_getpid) == process.record.pid; }

}  // namespace

constinit ForkPage* fork_page = &never_wiped;

void child_init() noexcept {
    uint64_t expected = wiped;
    // A signal handler may come in between; it goes on with the old state rather than waiting.
    if (fork_page != &never_wiped &&
        !__atomic_compare_exchange_n(&fork_page->alive, &expected, being_renewed, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        return;
    remora_process& record = process.record;
    record.parent_pid = record.pid;
    // Under a filter that may kill for the question nobody can say whose lane it would be: do
    // without.
    if (seccomp_filtered())
        session_storage.lane_count = 0;
    else
        record.pid = static_cast<uint32_t>(raw_syscall(SYS_getpid));
    record.start_ns = monotonic_now();
    const uint32_t kept = states.load(std::memory_order_relaxed) & REMORA_PROCESS_SERVER;
    states.store(kept | REMORA_PROCESS_FORKED, std::memory_order_relaxed);
    record.states = kept | REMORA_PROCESS_FORKED;
    epoch.fetch_add(1, std::memory_order_relaxed);
    gather_entropy();
    forget_lanes();
    forget_live_spans();
    forget_openings();
    if (fork_page != &never_wiped) __atomic_store_n(&fork_page->alive, intact, __ATOMIC_RELEASE);
}

uint32_t process_epoch() noexcept { return epoch.load(std::memory_order_relaxed); }

bool in_vfork_child() noexcept {
    // A filter may kill for the question. Then state is forgotten that could have been kept.
    if (!session().active || seccomp_filtered()) return false;
    notice_fork();
    return !own_process();
}

const remora_process& process_record() noexcept { return process.record; }
uint64_t process_image() noexcept { return process.record.image; }

void seed_ids(IdGenerator& generator) noexcept {
    const uint64_t number = seeds_given.fetch_add(1, std::memory_order_relaxed);
    uint64_t words[4];
    for (unsigned i = 0; i < 4; ++i)
        words[i] = mix(entropy[i].load(std::memory_order_relaxed) +
                       mix((number << 2 | i) * 0x9e3779b97f4a7c15u));
    generator.seed(words);
}

uint64_t monotonic_now() noexcept {
    const int kept = errno;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    errno = kept;
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

const SpanContext* process_parent() noexcept {
    if ((states.load(std::memory_order_relaxed) & REMORA_PROCESS_SERVER) != 0) return nullptr;
    if (daemonised.load(std::memory_order_relaxed)) return nullptr;
    if (process.has_span && recording() && (switches() & REMORA_SWITCH_NO_PROCESS_SPANS) == 0)
        return &process.span;
    return process.incoming.valid() ? &process.incoming : nullptr;
}

const SpanContext* process_span() noexcept { return process.has_span ? &process.span : nullptr; }

const SpanContext& incoming_context() noexcept { return process.incoming; }

ByteView process_tracestate() noexcept { return {process.tracestate, process.tracestate_size}; }

void note_server() noexcept { set_state(REMORA_PROCESS_SERVER); }

void note_daemon() noexcept { daemonised.store(true, std::memory_order_relaxed); }

void note_seccomp() noexcept { filtered.store(true, std::memory_order_relaxed); }
bool seccomp_filtered() noexcept { return filtered.load(std::memory_order_relaxed); }

void note_referenced() noexcept {
    if ((states.load(std::memory_order_relaxed) & REMORA_PROCESS_REFERENCED) != 0) return;
    set_state(REMORA_PROCESS_REFERENCED);
    if (process.span.sampled() && !publish_referenced()) (void)claim_first_lane();
}

void note_system_call(long number, long first, long) noexcept {
    constexpr long set_mode_strict = 0, set_mode_filter = 1;
    if (number == SYS_seccomp && (first == set_mode_strict || first == set_mode_filter))
        note_seccomp();
    else if (number == SYS_exit_group)
        record_exit(static_cast<int>(first));
}

bool context_for_child(ChildContext& out) noexcept {
    if (!tracing()) return false;
    out.is_process_span = false;
    if (thread_context(out.snapshot)) return true;
    const SpanContext* parent = process_parent();
    if (parent == nullptr) return false;
    out.snapshot.context = *parent;
    out.snapshot.tracestate_size = process.tracestate_size;
    memcpy(out.snapshot.tracestate, process.tracestate, process.tracestate_size);
    out.is_process_span = parent == &process.span;
    return true;
}

void init_process(int argument_count, char** arguments, const Environment& environment) noexcept {
    if (!session().active) return;
    const int kept = errno;
    fill_record(argument_count, arguments);
    session_storage.pid_namespace = process.record.pid_namespace;
    make_fork_page();
    gather_entropy();
    IdGenerator ids;
    seed_ids(ids);
    do process.record.image = ids.next();
    while (process.record.image == 0);

    init_settings(environment);
    copy_text(environment.service_name, process.record.service_name,
              sizeof(process.record.service_name));
    copy_text(environment.resource_attributes, process.record.attributes,
              sizeof(process.record.attributes));
    read_incoming_context(environment, process.incoming, process.tracestate,
                          process.tracestate_size);
    if (recording() && (switches() & REMORA_SWITCH_NO_PROCESS_SPANS) == 0) {
        fill_span(ids);
        register_span();
    }
    errno = kept;
}

void record_exit(int code) noexcept {
    // A forked child that used nothing of ours has no lane; a vfork child's exit is not its
    // parent's. Under a filter we can't ask who we are, and the agent sees the end of the process
    // anyway.
    if (!session().active || forked() || seccomp_filtered() || !own_process()) return;
    if (losses_undelivered()) (void)claim_first_lane();
    publish_exit(code & 0xff, monotonic_now());
}

}  // namespace remora::shim
