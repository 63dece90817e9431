// SPDX-License-Identifier: Apache-2.0
// The OpenTelemetry resource of every process image: who made the span. One object, shared by all
// spans of the image. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "agent/context/ids.h"
#include "agent/span/span.h"
#include "agent/span/span_sink.h"
#include "bpf/abi/record.h"

namespace remora {

// What the agent's own configuration says; a process's own environment wins.
struct ResourceDefaults {
    std::string service_name;  // OTEL_SERVICE_NAME; empty: none
    std::string attributes;    // OTEL_RESOURCE_ATTRIBUTES, unparsed
    std::string refused;       // the same, which the user was already told can't be read
};

// service.name comes from, in this order: OTEL_SERVICE_NAME, service.name in
// OTEL_RESOURCE_ATTRIBUTES, the script of an interpreter, the executable's name.
class ResourceTable {
public:
    ResourceTable(ResourceDefaults defaults, CountLoss count_loss);

    // A process appeared, changed or ended (end_ns != 0). Forks without exec share an image; it has
    // ended when the last process of it has.
    void update(const remora_process& process);

    // True once per image: its process span is exported once, however often its end is reported.
    bool take_process_span(uint64_t image);

    // Never null: an image that nobody announced gets a resource without a process. process_id: a
    // forked worker has a pid and an instance id of its own; 0 is the image's first process.
    [[nodiscard]] std::shared_ptr<const Resource> find(uint64_t image, uint32_t process_id = 0);

    [[nodiscard]] size_t size() const { return entries_.size(); }

    // Exchanges of a process may still be on their way when its end is known, so the entries of
    // ended images stay, the latest this many.
    static constexpr size_t ended_limit = 1024;
    static constexpr size_t entries_limit = 16384;
    // Bad OTEL_RESOURCE_ATTRIBUTES that are told of: a program may think up new ones for ever.
    static constexpr unsigned refusals_limit = 8;

private:
    struct Entry {
        std::shared_ptr<const Resource> resource;
        remora_process process;  // as last seen
        std::string instance_id;
        std::unordered_set<uint32_t> pids;  // of the image's living processes
        std::unordered_map<uint32_t, std::shared_ptr<const Resource>> workers;  // forked ones
        bool ended = false;
        bool process_span_taken = false;
    };

    Entry* insert(const remora_process& process);
    void end(Entry& entry, const remora_process& process);
    void drop_oldest_ended();
    std::shared_ptr<const Resource> make(const remora_process& process,
                                         const std::string& instance_id);
    std::vector<Attribute> user_attributes(const remora_process& process);
    void set_service(const remora_process& process, Resource& resource) const;
    std::string new_instance_id();

    ResourceDefaults defaults_;
    CountLoss count_loss_;
    IdGenerator ids_;
    std::vector<Attribute> host_;  // of every resource
    uint64_t own_namespace_;       // of pids
    std::string container_;        // ours
    std::shared_ptr<const Resource> unknown_;
    std::unordered_map<uint64_t, Entry> entries_;
    std::deque<uint64_t> ended_;  // images, oldest first
    std::string last_refused_;    // attributes that were warned about
    unsigned refusals_told_ = 0;
};

}  // namespace remora
