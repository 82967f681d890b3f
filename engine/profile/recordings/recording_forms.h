// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/file.h"
#include "engine/profile/recordings/recording_rows.h"

/// One pair of functions per form of an exported recording; export_recording() and
/// read_recording_file() choose.
namespace haq::profile {

/// Collects small writes.
class BufferedFile {
 public:
  explicit BufferedFile(const std::filesystem::path& path) : file_(path) {}
  std::string& buffer() { return buffer_; }
  void flush_if_full() {
    if (buffer_.size() >= kBytes) flush();
  }
  void commit() {
    flush();
    file_.commit();
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;
  void flush() {
    file_.write(buffer_);
    buffer_.clear();
  }
  AtomicFile file_;
  std::string buffer_;
};

/// The next token to write; false at the end. Reports progress and throws kCancelled.
using NextToken = std::function<bool(RecordedToken&)>;

/// `tokens`: how many `next` will give.
void write_recording_csv(const Recording& recording, const NextToken& next,
                         const std::filesystem::path& file, std::vector<std::string>& notices);
void write_recording_npy(const Recording& recording, std::int64_t tokens, const NextToken& next,
                         const std::filesystem::path& file);
void write_recording_perfetto(const Recording& recording, const NextToken& next,
                              const std::filesystem::path& file);
/// Everything of the recording; `next` gives all its tokens.
void write_recording_file(Database& database, const Recording& recording, const NextToken& next,
                          const std::filesystem::path& file);

/// "HAQR": marks stand-alone files (PRAGMA application_id).
inline constexpr int kRecordingApplicationId = 0x48415152;
inline constexpr int kRecordingFileVersion = 1;

}  // namespace haq::profile
