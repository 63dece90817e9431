// SPDX-License-Identifier: Apache-2.0
// A RecordSink that remembers everything, in order.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/ingest/record_sink.h"

namespace remora::test {

struct LoggedExchange {
    remora_exchange exchange;
    std::string request;
    std::string tracestate;
    std::string response;
};

inline std::string to_text(ByteView bytes) { return {bytes.chars(), bytes.size}; }

class RecordLog : public RecordSink {
public:
    void on_clock(const ClockOffset& clock) override {
        clocks.push_back(clock);
        order += 'C';
    }
    void on_process(const remora_process& process) override {
        processes.push_back(process);
        order += process.end_ns == 0 ? 'p' : 'P';
    }
    void on_exchange(const ExchangeView& view) override {
        exchanges.push_back({view.exchange, to_text(view.request), to_text(view.tracestate),
                             to_text(view.response)});
        order += 'x';
    }
    void on_open(const remora_open_record& record) override {
        opens.push_back(record);
        order += 'o';
    }
    void on_data(const remora_data_record& record, ByteView bytes) override {
        data.emplace_back(record, to_text(bytes));
        order += 'd';
    }
    void on_close(const remora_close_record& record) override {
        closes.push_back(record);
        order += 'c';
    }
    void on_loss(remora_loss reason, uint64_t count) override { losses[reason] += count; }

    [[nodiscard]] uint64_t lost(remora_loss reason) const {
        const auto at = losses.find(reason);
        return at == losses.end() ? 0 : at->second;
    }

    std::vector<ClockOffset> clocks;
    std::vector<remora_process> processes;
    std::vector<LoggedExchange> exchanges;
    std::vector<remora_open_record> opens;
    std::vector<std::pair<remora_data_record, std::string>> data;
    std::vector<remora_close_record> closes;
    std::map<remora_loss, uint64_t> losses;
    std::string order;  // p process, P its last word, x exchange, o open, d data, c close, C clock
};

}  // namespace remora::test
