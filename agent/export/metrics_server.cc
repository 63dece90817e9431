// SPDX-License-Identifier: Apache-2.0
#include "agent/export/metrics_server.h"

#include <httplib.h>

#include <cerrno>
#include <thread>
#include <utility>

#include "agent/base/block_signals.h"
#include "agent/config/listen_address.h"

namespace remora {

struct MetricsServer::Server {
    httplib::Server http;
    int port = 0;
    std::jthread thread;
};

Result<std::unique_ptr<MetricsServer>> MetricsServer::start(const std::string& address,
                                                            std::function<std::string()> metrics) {
    auto place = parse_listen_address(address);
    if (!place) return place.error();
    auto server = std::make_unique<Server>();
    httplib::Server& http = server->http;
    http.new_task_queue = [] { return new httplib::ThreadPool(1); };
    http.set_keep_alive_timeout(1);  // one thread serves all who ask
    // Not SO_REUSEPORT, its default: two agents would share one port and answer by turns.
    http.set_socket_options([](socket_t socket) {
        const int yes = 1;
        ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    });
    http.set_read_timeout(2);
    http.set_write_timeout(2);
    http.set_payload_max_length(0);
    http.Get("/metrics", [metrics = std::move(metrics)](const auto&, httplib::Response& response) {
        response.set_content(metrics(), "text/plain; version=0.0.4; charset=utf-8");
    });
    http.Get("/healthz", [](const auto&, httplib::Response& response) {
        response.set_content("ok\n", "text/plain");
    });
    const char* host = place->host.empty() ? "0.0.0.0" : place->host.c_str();
    errno = 0;
    server->port = place->port;
    if (place->port == 0)
        server->port = http.bind_to_any_port(host);
    else if (!http.bind_to_port(host, place->port))
        server->port = -1;
    if (server->port < 0) return Error{"cannot listen on " + address + " for /metrics", errno};
    server->thread = std::jthread([&http] {
        block_all_signals();
        http.listen_after_bind();
    });
    // A stop() before that would be ignored.
    while (!http.is_running()) std::this_thread::yield();
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(server)));
}

MetricsServer::MetricsServer(std::unique_ptr<Server> server) : server_(std::move(server)) {}
MetricsServer::~MetricsServer() { stop(); }

int MetricsServer::port() const { return server_->port; }

void MetricsServer::stop() {
    server_->http.stop();
    if (server_->thread.joinable()) server_->thread.join();
}

}  // namespace remora
