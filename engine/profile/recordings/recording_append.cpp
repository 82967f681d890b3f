// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/profile/recordings/recording_append.h"

#include <array>

#include "engine/base/error.h"

namespace haq::profile {

std::string continuation_name(Recordings& recordings, const std::string& name) {
  for (int number = 2;; ++number) {
    std::string candidate = fmt::format("{} ({})", name, number);
    if (!recordings.find(candidate)) return candidate;
  }
}

void join_continuation(Recordings& recordings, const std::string& name, const std::string& part,
                       const ProgressCallback& progress, const CancelToken& cancel) {
  const std::array<std::string, 2> both{name, part};
  const std::string joined = continuation_name(recordings, name);
  recordings.merge(both, joined, progress, cancel);
  recordings.remove(name);
  recordings.rename(joined, name);
  recordings.remove(part);
}

}  // namespace haq::profile
