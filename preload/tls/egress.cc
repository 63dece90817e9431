// SPDX-License-Identifier: Apache-2.0
#include "preload/tls/egress.h"

#include <cerrno>

#include "preload/exchange_life.h"
#include "preload/stream.h"
#include "preload/tls/slice.h"

namespace remora::shim {
namespace {

constexpr unsigned sent = REMORA_DIRECTION_SENT;

bool is_opaque(const Conn& conn) { return conn.opaque.load(std::memory_order_relaxed); }

// One call of the program's, chunk by chunk. Its owner holds the sent direction.
class Transmission {
public:
    explicit Transmission(const TlsOutgoing& out)
        : out_(out), conn_(*out.channel.conn), frozen_(out.channel.frozen), error_number_(errno) {}

    long run() {
        done_ = frozen_.active ? frozen_.done : 0;
        // Shorter than before: the library has an error for that.
        if (frozen_.active && out_.size < frozen_.done + frozen_.chunk)
            return call(out_.data, out_.size), finish(result_);
        if (!out_.channel.facts_known) out_.learn(out_);
        while (done_ < out_.size) {
            if (!(frozen_.active ? repeat() : next())) return finish(result_);
            if (done_ < out_.size && (short_ || out_.partial(out_))) break;
        }
        return finish(static_cast<long>(done_));
    }

private:
    [[nodiscard]] Direction& direction() const { return conn_.directions[sent]; }
    [[nodiscard]] const uint8_t* data() const { return out_.data + done_; }
    [[nodiscard]] size_t rest() const { return out_.size - done_; }

    long finish(long told) const {
        errno = error_number_;
        return told;
    }

    long call(const void* bytes, size_t size) {
        RealCall real_call;
        begin_real_call(real_call, conn_, direction());
        errno = error_number_;
        result_ = out_.original(out_, bytes, size);
        error_number_ = errno;
        end_real_call(real_call);
        return result_;
    }

    // Bytes that went as the program gave them.
    void feed_sent(const uint8_t* bytes, size_t size, remora_loss refusal) {
        if (is_opaque(conn_) || size == 0) return;
        Call call;
        call.refusal = refusal;
        feed(conn_, sent, {bytes, size}, 0, call);
        call_ends(conn_, sent, call);
    }

    void pass_unseen(uint64_t count) {
        if (is_opaque(conn_)) return;
        Call call;
        feed_unseen(conn_, sent, count, call);
    }

    // A slice is freed by whoever has sent it.
    void thaw() {
        free_slice(frozen_.copy);
        frozen_ = FrozenWrite{};
    }

    // GnuTLS may be asked to go on without being given the bytes again; of a body none are needed.
    void keep_copy(size_t chunk) {
        if (!out_.may_omit_data || is_opaque(conn_)) return;
        if (conn_.follow == Follow::following &&
            conn_.protocol->body_left(direction().parser) >= chunk)
            return;
        frozen_.copy = allocate_slice();
        const size_t record = chunk < Slice::capacity ? chunk : Slice::capacity;
        if (frozen_.copy != 0) memcpy(slice_at(frozen_.copy).bytes, data(), record);
    }

    void freeze(size_t chunk) {
        thaw();
        frozen_.active = true;
        frozen_.done = done_;
        frozen_.chunk = chunk;
    }

    // The library took nothing: what is to be repeated is remembered.
    void failed_with_own(size_t chunk) {
        const WriteFailure failure = out_.failure(out_, result_);
        if (failure == WriteFailure::final) return fail();
        if (out_.data == nullptr) return;  // as it is
        if (failure != WriteFailure::again && done_ == 0) return;
        freeze(chunk);
        keep_copy(chunk);
    }

    void fail() {
        thaw();
        if (!is_opaque(conn_)) call_failed(conn_, sent, error_number_);
    }

    bool next() {
        const ByteView bytes{data(), rest()};
        if (is_opaque(conn_) || !head_may_go_out(conn_, bytes, rest()))
            return send_own(rest(), REMORA_LOSS_COUNT);
        if (conn_.follow == Follow::following && direction().in_message && !direction().in_head) {
            const uint64_t left = conn_.protocol->body_left(direction().parser);
            if (left > Slice::program_bytes)
                return send_own(left < rest() ? left : rest(), REMORA_LOSS_COUNT);
        }
        if (out_.channel.refusal != REMORA_LOSS_COUNT)
            return send_own(rest(), out_.channel.refusal);
        const uint32_t slice = allocate_slice();
        const size_t chunk = rest() < Slice::program_bytes ? rest() : Slice::program_bytes;
        if (slice == 0) return send_own(chunk, REMORA_LOSS_not_injected_no_buffer);
        return send_planned(slice, chunk);
    }

    // Straight from the program's buffer, watched afterwards.
    bool send_own(size_t chunk, remora_loss refusal) {
        const bool unseen = out_.data == nullptr;
        const long taken = call(unseen ? nullptr : data(), unseen ? 0 : chunk);
        if (taken <= 0) return failed_with_own(chunk), false;
        if (!unseen)
            feed_sent(data(), static_cast<size_t>(taken), refusal);
        else if (frozen_.copy != 0 && static_cast<size_t>(taken) <= Slice::capacity)
            feed_sent(slice_at(frozen_.copy).bytes, static_cast<size_t>(taken), refusal);
        else
            pass_unseen(static_cast<uint64_t>(taken));
        thaw();
        done_ += static_cast<size_t>(taken);
        short_ = static_cast<size_t>(taken) < chunk;
        return true;
    }

    bool repeat() {
        if (frozen_.slice == 0) return send_own(frozen_.chunk, REMORA_LOSS_COUNT);
        if (push_slice(slice_at(frozen_.slice))) {
            Checkpoint begun;
            begun.direction.current = frozen_.current;
            Call call;
            call.begun_first = frozen_.begun_first;
            call.begun_last = frozen_.begun_last;
            // Opaque meanwhile: those exchanges have ended.
            if (!is_opaque(conn_)) keep_plan(conn_, begun, call);
            return slice_is_out(frozen_.slice, frozen_.chunk);
        }
        const WriteFailure failure = out_.failure(out_, result_);
        if (failure == WriteFailure::final) {
            free_slice(frozen_.slice);
            fail();
        }
        return false;
    }

    bool slice_is_out(uint32_t slice, size_t chunk) {
        free_slice(slice);
        thaw();
        done_ += chunk;
        return true;
    }

    bool push_slice(Slice& slice) {
        while (slice.sent < slice.size) {
            const long taken = call(slice.bytes + slice.sent, slice.size - slice.sent);
            if (taken <= 0) return false;
            slice.sent += static_cast<uint32_t>(taken);
        }
        return true;
    }

    static void note_inserted(const EditList& edits) {
        for (unsigned i = 0; i < edits.count; ++i)
            if (edits.edits[i].text_size > 0) exchange_at(edits.edits[i].exchange).inserted = true;
    }

    // The chunk is fed before the library has it.
    __attribute__((noinline)) bool send_planned(uint32_t index, size_t chunk) {
        EditList edits;
        Call call;
        call.edits = &edits;
        call.planning = true;
        call.room = ~size_t{0} >> 2;
        Checkpoint checkpoint;
        save(conn_, sent, checkpoint);
        feed(conn_, sent, {data(), chunk}, 0, call);
        call_ends(conn_, sent, call);
        if (is_opaque(conn_)) edits.count = 0;
        if (edits.count == 0) {
            free_slice(index);
            return send_unchanged(chunk, checkpoint, call);
        }
        Slice& slice = slice_at(index);
        slice.lay({data(), chunk}, edits);
        if (push_slice(slice)) {
            note_inserted(edits);
            keep_plan(conn_, checkpoint, call);
            return slice_is_out(index, chunk);
        }
        const WriteFailure failure = out_.failure(out_, result_);
        if (failure == WriteFailure::again || (slice.sent > 0 && failure != WriteFailure::final)) {
            note_inserted(edits);
            freeze(chunk);
            frozen_.slice = index;
            frozen_.current = checkpoint.direction.current;
            frozen_.begun_first = call.begun_first;
            frozen_.begun_last = call.begun_last;
            return false;
        }
        take_back(checkpoint, call, slice.sent > 0);
        free_slice(index);
        if (failure == WriteFailure::final) fail();
        return false;
    }

    // Nothing of the chunk went out.
    void take_back(const Checkpoint& checkpoint, Call& call, bool part_is_out) {
        if (is_opaque(conn_) || part_is_out) return;
        go_back(conn_, sent, checkpoint, call);
        end_replay(conn_, call);
    }

    // There was nothing to add: the program's own buffer goes, with the body that follows.
    bool send_unchanged(size_t chunk, const Checkpoint& checkpoint, Call& looked) {
        size_t size = chunk;
        if (is_opaque(conn_) || (direction().in_message && !direction().in_head &&
                                 conn_.protocol->body_left(direction().parser) >= rest() - chunk))
            size = rest();
        const uint8_t* bytes = data();
        const long result = call(bytes, size);
        const size_t taken = result > 0 ? static_cast<size_t>(result) : 0;
        if (taken >= chunk) {
            keep_plan(conn_, checkpoint, looked);
            feed_sent(bytes + chunk, taken - chunk, REMORA_LOSS_COUNT);
        } else if (!is_opaque(conn_)) {
            go_back(conn_, sent, checkpoint, looked);
            looked.lines.clear();
            feed(conn_, sent, {bytes, taken}, 0, looked);
            call_ends(conn_, sent, looked);
            end_replay(conn_, looked);
        }
        if (taken == 0) return failed_with_own(size), false;
        done_ += taken;
        short_ = taken < size;
        return true;
    }

    const TlsOutgoing& out_;
    Conn& conn_;
    FrozenWrite& frozen_;
    size_t done_ = 0;
    long result_ = 0;
    int error_number_;
    bool short_ = false;  // the library took less than it was given
};

}  // namespace

long tls_transmit(const TlsOutgoing& out) {
    Conn& conn = *out.channel.conn;
    Direction& direction = conn.directions[sent];
    InsideLibrary inside(out.session, &out.channel);
    const bool ours = out.channel.frozen.active ? own(conn, direction) : enter(conn, direction);
    long told;
    if (ours) {
        told = Transmission(out).run();
        const int saved = errno;
        leave(conn, direction);
        errno = saved;
    } else {
        told = out.original(out, out.data, out.size);
    }
    inside.leave();
    return told;
}

void tls_sent_unseen(TlsChannel& channel, uint64_t count) noexcept {
    Conn& conn = *channel.conn;
    Direction& direction = conn.directions[sent];
    if (!enter(conn, direction)) return;
    Call call;
    feed_unseen(conn, sent, count, call);
    leave(conn, direction);
}

void tls_sending_ends(TlsChannel& channel) noexcept {
    Conn& conn = *channel.conn;
    Direction& direction = conn.directions[sent];
    if (!enter(conn, direction)) return;
    Call call;
    end_of_stream(conn, sent, call);
    leave(conn, direction);
}

}  // namespace remora::shim
