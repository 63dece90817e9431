// SPDX-License-Identifier: Apache-2.0
// For unit tests: connections over real sockets whose calls a test answers byte by byte, in place
// of the kernel.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <deque>
#include <functional>
#include <string>

#include "preload/conn.h"
#include "preload/descriptors.h"
#include "preload/egress.h"
#include "preload/ingress.h"
#include "preload/real.h"
#include "preload/test_session.h"

namespace remora::shim {

// What the calls through real:: do. Nothing is left to chance, nothing waits.
struct FakeKernel {
    std::string wire;          // what was sent
    std::deque<size_t> takes;  // of each sending call, so many bytes; then all. 0: EAGAIN
    std::string incoming;      // what there is to be read
    std::function<void()> while_sending;  // runs in the middle of a sending call

    static FakeKernel*& current() {
        static FakeKernel* kernel = nullptr;
        return kernel;
    }

    ssize_t send_parts(const iovec* parts, size_t count) {
        if (while_sending) while_sending();
        size_t room = ~size_t{0};
        if (!takes.empty()) {
            room = takes.front();
            takes.pop_front();
        }
        ssize_t taken = 0;
        for (size_t i = 0; i < count && room > 0; ++i) {
            const size_t part = std::min(room, parts[i].iov_len);
            wire.append(static_cast<const char*>(parts[i].iov_base), part);
            taken += static_cast<ssize_t>(part);
            room -= part;
        }
        if (taken > 0 || room > 0) return taken;
        errno = EAGAIN;
        return -1;
    }

    ssize_t receive_into(void* data, size_t size) {
        if (incoming.empty()) {
            errno = EAGAIN;
            return -1;
        }
        const size_t part = std::min(size, incoming.size());
        memcpy(data, incoming.data(), part);
        incoming.erase(0, part);
        return static_cast<ssize_t>(part);
    }
};

// Replaces libc for one test.
class WithFakeKernel : public testing::Test {
protected:
    WithFakeKernel() {
        set_own_pid(static_cast<uint32_t>(::getpid()));
        (void)claim_first_lane();  // so that losses are counted where the test looks
        FakeKernel::current() = &kernel;
        real::sendmsg = [](int, const msghdr* m, int) {
            return FakeKernel::current()->send_parts(m->msg_iov, m->msg_iovlen);
        };
        real::send = [](int, const void* data, size_t size, int) {
            const iovec part{const_cast<void*>(data), size};
            return FakeKernel::current()->send_parts(&part, 1);
        };
        real::recv = [](int, void* data, size_t size, int) {
            return FakeKernel::current()->receive_into(data, size);
        };
        real::ioctl = &count_incoming;
    }
    ~WithFakeKernel() override {
        real::resolve_all();
        set_own_pid(0);
    }

    // All of init_process() that connections need: who isn't this process is the child of a vfork.
    static void set_own_pid(uint32_t pid) {
        const_cast<remora_process&>(process_record()).pid = pid;
    }

    static int count_incoming(int, unsigned long request, ...) {
        va_list list;
        va_start(list, request);
        *va_arg(list, int*) = static_cast<int>(FakeKernel::current()->incoming.size());
        va_end(list);
        return 0;
    }

    FakeKernel kernel;
    TestSession session{2};
};

// One end of a socketpair, known to the connection table.
class TestConnection {
public:
    explicit TestConnection(bool client) {
        if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_) != 0) std::abort();
        if (client)
            note_socket(ends_[0], AF_UNIX, SOCK_STREAM);
        else
            note_accepted(ends_[0], 0, nullptr, 0);
    }
    ~TestConnection() {
        close();
        ::close(ends_[1]);
    }
    TestConnection(const TestConnection&) = delete;

    void close() {
        if (ends_[0] < 0) return;
        note_closing(ends_[0]);
        ::close(ends_[0]);
        ends_[0] = -1;
    }
    [[nodiscard]] int fd() const { return ends_[0]; }
    [[nodiscard]] Conn& conn() const { return *conn_of(ends_[0]); }

    // As send() would.
    ssize_t send(const std::string& bytes) const {
        const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
        return send(&part, 1);
    }
    ssize_t send(const iovec* parts, size_t count) const {
        Outgoing out{};
        out.fd = fd();
        out.via = Via::send;
        out.parts = parts;
        out.count = count;
        out.original = [](const Outgoing& o) noexcept {
            return FakeKernel::current()->send_parts(o.parts, o.count);
        };
        return transmit(conn(), out);
    }
    // Until all is sent, as a program does that is told how much went out.
    void send_all(const std::string& bytes) const {
        for (size_t sent = 0; sent < bytes.size();) {
            const ssize_t n = send(bytes.substr(sent));
            ASSERT_TRUE(n > 0 || (n < 0 && errno == EAGAIN)) << n;
            if (n > 0) sent += static_cast<size_t>(n);
            ASSERT_LE(sent, bytes.size());
        }
    }

    // As recv() would, of so many bytes.
    ssize_t receive(char* data, size_t size, int flags = 0) const {
        const iovec part{data, size};
        Incoming in{fd(), &part, 1, flags};
        in.may_limit = true;
        in.original = [](const Incoming& i, size_t limit) {
            if (i.flags & MSG_PEEK) {
                const std::string kept = FakeKernel::current()->incoming;
                const ssize_t n = FakeKernel::current()->receive_into(i.parts->iov_base, limit);
                FakeKernel::current()->incoming = kept;
                return n;
            }
            return FakeKernel::current()->receive_into(i.parts->iov_base, limit);
        };
        return shim::receive(conn(), in);
    }
    std::string receive(size_t size, int flags = 0) const {
        std::string buffer(size, '\0');
        const ssize_t n = receive(buffer.data(), size, flags);
        buffer.resize(n > 0 ? static_cast<size_t>(n) : 0);
        return buffer;
    }
    // As readv() would.
    ssize_t receive(const iovec* parts, size_t count) const {
        Incoming in{fd(), parts, count};
        in.original = [](const Incoming& i, size_t) {
            ssize_t total = 0;
            for (size_t k = 0; k < i.count; ++k) {
                if (i.parts[k].iov_len == 0) continue;
                const ssize_t n =
                    FakeKernel::current()->receive_into(i.parts[k].iov_base, i.parts[k].iov_len);
                if (n > 0) total += n;
            }
            return total;
        };
        return shim::receive(conn(), in);
    }

private:
    int ends_[2];
};

// The finished exchanges of a session, as the agent would find them.
inline std::deque<remora_exchange> finished(TestSession& session) {
    std::deque<remora_exchange> out;
    for (uint32_t i = 0; i < session.control.lanes; ++i) {
        remora_lane& lane = session.lane(i);
        for (unsigned slot = 1; slot <= REMORA_SLOTS_PER_LANE; ++slot)
            if (lane.head.done >> slot & 1) out.push_back(lane.slots[slot - 1].exchange);
    }
    std::sort(out.begin(), out.end(), [](const remora_exchange& a, const remora_exchange& b) {
        return a.connection != b.connection ? a.connection < b.connection : a.sequence < b.sequence;
    });
    return out;
}

// As the agent does once it has copied them.
inline void free_finished(TestSession& session) {
    for (uint32_t i = 0; i < session.control.lanes; ++i) {
        remora_lane& lane = session.lane(i);
        lane.head.free |= lane.head.done;
        lane.head.done = 0;
    }
}

}  // namespace remora::shim
