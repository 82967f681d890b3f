// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/version.h"

namespace haq {

const char* program_version() {
  return HAQ_VERSION;
}

}  // namespace haq
