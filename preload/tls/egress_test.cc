// SPDX-License-Identifier: Apache-2.0
// What a TLS library is given and what the program is told, wherever the library makes it repeat a
// call. The library here is as strict as OpenSSL about what comes again.
#include "preload/tls/egress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <random>
#include <string>

#include "preload/stream.h"
#include "preload/test_connection.h"
#include "preload/tls/slice.h"

namespace remora::shim {
namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr size_t line_size = 70;

// OpenSSL's ssl3_write_bytes: records of at most `fragment`; a record that could not be written is
// kept and must be asked for again with the same bytes, in the same place unless `moving`.
struct FakeLibrary {
    bool partial = false;
    bool moving = false;
    bool handshaking = false;
    bool strict = true;      // false: a repetition is refused as OpenSSL does, with an error
    bool forgetful = false;  // takes null for what it was given last
    size_t fragment = 16384;
    std::deque<bool> wants;  // before each record: is there no room on the wire?
    WriteFailure failure = WriteFailure::again;

    std::string wire;
    int calls = 0;
    const void* last_data = nullptr;
    size_t last_size = 0;

    long write(const void* data, size_t size) {
        ++calls;
        if (data == nullptr) {
            data = where_;
            size = before_.size();
        }
        last_data = data;
        last_size = size;
        const std::string bytes = data == where_ && forgetful && size == before_.size()
                                      ? before_
                                      : std::string(static_cast<const char*>(data), size);
        if (!pending_.empty() || done_ > 0) {
            if (!strict) return -2;
            EXPECT_EQ(bytes.substr(0, done_), before_.substr(0, done_)) << "another call";
            EXPECT_EQ(bytes.substr(done_, pending_.size()), pending_) << "bad write retry";
            if (!moving && data != where_) ADD_FAILURE() << "another buffer";
        }
        where_ = data;
        before_ = bytes;
        while (done_ < size) {
            const size_t record = std::min(fragment, size - done_);
            if (pending_.empty()) pending_ = bytes.substr(done_, record);
            bool want = false;
            if (!wants.empty()) {
                want = wants.front();
                wants.pop_front();
            }
            if (want) {
                if (handshaking || failure == WriteFailure::final) reset();
                errno = 4242;
                return -1;
            }
            wire += pending_;
            done_ += pending_.size();
            pending_.clear();
            if (partial) break;
        }
        const auto told = static_cast<long>(done_);
        reset();
        return told;
    }

private:
    void reset() {
        pending_.clear();
        done_ = 0;
        where_ = nullptr;
    }
    std::string pending_;
    std::string before_;
    const void* where_ = nullptr;
    size_t done_ = 0;
};

size_t count_lines(const std::string& wire) {
    size_t count = 0;
    for (size_t at = 0; (at = wire.find("traceparent: 00-", at)) != std::string::npos; at += 16)
        ++count;
    return count;
}

std::string without_lines(std::string wire) {
    for (size_t at = 0; (at = wire.find("traceparent: 00-", at)) != std::string::npos;)
        wire.erase(at, line_size);
    return wire;
}

class TlsEgressTest : public WithFakeKernel {
protected:
    void SetUp() override { channel_ = open_channel(TlsRole::client); }
    void TearDown() override { close_channel(channel_); }

    long send(const char* data, size_t size) {
        if (size == 0) size = channel_->frozen.chunk;  // as hooks_gnutls.cc does
        TlsOutgoing out{*channel_, this, reinterpret_cast<const uint8_t*>(data), size, &library_};
        out.may_omit_data = library_.forgetful;
        out.original = [](const TlsOutgoing& o, const void* bytes, size_t count) {
            return of(o).write(bytes, count);
        };
        out.failure = [](const TlsOutgoing& o, long) {
            return of(o).handshaking ? WriteFailure::untouched : of(o).failure;
        };
        out.partial = [](const TlsOutgoing& o) { return of(o).partial; };
        out.learn = [](const TlsOutgoing& o) { channel_learned(o.channel, {}); };
        return tls_transmit(out);
    }
    long send(const std::string& text) { return send(text.data(), text.size()); }
    static FakeLibrary& of(const TlsOutgoing& out) {
        return *static_cast<FakeLibrary*>(const_cast<void*>(out.library));
    }
    void answer(const std::string& text) {
        Conn& conn = *channel_->conn;
        Direction& direction = conn.directions[REMORA_DIRECTION_RECEIVED];
        ASSERT_TRUE(enter(conn, direction));
        Call call;
        feed(conn, REMORA_DIRECTION_RECEIVED, {text.data(), text.size()}, 0, call);
        leave(conn, direction);
    }

    FakeLibrary library_;
    TlsChannel* channel_ = nullptr;
};

TEST_F(TlsEgressTest, OneRecordWithTheLineBeforeTheBlankLine) {
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(library_.calls, 1);
    EXPECT_EQ(library_.wire.substr(get.size() - 2, 16), "traceparent: 00-");
    EXPECT_EQ(without_lines(library_.wire), get);
}

TEST_F(TlsEgressTest, ARepeatedCallRepeatsTheSameBytes) {
    library_.wants = {true, true, false};
    EXPECT_EQ(send(get), -1);
    EXPECT_EQ(errno, 4242);
    // Whatever the control page says meanwhile.
    session.control.switches |= REMORA_SWITCH_NO_INJECT;
    EXPECT_EQ(send(get), -1);
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(count_lines(library_.wire), 1u);
    EXPECT_EQ(without_lines(library_.wire), get);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(finished(session).size(), 1u) << "the request is complete";
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(count_lines(library_.wire), 1u) << "the switch holds for the next request";
}

TEST_F(TlsEgressTest, SwitchedOnWhileAPlainCallWaits) {
    session.control.switches |= REMORA_SWITCH_NO_INJECT;
    library_.wants = {true};
    const std::string text = get;
    EXPECT_EQ(send(text), -1);
    session.control.switches = 0;
    EXPECT_EQ(send(text), static_cast<long>(get.size()));
    EXPECT_EQ(library_.wire, get) << "the library held the program's own bytes";
}

TEST_F(TlsEgressTest, AMovedBufferAndALongerOne) {
    library_.wants = {true};
    EXPECT_EQ(send(std::string(get)), -1);
    const std::string longer = get + "GET /2 HTTP/1.1\r\n\r\n";
    EXPECT_EQ(send(longer), static_cast<long>(longer.size()));
    EXPECT_EQ(count_lines(library_.wire), 2u);
    EXPECT_EQ(without_lines(library_.wire), longer);
}

TEST_F(TlsEgressTest, ABodyGoesFromTheProgramsOwnBuffer) {
    const std::string body(300'000, 'b');
    const std::string post = "POST / HTTP/1.1\r\nContent-Length: 300000\r\n\r\n" + body;
    EXPECT_EQ(send(post), static_cast<long>(post.size()));
    EXPECT_EQ(without_lines(library_.wire), post);
    EXPECT_EQ(count_lines(library_.wire), 1u);
    EXPECT_EQ(library_.calls, 2) << "the head in a slice, the rest in one";
    EXPECT_EQ(library_.last_data, post.data() + Slice::program_bytes);
}

TEST_F(TlsEgressTest, AllOrNothingWithoutPartialWrites) {
    const std::string post =
        "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'b');
    for (size_t failing = 0; failing < 8; ++failing) {
        library_.wire.clear();
        library_.wants.assign(failing, false);
        library_.wants.push_back(true);
        long told = 0;
        for (int i = 0; i < 3 && told <= 0; ++i) told = send(post);
        ASSERT_EQ(told, static_cast<long>(post.size()));
        ASSERT_EQ(without_lines(library_.wire), post);
        ASSERT_EQ(count_lines(library_.wire), 1u);
        answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    }
    EXPECT_EQ(finished(session).size(), 8u);
}

TEST_F(TlsEgressTest, PartialWritesAreToldAsTheyAre) {
    library_.partial = true;
    const std::string post =
        "POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'b');
    for (size_t done = 0; done < post.size();) {
        const long told = send(post.data() + done, post.size() - done);
        ASSERT_GT(told, 0);
        ASSERT_LE(static_cast<size_t>(told), std::min<size_t>(16384, post.size() - done));
        done += static_cast<size_t>(told);
    }
    EXPECT_EQ(without_lines(library_.wire), post);
    EXPECT_EQ(count_lines(library_.wire), 1u);
}

TEST_F(TlsEgressTest, SmallFragmentsOfASliceAreNotTold) {
    library_.partial = true;
    library_.fragment = 20;
    library_.wants = {false, false, true, false, true};
    EXPECT_EQ(send(get), -1);
    EXPECT_EQ(send(get), -1);
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(without_lines(library_.wire), get);
    EXPECT_EQ(count_lines(library_.wire), 1u);
}

TEST_F(TlsEgressTest, DuringTheHandshakeThePlanIsMadeAnew) {
    library_.handshaking = true;
    library_.wants = {true};
    EXPECT_EQ(send("GET /first HTTP/1.1\r\n\r\n"), -1);
    library_.handshaking = false;
    // The library has not looked at the bytes: other ones are right.
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(without_lines(library_.wire), get);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ASSERT_EQ(finished(session).size(), 1u);
    EXPECT_EQ(finished(session)[0].sequence, 0u) << "the first one never was";
}

TEST_F(TlsEgressTest, WhatNeverWentOutIsNoExchange) {
    library_.failure = WriteFailure::final;
    library_.wants = {true};
    EXPECT_EQ(send(get), -1);
    EXPECT_TRUE(finished(session).empty());
    EXPECT_FALSE(channel_->frozen.active);
}

TEST_F(TlsEgressTest, FreedWhileACallIsToBeRepeated) {
    library_.wants = {true};
    EXPECT_EQ(send(get), -1);
    const uint32_t slice = channel_->frozen.slice;
    ASSERT_NE(slice, 0u);
    close_channel(channel_);
    channel_ = open_channel(TlsRole::client);
    ASSERT_EQ(finished(session).size(), 1u);
    EXPECT_EQ(finished(session)[0].end, REMORA_END_LOCAL);
    EXPECT_EQ(allocate_slice(), slice) << "it is free again";
    free_slice(slice);
}

TEST_F(TlsEgressTest, AShorterRepetitionIsTheLibrarysToRefuse) {
    library_.wants = {true};
    EXPECT_EQ(send(get), -1);
    library_.strict = false;
    EXPECT_EQ(send(get.data(), 3), -2);
    EXPECT_EQ(library_.last_data, get.data());
    EXPECT_EQ(library_.last_size, 3u);
}

// GnuTLS: gnutls_record_send(session, NULL, 0) goes on with what it has.
TEST_F(TlsEgressTest, GoneOnWithWithoutTheBytes) {
    library_.partial = true;
    library_.forgetful = true;
    for (const size_t cut : {size_t{5}, get.size()}) {
        library_.wire.clear();
        library_.wants = {true, true};
        EXPECT_EQ(send(get.data(), cut), -1);
        EXPECT_EQ(send(nullptr, 0), -1);
        EXPECT_EQ(send(nullptr, 0), static_cast<long>(cut));
        if (cut < get.size()) {
            EXPECT_EQ(send(get.substr(cut)), static_cast<long>(get.size() - cut));
        }
        EXPECT_EQ(without_lines(library_.wire), get);
        EXPECT_EQ(count_lines(library_.wire), 1u);
    }
}

TEST_F(TlsEgressTest, TheRecordSaysThatItRanInsideTls) {
    channel_->conn->tls.version = 0x0304;
    channel_->conn->tls.cipher = 0x1301;
    ASSERT_GT(send(get), 0);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ASSERT_EQ(finished(session).size(), 1u);
    const remora_exchange record = finished(session)[0];
    EXPECT_TRUE(record.marks & REMORA_MARK_TLS);
    EXPECT_EQ(record.tls_version, 0x0304);
    EXPECT_EQ(record.tls_cipher, 0x1301);
}

TEST_F(TlsEgressTest, Http2IsLeftAlone) {
    channel_learned(*channel_, ByteView{"h2"});
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(library_.wire, get);
    EXPECT_EQ(library_.last_size, get.size());
}

TEST_F(TlsEgressTest, EarlyDataIsNotFollowed) {
    leave_channel(*channel_, REMORA_LOSS_not_injected_early_data);
    leave_channel(*channel_, REMORA_LOSS_not_injected_early_data);
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(library_.wire, get);
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_early_data), 1u) << "once";
}

TEST_F(TlsEgressTest, CorkedNothingIsAdded) {
    channel_->refusal = REMORA_LOSS_not_injected_corked;
    EXPECT_EQ(send(get), static_cast<long>(get.size()));
    EXPECT_EQ(library_.wire, get);
    EXPECT_EQ(session.lost(REMORA_LOSS_not_injected_corked), 1u);
}

// Requests with bodies, pipelined, in calls of any size, against a library that wants at random.
TEST_F(TlsEgressTest, AtRandom) {
    const unsigned seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto below = [&](unsigned n) { return random() % n; };
    for (int round = 0; round < 60; ++round) {
        close_channel(channel_);
        channel_ = open_channel(TlsRole::client);
        free_finished(session);
        library_ = FakeLibrary{};
        library_.partial = below(2) != 0;
        library_.fragment = below(2) != 0 ? 16384 : 300 + below(2000);
        std::string stream;
        size_t requests = 1 + below(20);
        for (size_t i = 0; i < requests; ++i) {
            const size_t body = below(4) == 0 ? below(60'000) : below(300);
            stream += "POST /" + std::to_string(i) +
                      " HTTP/1.1\r\nContent-Length: " + std::to_string(body) + "\r\n\r\n";
            std::string noise = "\r\n\r\nGET / HTTP/1.1\r\n\r\n";
            while (noise.size() < body) noise += noise;
            stream += noise.substr(0, body);
        }
        for (size_t done = 0; done < stream.size();) {
            const unsigned widest = below(3) == 0 ? 40'000 : 200;
            const size_t size = std::min<size_t>(1 + below(widest), stream.size() - done);
            for (;;) {
                library_.wants = {below(3) == 0, below(3) == 0, below(3) == 0, below(3) == 0};
                const long told = send(stream.data() + done, size);
                ASSERT_TRUE(told == -1 || (told > 0 && static_cast<size_t>(told) <= size)) << told;
                if (told < 0) continue;
                ASSERT_TRUE(library_.partial || static_cast<size_t>(told) == size);
                done += static_cast<size_t>(told);
                break;
            }
        }
        ASSERT_EQ(without_lines(library_.wire), stream);
        // A head that a call cut has no line only where its end was refused; here nothing is.
        ASSERT_EQ(count_lines(library_.wire), requests);
    }
}

}  // namespace
}  // namespace remora::shim
