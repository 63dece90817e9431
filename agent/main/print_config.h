// SPDX-License-Identifier: Apache-2.0
// `remora config`: every setting, its value and where that came from.
#pragma once

#include "agent/config/config_builder.h"

namespace remora {

int print_config(const LoadedConfig& loaded);  // the exit status: 0
// `remora config --reference`: the table of docs/configuration.md.
int print_reference();

}  // namespace remora
