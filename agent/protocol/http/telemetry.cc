// SPDX-License-Identifier: Apache-2.0
// Requests that carry telemetry: exports of SDKs and agents (OTLP, Zipkin, Jaeger, Datadog) and
// scrapes by Prometheus. A path alone proves nothing: it takes method and path, and what the head
// says of its content or its sender. Paths are compared by their end: a collector may stand behind
// a prefix.
//
// Sources: OTLP specification ("OTLP/HTTP Request"), Zipkin API v2, Jaeger's collector API, the
// trace API of Datadog's agent.
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

enum Proof : uint8_t {
    proof_protobuf = 1 << 0,
    proof_json = 1 << 1,
    proof_thrift = 1 << 2,
    proof_msgpack = 1 << 3,
    proof_sdk = 1 << 4,      // the User-Agent that OTLP exporters send
    proof_scraper = 1 << 5,  // Prometheus
};

struct Path {
    template <size_t N>
    constexpr Path(const char (&text)[N], bool by_get, uint8_t any_of)
        : end(text), size(N - 1), get(by_get), proofs(any_of) {}

    const char* end;
    uint8_t size;
    bool get;        // else POST or PUT
    uint8_t proofs;  // any of these
};

// 1-based: 0 is "none of them".
constexpr Path paths[] = {
    {"/v1/traces", false, proof_protobuf | proof_json | proof_sdk},
    // An API of the program's own may have these paths and take JSON.
    {"/v1/metrics", false, proof_protobuf | proof_sdk},
    {"/v1/logs", false, proof_protobuf | proof_sdk},
    {"/v1development/profiles", false, proof_protobuf | proof_sdk},
    {"/api/v2/spans", false, proof_protobuf | proof_json},
    {"/api/v1/spans", false, proof_json | proof_thrift},
    {"/api/traces", false, proof_thrift},
    {"/v0.3/traces", false, proof_msgpack | proof_json},
    {"/v0.4/traces", false, proof_msgpack | proof_json},
    {"/v0.5/traces", false, proof_msgpack},
    {"/v0.7/traces", false, proof_msgpack},
    {"/v0.6/stats", false, proof_msgpack},
    {"/api/v2/apmtelemetry", false, proof_json},
    {"/metrics", true, proof_scraper},
};

bool starts_ignoring_case(ByteView text, ByteView start) {
    return text.size >= start.size && equal_ignoring_case(text.first(start.size), start);
}

// The type alone: parameters follow ';'.
uint8_t proof_of_type(ByteView type) {
    size_t size = 0;
    while (size < type.size && type[size] != ';' && type[size] != ' ' && type[size] != '\t') ++size;
    type = type.first(size);
    if (equal_ignoring_case(type, "application/x-protobuf")) return proof_protobuf;
    if (equal_ignoring_case(type, "application/json")) return proof_json;
    if (equal_ignoring_case(type, "application/x-thrift") ||
        equal_ignoring_case(type, "application/vnd.apache.thrift.binary"))
        return proof_thrift;
    return equal_ignoring_case(type, "application/msgpack") ? proof_msgpack : 0;
}

}  // namespace

void keep_path_end(State& state, ByteView piece) noexcept {
    if (piece.size >= path_end_max) {
        state.token_size = 0;
        return state.keep(piece.from(piece.size - path_end_max));
    }
    const size_t room = path_end_max - piece.size;
    if (state.token_size > room) {
        memmove(state.token, state.token + (state.token_size - room), room);
        state.token_size = static_cast<uint8_t>(room);
    }
    state.keep(piece);
}

void path_ends(State& state) noexcept {
    const ByteView path = state.token_view();
    if (path.empty() || !state.has(mark_get | mark_post)) return;
    const uint8_t last = path[path.size - 1];
    if (last != 's' && last != 'y') return;  // as all of them end; this is asked of every request
    for (uint8_t i = 0; i < sizeof(paths) / sizeof(paths[0]); ++i) {
        const ByteView end{paths[i].end, paths[i].size};
        if (paths[i].get != state.has(mark_get) || path.size < end.size) continue;
        if (path.from(path.size - end.size) == end)
            state.telemetry_path = static_cast<uint8_t>(i + 1);
    }
}

void content_type_ends(State& state) noexcept {
    if (!state.overflowed())
        state.telemetry_proofs =
            static_cast<uint8_t>(state.telemetry_proofs | proof_of_type(state.token_view()));
}

void user_agent_ends(State& state) noexcept {
    const ByteView agent = state.token_view();
    uint8_t proof = 0;
    if (starts_ignoring_case(agent, "OTel-OTLP-Exporter") ||
        starts_ignoring_case(agent, "OTel OTLP Exporter"))
        proof = proof_sdk;
    if (starts_ignoring_case(agent, "Prometheus/")) proof = proof_scraper;
    state.telemetry_proofs = static_cast<uint8_t>(state.telemetry_proofs | proof);
}

bool carries_telemetry(const State& state) noexcept {
    return state.telemetry_path != 0 &&
           (paths[state.telemetry_path - 1].proofs & state.telemetry_proofs) != 0;
}

}  // namespace remora::protocol::http
