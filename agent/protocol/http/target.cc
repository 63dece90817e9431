// SPDX-License-Identifier: Apache-2.0
// The request target on its way into the capture. Secrets must not leave the process, so they are
// taken out while the target streams through: the user in an authority, and the values of the query
// keys that OpenTelemetry's HTTP conventions list (matched as they are, case and all).
#include "agent/protocol/http/state.h"

namespace remora::protocol::http {
namespace {

// The path must not crowd out the fields that follow it.
constexpr uint16_t captured_target_max = 700;

bool sensitive(ByteView key) {
    return key == ByteView{"AWSAccessKeyId"} || key == ByteView{"Signature"} ||
           key == ByteView{"sig"} || key == ByteView{"X-Goog-Signature"} ||
           key == ByteView{"X-Amz-Signature"} || key == ByteView{"X-Amz-Credential"} ||
           key == ByteView{"X-Amz-Security-Token"};
}

void emit(Call& call, ByteView piece) {
    const size_t room = static_cast<size_t>(captured_target_max - call.state.captured);
    if (piece.size > room) call.parse.capture.cut = true;
    piece = piece.first(room);
    call.state.captured = static_cast<uint16_t>(call.state.captured + piece.size);
    call.parse.capture.append(piece);
}

ByteView up_to(ByteView piece, uint8_t c) {
    const void* at = memchr(piece.data, c, piece.size);
    if (at == nullptr) return piece;
    return piece.first(static_cast<size_t>(static_cast<const uint8_t*>(at) - piece.data));
}

void begin_key(Call& call) {
    call.state.token_size = 0;
    call.state.target_part = TargetPart::key;
}

// An authority is held back until it is known whether an '@' follows. One that is longer than the
// token is left out: the Host field says the same.
void emit_authority(Call& call) {
    State& state = call.state;
    if (state.has(mark_userinfo)) emit(call, "REDACTED:REDACTED@");
    if (state.overflowed()) {
        call.parse.capture.cut = true;
    } else {
        emit(call, state.token_view());
    }
    state.token_size = 0;
}

// Each of these reads some of a piece that isn't empty and returns how much.

size_t read_held(Call& call, ByteView piece) {
    State& state = call.state;
    const uint8_t c = piece[0];
    const bool scheme = state.target_part == TargetPart::scheme;
    if (c == '@') {
        state.token_size = 0;
        state.set(mark_userinfo);
        state.target_part = TargetPart::authority;
    } else if (scheme && c == '/' && state.token_size > 0 &&
               state.token[state.token_size - 1] == ':') {
        state.target_part = TargetPart::scheme_slash;
        state.keep(piece.first(1));
    } else if (c == '/' || c == '?' || c == '#') {
        emit_authority(call);
        emit(call, piece.first(1));
        state.target_part = TargetPart::path;
        if (c == '/') keep_path_end(state, piece.first(1));
        if (c == '?') begin_key(call);
    } else {
        state.keep(piece.first(1));
        // Whether a user follows so long a scheme can't be told any more.
        if (scheme && state.overflowed()) {
            call.parse.capture.cut = true;
            state.target_part = TargetPart::dropped;
        }
    }
    return 1;
}

size_t read_scheme_slash(Call& call, ByteView piece) {
    State& state = call.state;
    const bool authority = piece[0] == '/';
    if (authority) state.keep(piece.first(1));
    if (state.overflowed()) {
        call.parse.capture.cut = true;
        state.target_part = TargetPart::dropped;
        return 1;
    }
    emit(call, state.token_view());
    state.token_size = 0;
    state.target_part = authority ? TargetPart::authority : TargetPart::path;
    return authority ? 1 : 0;
}

// Where a URL inside the path has its "://" behind it; size + 1: there is none. The token holds how
// the path ended so far.
size_t behind_scheme(const State& state, ByteView path) {
    const ByteView before = state.token_view();
    const auto tail = [&](ByteView end) {
        return before.size >= end.size && before.from(before.size - end.size) == end;
    };
    if (tail(":/") && path.size > 0 && path[0] == '/') return 1;
    if (tail(":") && path.size > 1 && path[0] == '/' && path[1] == '/') return 2;
    ByteView rest = path;
    while (rest.size > 2) {
        rest = rest.from(up_to(rest, ':').size);
        if (rest.size > 2 && rest[1] == '/' && rest[2] == '/') return path.size - rest.size + 3;
        rest = rest.from(1);
    }
    return path.size + 1;
}

size_t read_path(Call& call, ByteView piece) {
    State& state = call.state;
    const ByteView path = up_to(piece, '?');
    const size_t url = behind_scheme(state, path);
    if (url <= path.size) {
        emit(call, piece.first(url));
        state.token_size = 0;
        state.clear(mark_userinfo);
        state.target_part = TargetPart::authority;
        return url;
    }
    const bool query = path.size < piece.size;
    emit(call, piece.first(path.size + (query ? 1 : 0)));
    keep_path_end(state, path);
    if (!query) return path.size;
    path_ends(state);
    begin_key(call);
    return path.size + 1;
}

size_t read_key(Call& call, ByteView piece) {
    State& state = call.state;
    size_t size = 0;
    while (size < piece.size && piece[size] != '=' && piece[size] != '&') ++size;
    state.keep(piece.first(size));
    if (size == piece.size) {
        emit(call, piece);
        return size;
    }
    emit(call, piece.first(size + 1));
    if (piece[size] == '&') {
        begin_key(call);
    } else if (!state.overflowed() && sensitive(state.token_view())) {
        emit(call, "REDACTED");
        state.target_part = TargetPart::secret;
    } else {
        state.target_part = TargetPart::value;
    }
    return size + 1;
}

size_t read_query_value(Call& call, ByteView piece) {
    const ByteView value = up_to(piece, '&');
    if (call.state.target_part == TargetPart::value) emit(call, value);
    if (value.size == piece.size) return value.size;
    emit(call, "&");
    begin_key(call);
    return value.size + 1;
}

}  // namespace

void capture_target(Call& call, ByteView piece) noexcept {
    State& state = call.state;
    if (state.target_part == TargetPart::start) {
        const bool origin = piece[0] == '/' || piece[0] == '*';
        state.target_part = origin ? TargetPart::path : TargetPart::scheme;
    }
    while (!piece.empty()) {
        size_t read = piece.size;
        switch (state.target_part) {
            case TargetPart::scheme:
            case TargetPart::authority: read = read_held(call, piece); break;
            case TargetPart::scheme_slash: read = read_scheme_slash(call, piece); break;
            case TargetPart::path: read = read_path(call, piece); break;
            case TargetPart::key: read = read_key(call, piece); break;
            case TargetPart::value:
            case TargetPart::secret: read = read_query_value(call, piece); break;
            default: break;
        }
        piece = piece.from(read);
    }
}

void capture_target_end(Call& call) noexcept {
    const TargetPart part = call.state.target_part;
    if (part == TargetPart::scheme || part == TargetPart::scheme_slash ||
        part == TargetPart::authority)
        emit_authority(call);
    if (part == TargetPart::path) path_ends(call.state);
}

}  // namespace remora::protocol::http
