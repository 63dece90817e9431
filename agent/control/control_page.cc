// SPDX-License-Identifier: Apache-2.0
#include "agent/control/control_page.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "agent/base/clock.h"
#include "agent/base/sealed_memory.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010  // Linux 5.1
#endif

namespace remora {

namespace {

constexpr int size_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

// After the only writable mapping was made.
Status make_read_only(int fd) {
    if (::fcntl(fd, F_ADD_SEALS, size_seals | F_SEAL_FUTURE_WRITE) == 0) return Done{};
    if (auto sealed = seal_memory(fd, size_seals); !sealed) return sealed;
    if (::fchmod(fd, 0444) != 0) return Error{"cannot protect the control page", errno};
    return Done{};
}

uint64_t own_pid_namespace_inode() {
    struct stat status {};
    return ::stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
}

uint32_t switches_of(const Config& config, bool process_spans) {
    uint32_t switches = 0;
    if (config.disabled) switches |= REMORA_SWITCH_DISABLED;
    if (config.sdk_disabled) switches |= REMORA_SWITCH_SDK_DISABLED;
    if (config.sampler_forced) switches |= REMORA_SWITCH_SAMPLER_FORCED;
    if (!config.propagate)
        switches |= REMORA_SWITCH_NO_PROPAGATION | REMORA_SWITCH_NO_INGRESS_INSERT |
                    REMORA_SWITCH_NO_INJECT;
    if (config.trace_telemetry) switches |= REMORA_SWITCH_TRACE_TELEMETRY;
    if (!process_spans) switches |= REMORA_SWITCH_NO_PROCESS_SPANS;
    return switches;
}

}  // namespace

Result<ControlPage> ControlPage::create(const SessionId& id, uint32_t lanes) {
    auto fd = create_sealable_memory(REMORA_CONTROL_MEMFD);
    if (!fd) return fd.error();
    if (::ftruncate(fd->get(), REMORA_CONTROL_BYTES) != 0)
        return Error{"cannot size the control page", errno};
    // Its memory now, or a clear error: later a missing page would be a SIGBUS.
    if (::fallocate(fd->get(), 0, 0, REMORA_CONTROL_BYTES) != 0)
        return Error{"no memory for the control page", errno};
    void* memory =
        ::mmap(nullptr, REMORA_CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd->get(), 0);
    if (memory == MAP_FAILED) return Error{"cannot map the control page", errno};
    ControlPage control;
    control.page_ = static_cast<remora_control*>(memory);
    if (auto done = make_read_only(fd->get()); !done) return done.error();
    const std::string path = "/proc/self/fd/" + std::to_string(fd->get());
    control.read_only_.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!control.read_only_)
        return Error{"cannot open the control page again for reading (is /proc mounted?)", errno};
    remora_control& page = *control.page_;
    page.abi_version = REMORA_ABI_VERSION;
    page.lanes = lanes;
    memcpy(page.session, id.bytes, sizeof(page.session));
    page.threshold = 0;
    page.sampler = REMORA_SAMPLER_PARENT_ALWAYS_ON;
    page.pid_namespace = own_pid_namespace_inode();
    page.magic = REMORA_CONTROL_MAGIC;
    control.beat();
    return control;
}

void ControlPage::publish(const Config& config, bool process_spans) {
    __atomic_store_n(&page_->threshold, config.sampler.threshold, __ATOMIC_RELAXED);
    __atomic_store_n(&page_->sampler, uint32_t{config.sampler.kind}, __ATOMIC_RELAXED);
    const size_t named = std::min<size_t>(config.named_fields.size(), REMORA_NAMED_FIELDS_MAX);
    std::copy_n(config.named_fields.begin(), named, page_->named);
    __atomic_store_n(&page_->named_fields, static_cast<uint32_t>(named), __ATOMIC_RELEASE);
    __atomic_store_n(&page_->switches, switches_of(config, process_spans), __ATOMIC_RELAXED);
}

void ControlPage::beat() {
    __atomic_store_n(&page_->heartbeat_ns, monotonic_ns(), __ATOMIC_RELAXED);
}

void ControlPage::retire() {
    __atomic_fetch_or(&page_->switches, uint32_t{REMORA_SWITCH_SDK_DISABLED}, __ATOMIC_RELAXED);
    __atomic_store_n(&page_->heartbeat_ns, 0, __ATOMIC_RELAXED);
}

ControlPage::ControlPage(ControlPage&& other) noexcept
    : read_only_(std::move(other.read_only_)), page_(std::exchange(other.page_, nullptr)) {}

ControlPage::~ControlPage() {
    if (page_ != nullptr) ::munmap(page_, REMORA_CONTROL_BYTES);
}

}  // namespace remora
