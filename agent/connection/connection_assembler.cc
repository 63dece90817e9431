// SPDX-License-Identifier: Apache-2.0
#include "agent/connection/connection_assembler.h"

#include <sys/random.h>

#include <algorithm>

namespace remora {

ConnectionAssembler::ConnectionAssembler(const AssemblerOptions& options, RecordSink& next)
    : options_(options), next_(next), pool_(options.exchanges_max) {
    uint64_t words[4];
    std::copy(std::begin(options.seed), std::end(options.seed), words);
    if ((words[0] | words[1] | words[2] | words[3]) == 0)
        (void)!::getrandom(words, sizeof(words), 0);
    ids_.seed(words);
}

Connection* ConnectionAssembler::find_or_add(uint64_t image, uint64_t connection) {
    const Key key{image, connection};
    const auto found = connections_.find(key);
    if (found != connections_.end()) return found->second.get();
    if (connections_.size() >= options_.connections_max) {
        next_.on_loss(REMORA_LOSS_connection_table_full, 1);
        return nullptr;
    }
    auto& added = connections_[key];
    added = std::make_unique<Connection>(
        ConnectionWorld{next_, pool_, ids_, options_.sampler, options_.named_fields,
                        options_.trace_telemetry},
        image, connection);
    return added.get();
}

void ConnectionAssembler::on_open(const remora_open_record& record) {
    // The same name again: the end of the earlier one was missed.
    const auto earlier = connections_.find(Key{record.header.image, record.connection});
    if (earlier != connections_.end()) {
        earlier->second->end(REMORA_END_UNFOLLOWED, 0, record.header.time_ns);
        connections_.erase(earlier);
    }
    if (Connection* connection = find_or_add(record.header.image, record.connection))
        connection->opened(record);
    look_for_idle(record.header.time_ns);
}

void ConnectionAssembler::on_data(const remora_data_record& record, ByteView bytes) {
    if (Connection* connection = find_or_add(record.header.image, record.connection))
        connection->data(record, bytes);
    look_for_idle(record.header.time_ns);
}

void ConnectionAssembler::on_close(const remora_close_record& record) {
    const auto found = connections_.find(Key{record.header.image, record.connection});
    if (found == connections_.end()) return;
    found->second->closed(record);
    connections_.erase(found);
}

void ConnectionAssembler::on_process(const remora_process& process) {
    // Forks share their image's connections: theirs end with the image.
    if (process.end_ns != 0 && (process.states & REMORA_PROCESS_FORKED) == 0)
        std::erase_if(connections_, [&process](const auto& entry) {
            if (entry.first.image != process.image) return false;
            entry.second->end(REMORA_END_PROCESS, 0, process.end_ns);
            return true;
        });
    next_.on_process(process);
}

void ConnectionAssembler::look_for_idle(uint64_t now) {
    now_ns_ = std::max(now_ns_, now);
    if (now_ns_ - idle_checked_ns_ < options_.idle_limit_ns / 16) return;
    idle_checked_ns_ = now_ns_;
    if (now_ns_ < options_.idle_limit_ns) return;
    const uint64_t limit = now_ns_ - options_.idle_limit_ns;
    std::erase_if(connections_, [limit](const auto& entry) {
        entry.second->end_idle(limit);
        // Its end was missed, or will be: what comes after all is taken for a new one.
        return entry.second->activity_ns() < limit && !entry.second->has_open_exchanges();
    });
}

void ConnectionAssembler::stop() {
    for (const auto& [key, connection] : connections_)
        connection->end(REMORA_END_UNFOLLOWED, 0, std::max(now_ns_, connection->activity_ns()));
    connections_.clear();
}

}  // namespace remora
