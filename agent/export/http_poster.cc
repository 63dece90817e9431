// SPDX-License-Identifier: Apache-2.0
#include "agent/export/http_poster.h"

#include <curl/curl.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>

#include "agent/base/printable.h"

namespace remora {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct FreeEasy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

size_t append_body(char* data, size_t, size_t size, void* user) {
    auto& body = *static_cast<std::string*>(user);
    if (body.size() + size > HttpPoster::body_limit) return 0;  // ends the transfer
    body.append(data, size);
    return size;
}

// A proxy from the environment is honoured, but never for a collector on this machine.
std::string no_proxy_list() {
    std::string list = "localhost,127.0.0.1,::1";
    for (const char* variable : {"no_proxy", "NO_PROXY"})
        if (const char* value = std::getenv(variable); value != nullptr && *value != '\0')
            return std::string_view(value) == "*" ? "*" : list + "," + value;
    return list;
}

bool is_unreachable(CURLcode code) {
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY;
}

bool is_permanent(CURLcode code) {
    switch (code) {
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_URL_MALFORMAT:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_ENGINE_NOTFOUND: return true;
        default: return false;
    }
}

}  // namespace

// Options point into this object, so it does not move.
struct HttpPoster::Curl {
    std::unique_ptr<CURL, FreeEasy> easy;
    std::unique_ptr<CURLM, FreeMulti> multi;
    std::unique_ptr<curl_slist, FreeList> headers;
    char problem[CURL_ERROR_SIZE] = {};
    std::string body;
    std::atomic<Clock::rep> limit{Clock::time_point::max().time_since_epoch().count()};

    [[nodiscard]] Clock::time_point bounded(Clock::time_point deadline) const {
        return std::min(deadline, Clock::time_point(Clock::duration(limit.load())));
    }
    void set_options(const HttpPosterOptions& options);
    bool run(Clock::time_point deadline, CURLcode& code);
    HttpReply reply(bool finished, CURLcode code);
};

void HttpPoster::Curl::set_options(const HttpPosterOptions& options) {
    CURL* handle = easy.get();
    curl_easy_setopt(handle, CURLOPT_URL, options.url.c_str());
    curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle, CURLOPT_NOPROXY, no_proxy_list().c_str());
    curl_easy_setopt(handle, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(handle, CURLOPT_QUICK_EXIT, 1L);  // don't wait for a resolver thread
    curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, problem);
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, append_body);
    curl_easy_setopt(handle, CURLOPT_WRITEDATA, &body);
    curl_easy_setopt(handle, CURLOPT_USERAGENT, "remora/" REMORA_VERSION);
    if (!options.certificate.empty())
        curl_easy_setopt(handle, CURLOPT_CAINFO, options.certificate.c_str());
    if (!options.client_certificate.empty())
        curl_easy_setopt(handle, CURLOPT_SSLCERT, options.client_certificate.c_str());
    if (!options.client_key.empty())
        curl_easy_setopt(handle, CURLOPT_SSLKEY, options.client_key.c_str());
    // An Expect: 100-continue would cost a round trip per batch.
    curl_slist* list = curl_slist_append(nullptr, "Expect:");
    for (const std::string& line : options.header_lines)
        list = curl_slist_append(list, line.c_str());
    headers.reset(list);
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, list);
}

// False: the deadline came first. The multi interface, because it can be woken and never blocks
// beyond what it is told.
bool HttpPoster::Curl::run(Clock::time_point deadline, CURLcode& code) {
    for (;;) {
        int running = 0;
        if (curl_multi_perform(multi.get(), &running) != CURLM_OK) {
            code = CURLE_FAILED_INIT;
            return true;
        }
        int left = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi.get(), &left))
            if (message->msg == CURLMSG_DONE) {
                code = message->data.result;
                return true;
            }
        const auto wait = std::chrono::ceil<milliseconds>(bounded(deadline) - Clock::now());
        if (wait.count() <= 0) return false;
        const auto most = std::min<milliseconds>(wait, milliseconds(60000));
        curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(most.count()), nullptr);
    }
}

HttpReply HttpPoster::Curl::reply(bool finished, CURLcode code) {
    HttpReply reply;
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    // An answer that was too long to read is still an answer.
    const bool answered = finished && (code == CURLE_OK || code == CURLE_WRITE_ERROR);
    if (!answered || status == 0) {
        reply.problem = !finished            ? "no answer in time"
                        : problem[0] != '\0' ? printable(problem)
                                             : curl_easy_strerror(code);
        reply.unreachable = finished && is_unreachable(code);
        reply.permanent = finished && is_permanent(code);
        return reply;
    }
    reply.status = static_cast<int>(status);
    reply.body = std::move(body);
    char* text = nullptr;
    if (curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_TYPE, &text) == CURLE_OK && text != nullptr)
        reply.content_type = text;
    text = nullptr;
    if (curl_easy_getinfo(easy.get(), CURLINFO_REDIRECT_URL, &text) == CURLE_OK && text != nullptr)
        reply.location = text;
    curl_off_t retry_after = 0;  // both forms, seconds and date
    if (curl_easy_getinfo(easy.get(), CURLINFO_RETRY_AFTER, &retry_after) == CURLE_OK &&
        retry_after > 0)
        reply.retry_after = std::chrono::seconds(std::min<curl_off_t>(retry_after, 24 * 3600));
    return reply;
}

Result<std::unique_ptr<HttpPoster>> HttpPoster::create(const HttpPosterOptions& options) {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
    auto curl = std::make_unique<Curl>();
    curl->easy.reset(curl_easy_init());
    curl->multi.reset(curl_multi_init());
    if (!curl->easy || !curl->multi) return Error{"libcurl cannot be initialised"};
    curl->set_options(options);
    return std::unique_ptr<HttpPoster>(new HttpPoster(std::move(curl)));
}

HttpPoster::HttpPoster(std::unique_ptr<Curl> curl) : curl_(std::move(curl)) {}
HttpPoster::~HttpPoster() = default;

HttpReply HttpPoster::post(std::string_view body, TimePoint deadline) {
    CURL* handle = curl_->easy.get();
    curl_->body.clear();
    curl_->problem[0] = '\0';
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    if (curl_multi_add_handle(curl_->multi.get(), handle) != CURLM_OK) {
        HttpReply failed;
        failed.problem = "libcurl refused the request";
        return failed;
    }
    CURLcode code = CURLE_OK;
    const bool finished = curl_->run(deadline, code);
    HttpReply reply = curl_->reply(finished, code);
    curl_multi_remove_handle(curl_->multi.get(), handle);
    return reply;
}

void HttpPoster::limit(TimePoint deadline) noexcept {
    curl_->limit.store(deadline.time_since_epoch().count());
    curl_multi_wakeup(curl_->multi.get());
}

}  // namespace remora
