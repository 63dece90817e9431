// SPDX-License-Identifier: Apache-2.0
// How the text of one setting becomes a value of the draft. Errors end the sentence that names the
// variable: "must be ..."; notes are warnings about values that were taken, but not quite as asked.
#pragma once

#include <string_view>

#include "agent/base/result.h"
#include "agent/config/settings.h"

namespace remora::rule {

Status log_level(std::string_view text, ConfigDraft& draft);
Status resource_attributes(std::string_view text, ConfigDraft& draft);
Status propagators(std::string_view text, ConfigDraft& draft);
Status sampler(std::string_view text, ConfigDraft& draft);
Status sampler_argument(std::string_view text, ConfigDraft& draft);
Status exporters(std::string_view text, ConfigDraft& draft);
Status view(std::string_view text, ConfigDraft& draft);
Status known_methods(std::string_view text, ConfigDraft& draft);
Status stability(std::string_view text, ConfigDraft& draft);

// where: enum remora_named_where.
Status named_fields(std::string_view text, ConfigDraft& draft, uint8_t where);

Status otlp_protocol(std::string_view text, ConfigDraft& draft);
Status otlp_compression(std::string_view text, ConfigDraft& draft);
Status headers(std::string_view text, ConfigDraft& draft);
Status metrics_listen(std::string_view text, ConfigDraft& draft);
Status batch_size(std::string_view text, ConfigDraft& draft);

// Variables of the specification that are understood, but answered with a warning.
Status no_file(std::string_view text, ConfigDraft& draft);
Status no_entities(std::string_view text, ConfigDraft& draft);

// Into one field.
Status text(std::string_view value, std::string& field);
Status url(std::string_view text, std::string& field);
Status otlp_endpoints(std::string_view text, std::string& field);  // separated by commas
Status otlp_endpoint(std::string_view text, std::string& field);
Status own_boolean(std::string_view text, bool& field);
Status otel_boolean(std::string_view text, bool& field);
Status readable_file(std::string_view path, std::string& field);
// 0 is no limit: a day.
Status timeout(std::string_view text, std::chrono::milliseconds& field);
Status delay(std::string_view text, std::chrono::milliseconds& field);
Status seconds(std::string_view text, std::chrono::seconds& field, uint64_t least);
Status count(std::string_view text, size_t& field, uint64_t least);
Status bytes(std::string_view text, size_t& field);  // from 64 KiB to 1 TiB
Status lanes(std::string_view text, uint32_t& field);

}  // namespace remora::rule
