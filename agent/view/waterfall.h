// SPDX-License-Identifier: Apache-2.0
// The waterfall: every trace as a tree with a bar of time per span. Nothing that a span says can
// steer the terminal.
//
//   trace 4bf92f3577b34da6a3ce929d0e0e4736 · 12.4 ms · 3 spans · shop, stock · 1 error
//   shop  GET /cart           200    12.4 ms  ████████████████████████████████████████
//   └─ shop → GET /items      500 ✗  8.10 ms          ━━━━━━━━━━━━━━━━━━━━━━━━━━━
//      └─ stock  GET /items   500 ✗  7.90 ms           █████████████████████████
//
// Below a call whose connection took a notable share of it stands how: "dns 412 ms, connect 3.00
// ms".
#pragma once

#include <cstddef>
#include <string>

#include "agent/view/terminal_style.h"
#include "agent/view/trace_store.h"
#include "agent/view/trace_view.h"

namespace remora {

// One trace: header and rows, every line ended.
std::string render_trace(const TraceView& trace, const TerminalStyle& style);

// The first `most` traces in full, then one line about the others.
std::string render_waterfall(const TraceStore::Content& content, const TerminalStyle& style,
                             size_t most = 20);

}  // namespace remora
