// SPDX-License-Identifier: Apache-2.0
// All exporters that a configuration asks for, each behind its own queue, so that a slow one holds
// up no other.
#pragma once

#include <memory>
#include <vector>

#include "agent/base/result.h"
#include "agent/config/config.h"
#include "agent/export/batch_processor.h"

namespace remora {

// None at all is a valid answer. An error: the output file cannot be opened, for instance.
Result<std::vector<std::unique_ptr<BatchProcessor>>> make_exporters(const Config& config,
                                                                    const CountLoss& count_loss);

// All at the same time: one that hangs until the deadline takes no time from the others.
void stop_exporters(const std::vector<std::unique_ptr<BatchProcessor>>& processors,
                    BatchProcessor::TimePoint deadline);

}  // namespace remora
