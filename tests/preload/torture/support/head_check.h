// SPDX-License-Identifier: Apache-2.0
// The oracle: what may have become of a request's bytes on their way through the shim.
#pragma once

#include <string>

#include "tests/preload/torture/support/http_stream.h"

namespace torture {

// How a head came out.
struct HeadVerdict {
    enum class What {
        untouched,
        inserted,  // a traceparent line before the blank line, invalid lines gone
        replaced,  // the value of the valid line
        wrong,
    };
    What what = What::wrong;
    std::string explanation;               // of `wrong`
    std::string trace_id, span_id, flags;  // that it now carries
};

// `sent` by one end and `seen` by the other, both to the end of the blank line. may_replace: a
// valid traceparent may come to name a span of ours.
HeadVerdict check_head(const Request& sent, const std::string& seen, bool may_replace);

// Cuts a byte stream into the requests that it is known to be made of. 0: not there yet.
size_t head_size_at(const std::string& bytes, size_t at);

}  // namespace torture
