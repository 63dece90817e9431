// SPDX-License-Identifier: Apache-2.0
#include "preload/exchange.h"

#include "preload/pool.h"

namespace remora::shim {
namespace {

// 262,144 open exchanges, 10,240 tracestates at most; memory is touched as it is used.
constinit Pool<Exchange, 128, 2048> exchanges;
struct TracestateBuffer {
    char text[REMORA_TRACESTATE_MAX];
};
constinit Pool<TracestateBuffer, 16, 640> tracestates;
struct PendingText {
    char text[pending_text_max];
};
constinit Pool<PendingText, 4, 512> pending_texts;

// Open-addressed and probed in a whole window, so that a removal needs no tombstone: a lookup reads
// the window to its end whatever it meets.
class SpanTable {
public:
    static constexpr uint32_t size_bits = 13;
    static constexpr uint32_t size = 1u << size_bits;  // 128 KiB, of which only used pages are real
    static constexpr uint32_t window = 32;

    bool add(uint64_t key, uint32_t index) noexcept {
        const uint32_t start = hash(key);
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entries_[(start + i) % size];
            uint32_t empty = 0;
            if (entry.index.load(std::memory_order_relaxed) == 0 &&
                entry.index.compare_exchange_strong(empty, index, std::memory_order_acq_rel)) {
                entry.key.store(key, std::memory_order_release);
                return true;
            }
        }
        return false;
    }

    void remove(uint64_t key, uint32_t index) noexcept {
        const uint32_t start = hash(key);
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entries_[(start + i) % size];
            if (entry.index.load(std::memory_order_relaxed) != index) continue;
            entry.key.store(0, std::memory_order_relaxed);
            entry.index.store(0, std::memory_order_release);
            return;
        }
    }

    // Calls visit(index) for each entry that may match; it verifies.
    template <class Visit>
    void each(uint64_t key, Visit visit) noexcept {
        const uint32_t start = hash(key);
        for (uint32_t i = 0; i < window; ++i) {
            Entry& entry = entries_[(start + i) % size];
            if (entry.key.load(std::memory_order_acquire) != key) continue;
            const uint32_t index = entry.index.load(std::memory_order_acquire);
            if (index != 0) visit(index);
        }
    }

    void clear() noexcept {
        for (Entry& entry : entries_) {
            if (entry.index.load(std::memory_order_relaxed) == 0) continue;  // keeps pages clean
            entry.key.store(0, std::memory_order_relaxed);
            entry.index.store(0, std::memory_order_relaxed);
        }
    }

private:
    struct Entry {
        std::atomic<uint64_t> key;
        std::atomic<uint32_t> index;
    };
    // Ids are random, but a peer chooses the origin's, and may count them up: the product's highest
    // bits depend on every bit of the key.
    static uint32_t hash(uint64_t key) noexcept {
        return static_cast<uint32_t>((key * 0x9e3779b97f4a7c15ull) >> (64 - size_bits));
    }
    Entry entries_[size] = {};
};

constinit SpanTable live_spans;
constinit SpanTable live_origins;
// Open server spans whose origin found no place: while there are any, "exactly one" can't be known.
constinit std::atomic<uint32_t> unlisted_origins{0};

// A consistent copy, or false: the exchange is being changed or has moved on.
template <class Take>
bool snapshot(uint32_t index, Take take) noexcept {
    Exchange* exchange = exchanges.find(index);
    if (exchange == nullptr) return false;
    const uint32_t before = exchange->version.load(std::memory_order_acquire);
    if (before & 1) return false;
    const bool taken = take(*exchange);
    std::atomic_thread_fence(std::memory_order_acquire);
    return taken && exchange->version.load(std::memory_order_relaxed) == before;
}

// The tracestate's buffer may be given to somebody else meanwhile: the version tells.
void copy_context(const Exchange& from, ContextSnapshot& out) noexcept {
    out.context = from.context;
    const uint16_t size = from.tracestate_size;
    out.tracestate_size = size <= REMORA_TRACESTATE_MAX ? size : 0;
    const TracestateBuffer* text = tracestates.find(from.tracestate);
    if (text == nullptr)
        out.tracestate_size = 0;
    else
        memcpy(out.tracestate, text->text, out.tracestate_size);
}

}  // namespace

uint32_t allocate_exchange() noexcept { return exchanges.allocate(); }
void free_exchange(uint32_t index) noexcept { exchanges.free(index); }
Exchange& exchange_at(uint32_t index) noexcept { return exchanges.at(index); }

void begin_change(Exchange& exchange) noexcept {
    const uint32_t version = exchange.version.load(std::memory_order_relaxed);
    exchange.version.store(version | 1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);  // partner: snapshot()'s first load
}
void end_change(Exchange& exchange) noexcept {
    const uint32_t version = exchange.version.load(std::memory_order_relaxed);
    exchange.version.store((version | 1) + 1, std::memory_order_release);
}

uint32_t allocate_tracestate() noexcept { return tracestates.allocate(); }
void free_tracestate(uint32_t index) noexcept {
    if (index != 0) tracestates.free(index);
}
char* tracestate_at(uint32_t index) noexcept {
    return index == 0 ? nullptr : tracestates.at(index).text;
}

uint32_t allocate_pending_text() noexcept { return pending_texts.allocate(); }
void free_pending_text(uint32_t index) noexcept {
    if (index != 0) pending_texts.free(index);
}
char* pending_text_at(uint32_t index) noexcept { return pending_texts.at(index).text; }

void list_live_span(uint32_t index) noexcept {
    Exchange& exchange = exchange_at(index);
    exchange.listed = live_spans.add(exchange.context.span_id.key(), index);
    if (!exchange.origin.valid()) return;
    exchange.origin_listed = live_origins.add(exchange.origin.key(), index);
    exchange.origin_unlisted = !exchange.origin_listed;
    if (exchange.origin_unlisted) unlisted_origins.fetch_add(1, std::memory_order_acq_rel);
}

void unlist_live_span(uint32_t index) noexcept {
    Exchange& exchange = exchange_at(index);
    if (exchange.listed) live_spans.remove(exchange.context.span_id.key(), index);
    if (exchange.origin_listed) live_origins.remove(exchange.origin.key(), index);
    if (exchange.origin_unlisted) unlisted_origins.fetch_sub(1, std::memory_order_acq_rel);
    exchange.listed = exchange.origin_listed = exchange.origin_unlisted = false;
}

bool snapshot_exchange(uint32_t index, const void* reader, ContextSnapshot& out) noexcept {
    return snapshot(index, [&](const Exchange& e) {
        copy_context(e, out);
        return e.decided && e.reader.load(std::memory_order_relaxed) == reader;
    });
}

bool read_by(uint32_t index, const void* reader) noexcept {
    const Exchange* exchange = exchanges.find(index);
    return exchange != nullptr && exchange->reader.load(std::memory_order_relaxed) == reader;
}

Match find_live_span(const TraceId& trace, const SpanId& span, ContextSnapshot& out) noexcept {
    Match match = Match::none;
    live_spans.each(span.key(), [&](uint32_t index) {
        ContextSnapshot found;
        if (!snapshot(index, [&](const Exchange& e) {
                copy_context(e, found);
                return e.context.span_id == span && e.context.trace_id == trace;
            }))
            return;
        match = match == Match::none ? Match::one : Match::several;
        out = found;
    });
    return match;
}

Match find_live_origin(const TraceId& trace, const SpanId& parent, ContextSnapshot& out) noexcept {
    if (unlisted_origins.load(std::memory_order_acquire) != 0) return Match::several;
    Match match = Match::none;
    live_origins.each(parent.key(), [&](uint32_t index) {
        ContextSnapshot found;
        if (!snapshot(index, [&](const Exchange& e) {
                copy_context(e, found);
                return e.origin == parent && e.context.trace_id == trace;
            }))
            return;
        match = match == Match::none ? Match::one : Match::several;
        out = found;
    });
    return match;
}

void forget_live_spans() noexcept {
    live_spans.clear();
    live_origins.clear();
    unlisted_origins.store(0, std::memory_order_relaxed);
}

void reset_exchange(Exchange& exchange) noexcept {
    begin_change(exchange);
    exchange.next = 0;
    exchange.context = SpanContext{};
    exchange.parent = exchange.origin = SpanId{};
    exchange.slot = SlotRef{};
    exchange.tracestate = 0;
    exchange.tracestate_size = exchange.marks = 0;
    exchange.opening_recorded = exchange.request_captured = exchange.response_captured = 0;
    exchange.recorded_tracestate = 0;
    exchange.reader.store(nullptr, std::memory_order_relaxed);
    exchange.key = 0;
    exchange.answer_hint = 0;
    exchange.batch = 1;
    exchange.answered = exchange.sequence = 0;
    exchange.role = REMORA_ROLE_UNKNOWN;
    exchange.join = REMORA_JOIN_ROOT;
    exchange.decided = exchange.inserted = exchange.listed = exchange.origin_listed = false;
    exchange.origin_unlisted = exchange.may_switch = false;
    exchange.one_way = exchange.request_planned = exchange.carries_context = false;
    exchange.progress.store(0, std::memory_order_relaxed);
    exchange.start_ns = exchange.response_end_ns = 0;
    exchange.request_bytes = exchange.request_body_bytes = 0;
    exchange.response_bytes = exchange.response_body_bytes = 0;
}

void retire(uint32_t index) noexcept {
    Exchange& exchange = exchange_at(index);
    begin_change(exchange);
    exchange.decided = false;
    exchange.reader.store(nullptr, std::memory_order_relaxed);
    exchange.context = SpanContext{};
    free_tracestate(exchange.tracestate);
    exchange.tracestate = 0;
    end_change(exchange);
    free_exchange(index);
}

}  // namespace remora::shim
