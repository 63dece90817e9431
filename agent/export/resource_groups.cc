// SPDX-License-Identifier: Apache-2.0
#include "agent/export/resource_groups.h"

#include <unordered_map>

namespace remora {

std::vector<ResourceGroup> group_by_resource(const std::vector<Span>& spans) {
    std::vector<ResourceGroup> groups;
    std::unordered_map<const Resource*, size_t> index;
    for (const Span& span : spans) {
        const Resource* resource = span.resource.get();
        const auto [found, is_new] = index.emplace(resource, groups.size());
        if (is_new) groups.push_back({resource, {}});
        groups[found->second].spans.push_back(&span);
    }
    return groups;
}

}  // namespace remora
