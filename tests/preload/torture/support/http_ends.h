// SPDX-License-Identifier: Apache-2.0
// The two ends that check: a server that reads what a traced client sends, a client that reads what
// a traced server answers. Both know the stream, and work at their own, random pace.
#pragma once

#include <string>
#include <vector>

#include "tests/preload/torture/support/http_stream.h"

namespace torture {

// What came of one connection.
struct Seen {
    std::vector<std::string> heads;
    std::string problem = "never came";
};

struct Pace {
    size_t piece = 100'000;  // moved at once, at most
    bool slow = false;
    bool early = false;       // server: answers once the head is there
    bool pipelined = false;   // client: does not wait for answers
    bool half_close = false;  // client: at the end, and then reads to the end
};

// Reads all requests, whose heads may have been rewritten, compares bodies and tail, answers.
Seen serve_and_check(int fd, const Stream& stream, const Pace& pace, Random random);
// Sends all requests and compares the answers. Empty: as they should be.
std::string ask_and_check(int fd, const Stream& stream, const Pace& pace, Random random);

}  // namespace torture
