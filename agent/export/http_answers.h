// SPDX-License-Identifier: Apache-2.0
// What every sender over HTTP does with its options and answers.
#pragma once

#include <string>

#include "agent/config/config.h"
#include "agent/export/http_poster.h"
#include "agent/export/span_sender.h"

namespace remora {

// URL, headers and certificates of a destination; the content type is the caller's to add.
HttpPosterOptions poster_options(const OtlpConfig& config);

// May the same request work later? OTLP specification, "Retryable Response Codes".
bool is_retryable_http_status(int status);

// An attempt that was answered by nobody, or by a status that is no success. said: by the
// destination; may be empty.
Attempt failed_attempt(const HttpReply& reply, const std::string& said);

// An attempt that ended before anything was sent.
Attempt not_compressed(const Error& error);

// What others said, printable and cut to what a log line can bear.
std::string quoted_remark(const std::string& said);

}  // namespace remora
