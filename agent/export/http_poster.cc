// SPDX-License-Identifier: Apache-2.0
#include "agent/export/http_poster.h"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>

#include "agent/base/printable.h"
#include "agent/base/text.h"

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

struct Fields {
    std::vector<std::pair<std::string, std::string>> list;
    size_t bytes = 0;
};

// Headers, then trailers; libcurl makes no difference. A new status line begins a new answer.
size_t append_field(char* data, size_t, size_t size, void* user) {
    auto& fields = *static_cast<Fields*>(user);
    std::string_view line(data, size);
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
    if (line.rfind("HTTP/", 0) == 0) fields = {};
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    if ((fields.bytes += size) > HttpPoster::fields_limit) return 0;  // ends the transfer
    std::string name(line.substr(0, colon));
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    fields.list.emplace_back(std::move(name), trim_text(line.substr(colon + 1)));
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
    Fields fields;
    bool may_connect = true;
    bool was_refused_socket = false;

    void set_options(const HttpPosterOptions& options);
    HttpReply post(Clock::time_point deadline, const std::atomic<Clock::rep>& limit);
    HttpReply post_http2(Clock::time_point deadline, const std::atomic<Clock::rep>& limit);
    bool run(Clock::time_point deadline, const std::atomic<Clock::rep>& limit, CURLcode& code);
    HttpReply reply(bool finished, CURLcode code);
    static curl_socket_t open_socket(void* user, curlsocktype, curl_sockaddr* address);
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
    if (!options.unix_socket.empty())
        curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, options.unix_socket.c_str());
    if (options.http2) {
        curl_easy_setopt(handle, CURLOPT_OPENSOCKETFUNCTION, open_socket);
        curl_easy_setopt(handle, CURLOPT_OPENSOCKETDATA, this);
        curl_easy_setopt(handle, CURLOPT_HTTPPROXYTUNNEL, 1L);  // a proxy may speak HTTP/1 only
        curl_easy_setopt(handle, CURLOPT_HEADERFUNCTION, append_field);
        curl_easy_setopt(handle, CURLOPT_HEADERDATA, &fields);
        curl_easy_setopt(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    }
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
bool HttpPoster::Curl::run(Clock::time_point deadline, const std::atomic<Clock::rep>& limit,
                           CURLcode& code) {
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
        const Clock::time_point end =
            std::min(deadline, Clock::time_point(Clock::duration(limit.load())));
        const auto wait = std::chrono::ceil<milliseconds>(end - Clock::now());
        if (wait.count() <= 0) return false;
        const auto most = std::min<milliseconds>(wait, milliseconds(60000));
        curl_multi_poll(multi.get(), nullptr, 0, static_cast<int>(most.count()), nullptr);
    }
}

// One try with the options that are set.
HttpReply HttpPoster::Curl::post(Clock::time_point deadline, const std::atomic<Clock::rep>& limit) {
    body.clear();
    fields = {};
    problem[0] = '\0';
    was_refused_socket = false;
    HttpReply answer;
    answer.problem = "libcurl refused the request";
    if (curl_multi_add_handle(multi.get(), easy.get()) != CURLM_OK) return answer;
    CURLcode code = CURLE_OK;
    const bool finished = run(deadline, limit, code);
    answer = reply(finished, code);
    curl_multi_remove_handle(multi.get(), easy.get());
    return answer;
}

// libcurl 7.88 fails where it uses a connection again that was made with "prior knowledge", and
// would begin a new one in HTTP/1 without it. So first without it and without new connections.
HttpReply HttpPoster::Curl::post_http2(Clock::time_point deadline,
                                       const std::atomic<Clock::rep>& limit) {
    curl_easy_setopt(easy.get(), CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2_0});
    may_connect = false;
    HttpReply answer = post(deadline, limit);
    may_connect = true;
    if (!was_refused_socket) return answer;
    curl_easy_setopt(easy.get(), CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE});
    return post(deadline, limit);
}

curl_socket_t HttpPoster::Curl::open_socket(void* user, curlsocktype, curl_sockaddr* address) {
    auto& self = *static_cast<Curl*>(user);
    self.was_refused_socket = !self.may_connect;
    if (!self.may_connect) return CURL_SOCKET_BAD;
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
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
        reply.timed_out = !finished;
        reply.unreachable = finished && is_unreachable(code);
        reply.permanent = finished && is_permanent(code);
        return reply;
    }
    reply.status = static_cast<int>(status);
    reply.body = std::move(body);
    reply.fields = std::move(fields.list);
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
    std::unique_ptr<HttpPoster> poster(new HttpPoster(options));
    auto first = poster->make_connection();
    if (!first) return Error{"libcurl cannot be initialised"};
    poster->idle_.push_back(std::move(first));
    return poster;
}

HttpPoster::HttpPoster(const HttpPosterOptions& options) : options_(options) {}
HttpPoster::~HttpPoster() = default;

HttpReply HttpPoster::post(std::string_view body, TimePoint deadline) {
    std::unique_ptr<Curl> connection = take_connection();
    HttpReply reply;
    reply.problem = "libcurl refused the request";
    if (!connection) return reply;
    CURL* handle = connection->easy.get();
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
    reply = options_.http2 ? connection->post_http2(deadline, limit_)
                           : connection->post(deadline, limit_);
    return_connection(std::move(connection));
    return reply;
}

void HttpPoster::limit(TimePoint deadline) noexcept {
    limit_.store(deadline.time_since_epoch().count());
    const std::lock_guard lock(mutex_);
    for (Curl* connection : busy_) curl_multi_wakeup(connection->multi.get());
}

std::unique_ptr<HttpPoster::Curl> HttpPoster::make_connection() const {
    auto connection = std::make_unique<Curl>();
    connection->easy.reset(curl_easy_init());
    connection->multi.reset(curl_multi_init());
    if (!connection->easy || !connection->multi) return nullptr;
    connection->set_options(options_);
    return connection;
}

std::unique_ptr<HttpPoster::Curl> HttpPoster::take_connection() {
    const std::lock_guard lock(mutex_);
    std::unique_ptr<Curl> connection;
    if (idle_.empty()) {
        connection = make_connection();
    } else {
        connection = std::move(idle_.back());
        idle_.pop_back();
    }
    if (connection) busy_.push_back(connection.get());
    return connection;
}

void HttpPoster::return_connection(std::unique_ptr<Curl> connection) {
    const std::lock_guard lock(mutex_);
    busy_.erase(std::find(busy_.begin(), busy_.end(), connection.get()));
    idle_.push_back(std::move(connection));
}

}  // namespace remora
