// SPDX-License-Identifier: Apache-2.0
// What follows a head: RFC 9112, section 6.3, and where that leaves room for two readings, nothing.
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

bool tunnels(const Call& call) {
    const uint16_t status = call.state.status;
    const bool connected = (call.parse.answer_hint & hint_connect) != 0 &&
                           !call.parse.answers_nothing && status >= 200 && status < 300;
    return status == 101 || connected;
}

bool without_body(const Call& call) {
    const uint16_t status = call.state.status;
    const bool to_head = (call.parse.answer_hint & hint_head) != 0 && !call.parse.answers_nothing;
    return to_head || status < 200 || status == 204 || status == 304;
}

void end_request_head(Call& call) {
    State& state = call.state;
    Message& message = call.parse.message;
    if (state.has(mark_head)) message.answer_hint |= hint_head;
    if (state.has(mark_connect)) message.answer_hint |= hint_connect;
    message.may_switch = state.has(mark_connect | mark_upgrade);
    if (state.has(mark_coding)) {
        state.phase = Phase::chunk_size;
    } else {
        state.phase = state.has(mark_length) && state.left > 0 ? Phase::body : Phase::due;
    }
}

void end_response_head(Call& call) {
    State& state = call.state;
    Message& message = call.parse.message;
    message.error = state.status >= 500;
    message.switched = tunnels(call);
    message.interim = state.status < 200 && !message.switched;
    if (message.switched) {
        state.phase = Phase::tunnel;
    } else if (without_body(call)) {
        state.phase = Phase::due;
    } else if (state.has(mark_coding)) {
        state.phase = state.has(mark_chunked) ? Phase::chunk_size : Phase::until_close;
    } else if (state.has(mark_length)) {
        state.phase = state.left > 0 ? Phase::body : Phase::due;
    } else {
        state.phase = Phase::until_close;
    }
}

}  // namespace

void settle_framing(Call& call) noexcept {
    State& state = call.state;
    const bool coding = state.has(mark_coding);
    if (call.request()) {
        // 9112, 6.3 items 3 and 4; HTTP/1.0 has no codings (6.1). A body of CONNECT has no meaning.
        const bool last_not_chunked = coding && !state.has(mark_chunked);
        const bool body = coding || (state.has(mark_length) && state.left > 0);
        if ((coding && state.has(mark_length | mark_old)) || last_not_chunked ||
            (state.has(mark_connect) && body))
            call.doubt();
    } else if (coding && state.has(mark_length | mark_old)) {
        call.leave_alone();
        if (!without_body(call) && !tunnels(call)) call.doubt();
    }
}

Step end_head(Call& call) noexcept {
    State& state = call.state;
    if (state.has(mark_trailer)) {
        ++call.at;
        if (state.has(mark_doubt)) return call.invalid();
        state = State{};
        return call.step(Verdict::complete);
    }
    if (call.request()) {
        end_request_head(call);
    } else {
        end_response_head(call);
    }
    state.step = 0;
    // The head is known and reported; where the next message begins is not.
    if (state.has(mark_doubt) && state.phase != Phase::tunnel) state.phase = Phase::doomed;
    if (state.phase == Phase::due) {
        ++call.parse.message.head_bytes;  // the LF that is left for `complete` to consume
    } else {
        ++call.at;
    }
    return call.step(Verdict::head);
}

}  // namespace remora::protocol::http
