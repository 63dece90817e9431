// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "agent/protocol/http/known_methods.h"

namespace remora::protocol::http {
namespace {

std::vector<std::string>& replaced_methods() {
    static std::vector<std::string> methods;
    return methods;
}

}  // namespace

void set_known_methods(std::vector<std::string> methods) {
    replaced_methods() = std::move(methods);
}

bool is_known_method(std::string_view method) {
    static constexpr std::string_view conventions[] = {
        "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"};
    const auto is_method = [method](std::string_view known) { return known == method; };
    const std::vector<std::string>& replaced = replaced_methods();
    if (!replaced.empty()) return std::any_of(replaced.begin(), replaced.end(), is_method);
    return std::any_of(std::begin(conventions), std::end(conventions), is_method);
}

}  // namespace remora::protocol::http
