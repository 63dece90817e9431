// SPDX-License-Identifier: Apache-2.0
// POSTs bodies to one URL over a kept connection, by libcurl. One thread posts; limit() may be
// called from any. Redirects are not followed: they would carry credentials elsewhere.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace remora {

struct HttpPosterOptions {
    std::string url;
    std::vector<std::string> header_lines;  // "Name: value"
    std::string certificate;                // PEM file of authorities; empty: the system's
    std::string client_certificate;
    std::string client_key;
};

struct HttpReply {
    int status = 0;  // 0: no answer, `problem` says why
    std::string body;
    std::string content_type;
    std::string location;  // of a redirect
    std::optional<std::chrono::seconds> retry_after;

    std::string problem;
    bool unreachable = false;  // never got a connection
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

private:
    struct Curl;
    explicit HttpPoster(std::unique_ptr<Curl> curl);
    std::unique_ptr<Curl> curl_;
};

}  // namespace remora
