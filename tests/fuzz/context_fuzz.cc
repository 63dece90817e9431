// SPDX-License-Identifier: Apache-2.0
// libFuzzer target of the context parsers. Lines of the input are fields: 'p' begins a traceparent,
// any other byte a tracestate. The last byte says in what pieces they come.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/context/collector.h"
#include "agent/context/sampler.h"

namespace {

using namespace remora;

struct Outcome {
    bool valid = false;
    SpanContext context;
    std::string tracestate;
    bool dropped = false;
};

void check(bool good, const char* what) {
    if (good) return;
    std::fprintf(stderr, "%s\n", what);
    std::abort();
}

Outcome collect(const std::string& bytes, size_t piece) {
    std::vector<char> storage(512);
    ContextCollector collector;
    collector.start(storage.data(), storage.size());
    for (size_t at = 0; at < bytes.size();) {
        const size_t end = std::min(bytes.find('\n', at), bytes.size());
        const auto field =
            bytes[at] == 'p' ? PropagationField::traceparent : PropagationField::tracestate;
        const size_t begin = std::min(at + 1, end);
        size_t from = begin;
        do {
            const size_t size = std::min(piece, end - from);
            const std::vector<char> copy(bytes.begin() + from, bytes.begin() + from + size);
            collector.add(field, {copy.data(), copy.size()}, from == begin, from + size == end);
            from += size;
        } while (from < end);
        at = end + 1;
    }
    Outcome out;
    out.valid = collector.context(out.context);
    check(collector.saw_traceparent() || !collector.invalid(), "invalid without a traceparent");
    const ByteView list = collector.tracestate();
    check(list.empty() || (out.valid && valid_tracestate(list)), "a bad list handed on");
    if (!list.empty()) out.tracestate.assign(list.chars(), list.size);
    out.dropped = collector.tracestate_dropped();
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string bytes(reinterpret_cast<const char*>(data), size - 1);
    const Outcome whole = collect(bytes, SIZE_MAX);
    const Outcome cut = collect(bytes, 1u + data[size - 1] % 16);
    check(whole.valid == cut.valid && whole.tracestate == cut.tracestate &&
              whole.dropped == cut.dropped,
          "pieces make a difference");
    if (whole.valid) {
        char written[traceparent_size];
        SpanContext again;
        write_traceparent(whole.context, written);
        check(parse_traceparent({written, sizeof(written)}, again) &&
                  again.flags == whole.context.flags && again.trace_id == whole.context.trace_id &&
                  again.span_id == whole.context.span_id,
              "what was written does not read back");
    }
    double ratio = 0;
    if (parse_ratio({bytes.data(), bytes.size()}, ratio))
        check(ratio >= 0 && ratio <= 1 && threshold_of_ratio(ratio) <= threshold_never, "ratio");
    return 0;
}
