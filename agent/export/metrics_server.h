// SPDX-License-Identifier: Apache-2.0
// A small HTTP server for what looks at the agent itself: /metrics (Prometheus text format 0.0.4)
// and /healthz ("ok"). Off unless an address is given; meant for this machine or a private network:
// it asks nobody who he is.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/base/result.h"

namespace remora {

class MetricsServer {
public:
    // address: "127.0.0.1:9464", "[::1]:9464", ":9464" for all of this machine's. metrics: called
    // on the server's threads until stop() has returned.
    static Result<std::unique_ptr<MetricsServer>> start(const std::string& address,
                                                        std::function<std::string()> metrics);
    ~MetricsServer();
    MetricsServer(const MetricsServer&) = delete;
    MetricsServer& operator=(const MetricsServer&) = delete;

    [[nodiscard]] int port() const;
    void stop();  // idempotent

private:
    struct Server;
    explicit MetricsServer(std::unique_ptr<Server> server);
    std::unique_ptr<Server> server_;
};

}  // namespace remora
