// SPDX-License-Identifier: Apache-2.0
// One end of a TLS connection as the program under the shim has it, whatever its library.
#pragma once

#include <memory>
#include <string>

#include "tests/preload/torture/support/random_sender.h"
#include "tests/preload/torture/tls/tls_plan.h"

namespace torture {

class SecureEnd {
public:
    virtual ~SecureEnd() = default;
    virtual void handshake(bool server) = 0;
    // Sends all of it, in random pieces, and checks what each call returns.
    virtual void send(const std::string& bytes) = 0;
    // Waits until something arrives and appends it; false: the peer said goodbye, or has gone.
    virtual bool receive(std::string& into) = 0;
    // Says goodbye; what the peer still sends can be received.
    virtual void close_write() = 0;
    // Nothing is under way in either direction: time for a renegotiation.
    virtual void quiet() {}
    // Where what is read between a write and its retry belongs.
    void read_meanwhile_into(std::string* received) { meanwhile_ = received; }

protected:
    std::string* meanwhile_ = nullptr;
};

struct EndOptions {
    unsigned number;  // of the connection
    TlsPlan plan;
    Waiting waiting;
    size_t max_write;
};

// Given by the actor's library. `certificates`: a folder with cert.pem and key.pem.
void start_library(const std::string& certificates);
// Of an own or a former connection of the same thread; the socket stays the caller's.
std::unique_ptr<SecureEnd> make_end(int fd, const EndOptions& options, Random random);

}  // namespace torture
