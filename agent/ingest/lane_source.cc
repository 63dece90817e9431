// SPDX-License-Identifier: Apache-2.0
#include "agent/ingest/lane_source.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "agent/base/clock.h"
#include "agent/ingest/proc_files.h"
#include "agent/ingest/record_check.h"

namespace remora {

namespace {

using namespace std::chrono_literals;

constexpr size_t exits_kept = 1024;
constexpr std::chrono::nanoseconds shortest_rest = 50us;
constexpr std::chrono::nanoseconds busy_rest = 2ms;
constexpr std::chrono::nanoseconds longest_rest = 10ms;

uint64_t owner_word(remora_lane& lane) {
    return __atomic_load_n(&lane.head.owner, __ATOMIC_ACQUIRE);
}

void remove(std::vector<uint32_t>& from, uint32_t index) {
    const auto at = std::find(from.begin(), from.end(), index);
    if (at == from.end()) return;
    *at = from.back();
    from.pop_back();
}

bool same_process(const remora_process& a, const remora_process& b) {
    return a.pid == b.pid && a.pid_namespace == b.pid_namespace;
}

// end_ns != 0 would say that this is the last word.
void report(const remora_process& process, RecordSink& sink) {
    remora_process living = process;
    living.end_ns = 0;
    sink.on_process(living);
}

}  // namespace

LaneSource::LaneSource(LaneFile file, const LaneSourceOptions& options)
    : file_(std::move(file)),
      options_(options),
      lanes_(file_.lanes()),
      own_namespace_(own_pid_namespace()),
      rest_(busy_rest) {}

Result<std::unique_ptr<LaneSource>> LaneSource::create(LaneFile file,
                                                       const LaneSourceOptions& options) {
    std::unique_ptr<LaneSource> source{new LaneSource(std::move(file), options)};
    source->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    source->wake_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event event{EPOLLIN, {.ptr = nullptr}};
    if (!source->epoll_ || !source->wake_ ||
        ::epoll_ctl(source->epoll_.get(), EPOLL_CTL_ADD, source->wake_.get(), &event) != 0)
        return Error{"cannot watch for the end of traced programs", errno};
    source->replenish();
    if (source->ready_.empty())
        return Error{"no memory for even one traced program (128 KiB of shared memory each)",
                     ENOMEM};
    return source;
}

size_t LaneSource::poll(RecordSink& sink) {
    collect_deaths();
    find_claims(sink);
    size_t count = 0;
    fullest_ = 0;
    for (const uint32_t index : claimed_) {
        const size_t read = lanes_[index].reader.read_finished(copy_, sink);
        fullest_ = std::max<uint64_t>(fullest_, read);
        count += read;
    }
    const uint64_t now = monotonic_ns();
    if (now - swept_ns_ >= options_.sweep_interval_ns) sweep(now, sink);
    if (any_ended_) finish_ended(sink);
    replenish();
    publish_owners();
    return count;
}

void LaneSource::publish_owners() {
    live_.store(owners_.size(), std::memory_order_release);
    if (!std::exchange(owners_changed_, false)) return;
    const std::lock_guard lock(mutex_);
    live_pids_.clear();
    for (const auto& owner : owners_)
        if (owner->handle) live_pids_.push_back(owner->handle->host_pid());
}

std::vector<int> LaneSource::live_pids() const {
    const std::lock_guard lock(mutex_);
    return live_pids_;
}

void LaneSource::close(RecordSink& sink) {
    poll(sink);
    sweep(monotonic_ns(), sink);
    for (const uint32_t index : claimed_)
        lanes_[index].reader.take_open(UINT64_MAX, UINT64_MAX, REMORA_END_UNFOLLOWED, copy_, sink);
    for (const auto& owner : owners_) report_end(*owner, sink);
    owners_.clear();
    for (const uint32_t index : claimed_) lanes_[index].owner = nullptr;
    claimed_.clear();
    owners_changed_ = true;
    publish_owners();
}

std::chrono::nanoseconds LaneSource::rest() {
    constexpr uint64_t slots = REMORA_SLOTS_PER_LANE;
    if (fullest_ > slots * 3 / 4) {
        rest_ = std::max(rest_ / 4, shortest_rest);
        return 0ns;
    }
    if (fullest_ > slots / 3)
        rest_ = std::max(rest_ / 2, shortest_rest);
    else if (fullest_ < slots / 8)
        rest_ = std::min(rest_ * 3 / 2, fullest_ > 0 ? busy_rest : longest_rest);
    return rest_;
}

void LaneSource::wait(std::chrono::nanoseconds time) {
    // epoll_wait knows only milliseconds.
    pollfd ready{epoll_.get(), POLLIN, 0};
    const timespec timeout{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
    ::ppoll(&ready, 1, &timeout, nullptr);
}

void LaneSource::wake() {
    const uint64_t one = 1;
    (void)!::write(wake_.get(), &one, sizeof(one));  // full: it is awake already
}

void LaneSource::note_exit(int pid, int exit_code) {
    const std::lock_guard lock(mutex_);
    if (exits_.size() >= exits_kept) exits_.clear();
    exits_[pid] = exit_code;
}

void LaneSource::collect_deaths() {
    epoll_event events[32];
    const int count = ::epoll_wait(epoll_.get(), events, 32, 0);
    for (int i = 0; i < count; ++i) {
        auto* owner = static_cast<Owner*>(events[i].data.ptr);
        if (owner == nullptr) {
            uint64_t wakes;
            (void)!::read(wake_.get(), &wakes, sizeof(wakes));
            continue;
        }
        owner->ended = any_ended_ = true;
        ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, owner->handle->pidfd(), nullptr);
        owner->watched = false;
    }
}

// --- claims --------------------------------------------------------------------------------------

void LaneSource::find_claims(RecordSink& sink) {
    for (size_t i = 0; i < ready_.size();) {
        const uint32_t index = ready_[i];
        const uint32_t state = REMORA_LANE_STATE(owner_word(file_.lane(index)));
        if (state == REMORA_LANE_CLAIMED) {
            ready_[i] = ready_.back();
            ready_.pop_back();
            claim(index, sink);
            continue;
        }
        // Anything else than these two is scribble: nobody can claim such a lane.
        if (state != REMORA_LANE_READY && state != REMORA_LANE_CLAIMING) file_.offer_again(index);
        ++i;
    }
    if (any_replaced_) finish_replaced(sink);
}

void LaneSource::claim(uint32_t index, RecordSink& sink) {
    remora_lane& lane = file_.lane(index);
    remora_process process;
    memcpy(&process, &lane.head.process, sizeof(process));
    __asm__ volatile("" ::: "memory");  // from here on only our copy counts
    mend_process(process);
    process.pid = REMORA_LANE_PID(owner_word(lane));
    const uint64_t now = monotonic_ns();
    if (process.start_ns == 0 || process.start_ns > now) process.start_ns = now;
    Owner& owner = owner_of(process, sink);
    owner.lanes.push_back(index);
    lanes_[index].owner = &owner;
    lanes_[index].reader.start(lane, owner.process.image, owner.process.pid, now);
    claimed_.push_back(index);
}

LaneSource::Owner& LaneSource::owner_of(const remora_process& process, RecordSink& sink) {
    bool replaced = false;
    std::optional<ProcessHandle> handle;
    for (size_t i = 0; i < owners_.size(); ++i) {
        Owner& owner = *owners_[i];
        if (!same_process(owner.process, process)) continue;
        if (!owner.replaced) owner.ended = owner.ended || !owner.handle || owner.handle->ended();
        if (!owner.ended && owner.process.image == process.image) return owner;
        if (owner.replaced) continue;
        // The same number is another image now (exec), or another process; or this is the earlier
        // image, whose lane stands behind the later one's.
        replaced = process.start_ns < owner.process.start_ns;
        if (replaced) continue;
        if (owner.process.image != process.image) {
            handle = ProcessHandle::find(process, own_namespace_);
            pass_on(owner, handle);
        }
        finish(owner, sink);
        break;
    }
    owners_.push_back(std::make_unique<Owner>());
    owners_changed_ = true;
    Owner& owner = *owners_.back();
    owner.process = process;
    owner.replaced = replaced;
    if (replaced) {
        any_replaced_ = true;  // all its lanes are found in this very poll
    } else {
        owner.handle = handle ? std::move(handle) : ProcessHandle::find(process, own_namespace_);
        owner.ended = !owner.handle || owner.handle->ended();
        any_ended_ = any_ended_ || owner.ended;
        if (!owner.ended) watch(owner);
    }
    report(owner.process, sink);
    return owner;
}

// How a process ended is for its last image to say. successor: of the later one; where the process
// is gone already, the earlier one's serves.
void LaneSource::pass_on(Owner& owner, std::optional<ProcessHandle>& successor) {
    if (owner.handle && successor && !owner.handle->same_process(*successor)) return;
    if (owner.watched) ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, owner.handle->pidfd(), nullptr);
    owner.watched = owner.ended = false;
    if (!successor) successor = std::move(owner.handle);
    owner.handle.reset();
}

void LaneSource::watch(Owner& owner) {
    epoll_event event{EPOLLIN, {.ptr = &owner}};
    owner.watched = owner.handle->pidfd() >= 0 &&
                    ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, owner.handle->pidfd(), &event) == 0;
}

// --- what happens less often ---------------------------------------------------------------------

// Takes over what may change in a process record. true: its states have grown.
bool LaneSource::adopt_states(Owner& owner, const remora_lane_head& head) const {
    remora_process latest{};
    latest.states = __atomic_load_n(&head.process.states, __ATOMIC_ACQUIRE);
    latest.exit_code = __atomic_load_n(&head.process.exit_code, __ATOMIC_RELAXED);
    latest.end_ns = __atomic_load_n(&head.process.end_ns, __ATOMIC_RELAXED);
    mend_process(latest);
    if ((latest.states & REMORA_PROCESS_EXITED) != 0) {
        owner.process.exit_code = latest.exit_code;
        owner.process.end_ns = latest.end_ns;
    }
    const uint32_t before = owner.process.states;
    owner.process.states |= latest.states;
    return owner.process.states != before;
}

void LaneSource::sweep(uint64_t now, RecordSink& sink) {
    swept_ns_ = now;
    const bool idle_due = now - idle_checked_ns_ >= 10 * options_.sweep_interval_ns;
    const uint64_t limit = now > options_.idle_limit_ns ? now - options_.idle_limit_ns : 0;
    for (const uint32_t index : claimed_) {
        Lane& lane = lanes_[index];
        if (adopt_states(*lane.owner, file_.lane(index).head)) report(lane.owner->process, sink);
        lane.reader.read_losses(now, sink);
        if (idle_due) lane.reader.take_open(limit, now, REMORA_END_IDLE, copy_, sink);
    }
    for (const auto& owner : owners_) {
        if (owner->watched || owner->ended || !owner->handle->ended()) continue;
        owner->ended = any_ended_ = true;
    }
    if (!idle_due) return;
    idle_checked_ns_ = now;
    free_stuck_claims();
    trim();
    out_of_memory_ = false;  // try again
}

// A process that was killed while it claimed a lane left it so.
void LaneSource::free_stuck_claims() {
    for (const uint32_t index : ready_) {
        uint64_t word = owner_word(file_.lane(index));
        uint64_t& before = lanes_[index].claiming_word;
        const bool stuck = REMORA_LANE_STATE(word) == REMORA_LANE_CLAIMING && word == before;
        before = word;
        // In whose pid namespace the number counts is not known yet.
        if (!stuck || find_host_pid(REMORA_LANE_PID(word), 0) != 0) continue;
        file_.offer_again(index);
    }
}

void LaneSource::finish_ended(RecordSink& sink) {
    any_ended_ = false;
    for (size_t i = owners_.size(); i > 0; --i)
        if (owners_[i - 1]->ended) finish(*owners_[i - 1], sink);
}

// Images that had been replaced by exec before we found them: nothing of theirs is still to come.
void LaneSource::finish_replaced(RecordSink& sink) {
    any_replaced_ = false;
    for (size_t i = owners_.size(); i > 0; --i)
        if (owners_[i - 1]->replaced) finish(*owners_[i - 1], sink);
}

void LaneSource::finish(Owner& owner, RecordSink& sink) {
    for (const uint32_t index : owner.lanes) {
        LaneReader& reader = lanes_[index].reader;
        reader.read_finished(copy_, sink);
        reader.read_unfinished(copy_, sink);
        reader.read_losses(monotonic_ns(), sink);
        adopt_states(owner, file_.lane(index).head);
    }
    report_end(owner, sink);
    for (const uint32_t index : owner.lanes) {
        lanes_[index].owner = nullptr;
        remove(claimed_, index);
        file_.offer_again(index);
        ready_.push_back(index);
    }
    const auto at = std::find_if(owners_.begin(), owners_.end(),
                                 [&](const auto& other) { return other.get() == &owner; });
    std::swap(*at, owners_.back());
    owners_.pop_back();
    owners_changed_ = true;
}

// Our child may have been waited for before its lane was found: then it has no handle, but a number.
std::optional<int> LaneSource::take_noted_exit(const Owner& owner) {
    const bool ours = owner.process.pid_namespace == own_namespace_;
    if (!owner.handle && !ours) return std::nullopt;
    const int pid = owner.handle ? owner.handle->host_pid() : static_cast<int>(owner.process.pid);
    const std::lock_guard lock(mutex_);
    const auto noted = exits_.find(pid);
    if (noted == exits_.end()) return std::nullopt;
    const int code = noted->second;
    exits_.erase(noted);
    return code;
}

void LaneSource::report_end(Owner& owner, RecordSink& sink) {
    remora_process& process = owner.process;
    if (owner.ended) {
        std::optional<int> code = take_noted_exit(owner);
        if (!code && owner.handle) code = owner.handle->exit_code();
        if (code) {
            process.exit_code = *code;
            process.states |= REMORA_PROCESS_EXITED;
        }
    }
    const uint64_t now = monotonic_ns();
    if (process.end_ns < process.start_ns || process.end_ns == 0 || process.end_ns > now)
        process.end_ns = now;
    sink.on_process(process);
}

void LaneSource::replenish() {
    while (ready_.size() < options_.ready_lanes && allocated_ < file_.lanes() && !out_of_memory_) {
        if (!file_.offer(allocated_)) {
            out_of_memory_ = true;  // until the next look: one system call in vain is enough
            spdlog::warn("no memory for another traced program (128 KiB of shared memory): {}",
                         strerror(errno));
            return;
        }
        ready_.push_back(allocated_++);
    }
}

// After a crowd has left. From the back only: programs look for a lane from the front and stop at
// the first ones without pages.
void LaneSource::trim() {
    while (ready_.size() > size_t{2} * options_.ready_lanes) {
        const uint32_t last = allocated_ - 1;
        if (lanes_[last].owner != nullptr || !file_.withdraw(last)) return;
        remove(ready_, last);
        --allocated_;
    }
}

}  // namespace remora
