// SPDX-License-Identifier: Apache-2.0
// POSTs bodies to one URL over kept connections, by libcurl: as many as there are posts at a time.
// Any thread. Redirects are not followed: they would carry credentials elsewhere.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/result.h"

namespace remora {

struct HttpPosterOptions {
    std::string url;
    std::vector<std::string> header_lines;  // "Name: value"
    std::string certificate;                // PEM file of authorities; empty: the system's
    std::string client_certificate;
    std::string client_key;
    std::string unix_socket;  // connects to this path instead of the URL's host
    bool http2 = false;       // and nothing else, from the first byte (RFC 9113, 3.3)
};

struct HttpReply {
    int status = 0;  // 0: no answer, `problem` says why
    std::string body;
    std::string content_type;
    std::string location;  // of a redirect
    std::optional<std::chrono::seconds> retry_after;
    // Over HTTP/2: headers and trailers as they came, names in lower case.
    std::vector<std::pair<std::string, std::string>> fields;

    std::string problem;
    bool unreachable = false;  // never got a connection
    bool timed_out = false;    // the deadline came first
    bool permanent = false;    // trying again can't help: a bad certificate, a bad URL
};

class HttpPoster {
public:
    using TimePoint = std::chrono::steady_clock::time_point;

    static Result<std::unique_ptr<HttpPoster>> create(const HttpPosterOptions& options);
    ~HttpPoster();

    HttpReply post(std::string_view body, TimePoint deadline);

    // From now on no post lasts beyond this, a running one included.
    void limit(TimePoint deadline) noexcept;

    // More of an answer than this is not read.
    static constexpr size_t body_limit = size_t{1} << 20;
    static constexpr size_t fields_limit = size_t{64} << 10;

private:
    struct Curl;
    explicit HttpPoster(const HttpPosterOptions& options);
    std::unique_ptr<Curl> make_connection() const;
    std::unique_ptr<Curl> take_connection();
    void return_connection(std::unique_ptr<Curl> connection);

    const HttpPosterOptions options_;
    std::atomic<TimePoint::rep> limit_{TimePoint::max().time_since_epoch().count()};
    std::mutex mutex_;                         // guards the two below
    std::vector<std::unique_ptr<Curl>> idle_;  // the last one used is the next one
    std::vector<Curl*> busy_;
};

}  // namespace remora
