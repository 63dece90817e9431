// SPDX-License-Identifier: Apache-2.0
#include "agent/span/resource_table.h"

#include <spdlog/spdlog.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstring>
#include <string_view>
#include <utility>

#include "agent/base/key_value_list.h"
#include "agent/base/utf8.h"
#include "agent/ingest/proc_files.h"
#include "agent/span/host_attributes.h"
#include "agent/span/span_text.h"

namespace remora {
namespace {

constexpr size_t pids_limit =
    4096;  // of one image; a hostile writer may invent as many as it likes

// The texts of `process` that a resource is made of.
bool same_texts(const remora_process& a, const remora_process& b) {
    return memcmp(a.executable, b.executable, sizeof(a.executable)) == 0 &&
           memcmp(a.command, b.command, sizeof(a.command)) == 0 &&
           memcmp(a.service_name, b.service_name, sizeof(a.service_name)) == 0 &&
           memcmp(a.attributes, b.attributes, sizeof(a.attributes)) == 0;
}

// The record cuts long texts. Where the whole text is known to the agent too (it handed its own
// environment to the program), the whole one stands.
template <size_t N>
std::string_view environment_text(const char (&field)[N], const std::string& ours) {
    const std::string_view theirs = field_text(field);
    const bool cut = theirs.size() >= N - 1;
    if (theirs.empty() || (cut && ours.compare(0, theirs.size(), theirs) == 0)) return ours;
    return theirs;
}

// command: argv[0], NUL, and for interpreters the script.
std::string_view script_of(const remora_process& process) {
    const std::string_view command = field_text(process.command);
    const size_t used = command.size() + 1;
    if (command.empty() || used >= sizeof(process.command)) return {};
    const std::string_view rest(process.command + used, sizeof(process.command) - used);
    const std::string_view script = rest.substr(0, rest.find('\0'));
    // An option is no script; and options may hold secrets.
    return script.substr(0, 1) == "-" ? std::string_view() : script;
}

std::string_view program_name(const remora_process& process) {
    const std::string_view name = base_name(field_text(process.executable));
    return name.empty() ? base_name(field_text(process.command)) : name;
}

void set_constants(const std::vector<Attribute>& host, std::vector<Attribute>& attributes) {
    for (const Attribute& attribute : host)
        set_if_absent(attributes, attribute.key, attribute.value);
    set_if_absent(attributes, "telemetry.sdk.name", "remora");
    set_if_absent(attributes, "telemetry.sdk.language", "cpp");
    set_if_absent(attributes, "telemetry.sdk.version", REMORA_VERSION);
    set_if_absent(attributes, "telemetry.distro.name", "remora");
    set_if_absent(attributes, "telemetry.distro.version", REMORA_VERSION);
}

// The runtime that the executable's name stands for, and the version where it is part of it.
void set_runtime(const remora_process& process, std::vector<Attribute>& attributes) {
    struct Runtime {
        std::string_view program, name;
    };
    constexpr Runtime runtimes[] = {
        {"python", "cpython"}, {"node", "nodejs"}, {"ruby", "ruby"}, {"php", "php"}};
    const std::string_view program = program_name(process);
    for (const Runtime& runtime : runtimes) {
        if (program.substr(0, runtime.program.size()) != runtime.program) continue;
        const std::string_view version = program.substr(runtime.program.size());
        if (version.find_first_not_of("0123456789.") != std::string_view::npos) continue;
        set_if_absent(attributes, "process.runtime.name", std::string(runtime.name));
        if (!version.empty())
            set_if_absent(attributes, "process.runtime.version", std::string(version));
    }
}

}  // namespace

ResourceTable::ResourceTable(ResourceDefaults defaults, CountLoss count_loss)
    : defaults_(std::move(defaults)),
      count_loss_(std::move(count_loss)),
      host_(host_attributes()),
      own_namespace_(own_pid_namespace()),
      container_(own_container_id()) {
    uint64_t seed[4] = {};
    // Instance ids need to differ, not to be secret: a short read still leaves the time-free zeros
    // that seed() mends.
    if (::getrandom(seed, sizeof(seed), 0) < 0) seed[0] = static_cast<uint64_t>(::getpid());
    ids_.seed(seed);
    auto unknown = std::make_shared<Resource>();
    unknown->attributes.push_back({"service.name", "unknown_service"});
    set_constants(host_, unknown->attributes);
    unknown_ = std::move(unknown);
}

void ResourceTable::update(const remora_process& process) {
    auto found = entries_.find(process.image);
    Entry* entry = found == entries_.end() ? insert(process) : &found->second;
    if (entry == nullptr) return;
    if (entry->pids.size() < pids_limit) entry->pids.insert(process.pid);
    entry->ended = false;
    // A forked worker says nothing new about the image that it shares.
    const bool forked = (process.states & REMORA_PROCESS_FORKED) != 0;
    const bool known_from_fork = (entry->process.states & REMORA_PROCESS_FORKED) != 0;
    if (!forked && (known_from_fork || !same_texts(process, entry->process))) {
        entry->resource = make(process, entry->instance_id);
        entry->process = process;
        entry->workers.clear();
    }
    if (process.end_ns != 0) end(*entry, process);
}

bool ResourceTable::take_process_span(uint64_t image) {
    const auto found = entries_.find(image);
    return found == entries_.end() || !std::exchange(found->second.process_span_taken, true);
}

std::shared_ptr<const Resource> ResourceTable::find(uint64_t image, uint32_t process_id) {
    const auto found = entries_.find(image);
    if (found == entries_.end()) return unknown_;
    Entry& entry = found->second;
    if (process_id == 0 || process_id == entry.process.pid) return entry.resource;
    const auto worker = entry.workers.find(process_id);
    if (worker != entry.workers.end()) return worker->second;
    if (entry.workers.size() >= pids_limit) entry.workers.clear();
    remora_process process = entry.process;
    process.pid = process_id;
    process.parent_pid = 0;  // most often the first process, but nobody said so
    return entry.workers[process_id] = make(process, new_instance_id());
}

ResourceTable::Entry* ResourceTable::insert(const remora_process& process) {
    while (entries_.size() >= entries_limit && !ended_.empty()) drop_oldest_ended();
    if (entries_.size() >= entries_limit) {
        count_loss_(REMORA_LOSS_process_table_full, 1);
        return nullptr;
    }
    Entry entry;
    entry.instance_id = new_instance_id();
    entry.process = process;
    entry.resource = make(process, entry.instance_id);
    return &entries_.emplace(process.image, std::move(entry)).first->second;
}

void ResourceTable::end(Entry& entry, const remora_process& process) {
    entry.pids.erase(process.pid);
    if (!entry.pids.empty()) return;
    entry.ended = true;
    ended_.push_back(process.image);
    if (ended_.size() > ended_limit) drop_oldest_ended();
}

void ResourceTable::drop_oldest_ended() {
    const auto found = entries_.find(ended_.front());
    ended_.pop_front();
    // A fork that was heard of late may have brought the image back to life.
    if (found != entries_.end() && found->second.ended) entries_.erase(found);
}

std::shared_ptr<const Resource> ResourceTable::make(const remora_process& process,
                                                    const std::string& instance_id) {
    auto resource = std::make_shared<Resource>();
    auto& attributes = resource->attributes;
    attributes = user_attributes(process);
    set_service(process, *resource);
    set_if_absent(attributes, "service.instance.id", instance_id);
    set_if_absent(attributes, "process.pid", int64_t{process.pid});
    const std::string_view path = field_text(process.executable);
    set_if_absent(attributes, "process.executable.name", sanitize_utf8(program_name(process)));
    if (!path.empty()) set_if_absent(attributes, "process.executable.path", sanitize_utf8(path));
    if (process.parent_pid != 0)
        set_if_absent(attributes, "process.parent_pid", int64_t{process.parent_pid});
    // argv[0] alone: arguments may hold secrets.
    const std::string_view command = field_text(process.command);
    if (!command.empty()) set_if_absent(attributes, "process.command", sanitize_utf8(command));
    set_runtime(process, attributes);
    // Programs that run beside us share our container; others have a pid namespace of their own.
    if (!container_.empty() && process.pid_namespace == own_namespace_)
        set_if_absent(attributes, "container.id", container_);
    set_constants(host_, attributes);
    return resource;
}

std::vector<Attribute> ResourceTable::user_attributes(const remora_process& process) {
    const std::string_view text = environment_text(process.attributes, defaults_.attributes);
    const auto parsed = parse_key_value_list(text);
    if (parsed) {
        std::vector<Attribute> attributes;
        for (const auto& [key, value] : *parsed) attributes.push_back({key, value});
        return attributes;
    }
    // Every image of a service has the same, cut or not; so has the agent that started it.
    if (refusals_told_ < refusals_limit && last_refused_ != text &&
        defaults_.refused.compare(0, text.size(), text) != 0) {
        last_refused_ = text;
        ++refusals_told_;
        spdlog::warn(
            "OTEL_RESOURCE_ATTRIBUTES ignored: {}; write key=value,key=value with %XX for "
            "',', '=' and '%'{}",
            parsed.error().text(),
            refusals_told_ == refusals_limit ? " (no more such lines from here on)" : "");
    }
    return {};
}

void ResourceTable::set_service(const remora_process& process, Resource& resource) const {
    std::string_view name = environment_text(process.service_name, defaults_.service_name);
    const bool given =
        resource.text("service.name") != nullptr && !resource.text("service.name")->empty();
    if (name.empty() && given) return;
    if (name.empty()) name = base_name(script_of(process));
    if (name.empty()) name = program_name(process);
    if (name.empty()) name = "unknown_service";
    auto& attributes = resource.attributes;
    for (Attribute& attribute : attributes)
        if (attribute.key == "service.name") {
            attribute.value = sanitize_utf8(name);
            return;
        }
    attributes.insert(attributes.begin(), Attribute{"service.name", sanitize_utf8(name)});
}

// A random UUID (RFC 9562, version 4), as the conventions ask for.
std::string ResourceTable::new_instance_id() {
    TraceId id = ids_.trace_id();
    id.bytes[6] = static_cast<uint8_t>((id.bytes[6] & 0x0f) | 0x40);
    id.bytes[8] = static_cast<uint8_t>((id.bytes[8] & 0x3f) | 0x80);
    char digits[32];
    write_hex(id.bytes, sizeof(id.bytes), digits);
    const std::string_view hex(digits, sizeof(digits));
    std::string text;
    size_t offset = 0;
    for (const size_t count : {8u, 4u, 4u, 4u, 12u}) {
        if (offset > 0) text += '-';
        text += hex.substr(offset, count);
        offset += count;
    }
    return text;
}

}  // namespace remora
