// SPDX-License-Identifier: Apache-2.0
// `remora doctor`: what this machine allows, found out by trying.
#pragma once

#include "agent/config/config_builder.h"

namespace remora {

struct DoctorOptions {
    bool json = false;
};

// The exit status: 0 remora run works here and the collector, where one is configured, answers; 1
// something is missing; 125 standard output can't be written. Takes two seconds at most for the
// collector.
int doctor_command(const DoctorOptions& options, const LoadedConfig& loaded);

}  // namespace remora
