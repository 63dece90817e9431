// SPDX-License-Identifier: Apache-2.0
#include "agent/main/replay_command.h"

#include <chrono>

#include "agent/ingest/replay_source.h"
#include "agent/main/messages.h"
#include "agent/pipeline/pipeline.h"

namespace remora {

int replay_command(const std::string& file, const RunOptions& options, const LoadedConfig& loaded) {
    auto source = ReplaySource::open(file);
    if (!source) {
        say("{}", source.error().text());
        return 1;
    }
    auto pipeline = Pipeline::create(loaded.config, "");
    if (!pipeline) {
        say("{}", pipeline.error().text());
        return exit_usage;
    }
    const auto counts = (*pipeline)->replay(*source);
    (*pipeline)->stop(std::chrono::steady_clock::now() + loaded.config.drain_timeout);
    if (!counts) {
        say("{}: {}", file, counts.error().text());
        return 1;
    }
    if (!options.quiet)
        for (const std::string& line : (*pipeline)->losses().lines(options.verbose))
            say("{}", line);
    if (options.verbose) {
        say("{} record{} read", counts->records, counts->records == 1 ? "" : "s");
        if (const auto exported = (*pipeline)->exported())
            say("{} span{} exported", exported->exported, exported->exported == 1 ? "" : "s");
    }
    if (counts->cut)
        say("{} is cut: what follows its first {} records is lost", file, counts->records);
    return counts->cut || counts->refused > 0 ? 1 : 0;
}

}  // namespace remora
