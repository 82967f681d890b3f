// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/memory.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <optional>
#include <sstream>

namespace haq {

namespace {

std::optional<std::uint64_t> read_number(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string word;
  if (!(file >> word)) return std::nullopt;
  std::uint64_t value = 0;
  const auto [end, status] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (status != std::errc() || end != word.data() + word.size()) return std::nullopt;  // "max"
  return value;
}

/// MemAvailable of /proc/meminfo in bytes: counts page cache that can be dropped.
std::optional<std::uint64_t> kernel_available() {
  std::ifstream file("/proc/meminfo");
  std::string line;
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    std::uint64_t kib = 0;
    if (words >> key >> kib && key == "MemAvailable:") return kib * 1024;
  }
  return std::nullopt;
}

/// What the limit of one group still allows.
std::optional<std::uint64_t> one_group_available(const std::filesystem::path& folder) {
  const auto limit = read_number(folder / "memory.max");
  const auto used = read_number(folder / "memory.current");
  if (!limit || !used) return std::nullopt;
  std::uint64_t cache = 0;
  std::ifstream file(folder / "memory.stat");
  std::string key;
  std::uint64_t value = 0;
  while (file >> key >> value) {
    if (key == "inactive_file" || key == "active_file") cache += value;
  }
  const std::uint64_t held = *used - std::min(cache, *used);
  return *limit - std::min(held, *limit);
}

/// The version 2 control group of this process, "/" where there is none.
std::string own_group() {
  std::ifstream file("/proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    if (line.rfind("0::/", 0) == 0) return line.substr(3);
  }
  return "/";
}

}  // namespace

std::optional<std::uint64_t> group_available(const std::filesystem::path& root,
                                             const std::string& group) {
  std::optional<std::uint64_t> least = one_group_available(root);
  std::filesystem::path folder = root;
  for (const auto& part : std::filesystem::path(group).relative_path()) {
    folder /= part;
    if (const auto here = one_group_available(folder)) {
      least = std::min(least.value_or(*here), *here);
    }
  }
  return least;
}

std::uint64_t available_memory() {
  const auto kernel = kernel_available();
  const auto group = group_available("/sys/fs/cgroup", own_group());
  if (kernel && group) return std::min(*kernel, *group);
  return kernel.value_or(group.value_or(0));
}

std::uint64_t peak_rss_bytes() {
  struct rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

std::string format_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  static constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return value < 9.95 ? fmt::format("{:.1f} {}", value, kUnits[unit])
                      : fmt::format("{:.0f} {}", value, kUnits[unit]);
}

}  // namespace haq
