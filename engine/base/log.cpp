// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include "engine/base/error.h"

namespace haq::log {
namespace {
spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto created = std::make_shared<spdlog::logger>(
        "haq", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    created->set_pattern("%H:%M:%S %^%l%$ %v");
    created->set_level(spdlog::level::warn);
    return created;
  }();
  return *instance;
}
}  // namespace

void set_level(std::string_view level) {
  for (const auto* name : {"trace", "debug", "info", "warn", "error", "off"}) {
    if (level == name) {
      logger().set_level(spdlog::level::from_str(name));
      return;
    }
  }
  fail(ErrorCode::kInvalidArgument,
       "log level \"{}\" is not one of trace, debug, info, warn, error, off", level);
}
void debug(const std::string& message) { logger().debug(message); }
void info(const std::string& message) { logger().info(message); }
void warn(const std::string& message) { logger().warn(message); }

}  // namespace haq::log
