// SPDX-License-Identifier: Apache-2.0
// libFuzzer target of one protocol, REMORA_FUZZ_PROTOCOL: any bytes, in any pieces. The parser must
// keep the contract of protocol.h and say the same as of the whole. The last two bytes of an input
// say how it is read, so that files of the corpus are seeds as they are.
#include <cstdio>
#include <cstdlib>

#include "tests/support/transcript.h"

namespace {

using remora::test::Direction;
using remora::test::Reading;
using remora::test::Transcript;

[[noreturn]] void fail(const std::string& what) {
    std::fprintf(stderr, "%s\n", what.c_str());
    std::abort();
}

// Pieces of 1 to 64 bytes, by a small generator so that an input repeats.
Reading reading_of(uint8_t seed, bool use_skip) {
    Reading reading;
    reading.use_skip = use_skip;
    reading.piece = [state = uint32_t{seed}](size_t) mutable {
        state = state * 1664525u + 1013904223u;
        return static_cast<size_t>(1 + (state >> 24) % 64);
    };
    return reading;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const remora::Protocol* const protocol =
        remora::find_protocol({REMORA_FUZZ_PROTOCOL, sizeof(REMORA_FUZZ_PROTOCOL) - 1});
    if (protocol == nullptr) fail("no such protocol: " REMORA_FUZZ_PROTOCOL);
    if (size < 2) return 0;
    const uint8_t how = data[size - 1];
    const std::string bytes(reinterpret_cast<const char*>(data), size - 2);
    const bool asks = (how & 1) == 0;
    Direction direction{*protocol,
                        asks ? remora::MessageKind::request : remora::MessageKind::response, bytes,
                        std::vector<uint32_t>(how >> 6, (how >> 4) & 3)};
    direction.switches_declined = (how & 2) != 0;
    const Transcript whole = transcribe(direction);
    const Transcript cut = transcribe(direction, reading_of(data[size - 2], (how & 4) != 0));
    if (!whole.failure.empty()) fail(whole.failure);
    if (!cut.failure.empty()) fail(cut.failure);
    if (whole.events != cut.events) fail("whole:\n" + whole.text() + "cut:\n" + cut.text());
    if (asks) protocol->detect({bytes.data(), bytes.size()});
    return 0;
}
