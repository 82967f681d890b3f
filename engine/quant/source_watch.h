// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

namespace haq::quant {

/// Notices when the files of a model folder change while a run reads them. Names, sizes and times
/// are compared, so a look is cheap.
class SourceWatch {
 public:
  explicit SourceWatch(std::filesystem::path folder);
  /// Throws kConflict naming the file that was changed or removed since the construction.
  void check() const;

 private:
  struct Stamp {
    std::uintmax_t size = 0;
    std::int64_t time = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  using Files = std::map<std::string, Stamp>;
  Files look() const;

  std::filesystem::path folder_;
  Files files_;
};

}  // namespace haq::quant
