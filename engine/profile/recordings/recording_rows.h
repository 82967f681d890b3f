// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/profile/recordings/recordings.h"
#include "engine/profile/store/sqlite.h"

/// The rows behind Recordings: what its functions share.
namespace haq::profile {

/// Where a recording lies: in the user's database, or alone in a file (recording_forms.h).
enum class Home { kStore, kFile };

inline constexpr int kTokenKeyBits = 40;  ///< key of a token: recording << 40 | number

/// Throw kNotFound (not find_recording()), or kCorrupt naming recording and field when a row makes
/// no sense.
Recording recording_by_name(Database& database, const std::string& name);
std::optional<Recording> find_recording(Database& database, const std::string& name);
Recording recording_by_id(Database& database, std::int64_t id);
std::vector<Recording> all_recordings(Database& database);  ///< newest first
/// The one recording of a stand-alone file.
Recording recording_of_file(Database& database);

/// Throws kConflict when the name is taken.
void check_name_is_free(Database& database, const std::string& name);
/// Checks every field that a caller chooses, then stores the row in `state` with zero sums. Needs a
/// transaction around it. A creation time of 0 becomes now.
std::int64_t insert_recording(Database& database, const Recording& recording,
                              const std::string& state);
/// Adds to the uses of a phase; `uses` by layer * experts + expert. Zeros cost nothing.
void add_uses(Database& database, std::int64_t recording, bool decode,
              const experts::ExpertShape& shape, std::span<const std::int64_t> uses);

/// Uses by layer * experts + expert, checked; phase: empty for both.
std::vector<std::int64_t> read_uses(Database& database, const Recording& recording,
                                    std::optional<bool> decode, Home home);

/// What tokens in order must keep to; the caller words the error. Empty: all is well.
class TokenOrder {
 public:
  explicit TokenOrder(const experts::ExpertShape& shape) : shape_(shape) {}
  std::optional<std::string> problem(const RecordedToken& token);
  /// Whether the last token began another prompt.
  bool new_prompt() const { return new_prompt_; }
  /// Goes on behind a token that is there already.
  void resume(std::int32_t prompt, std::int64_t batch, bool decode);

 private:
  experts::ExpertShape shape_;
  bool any_ = false, new_prompt_ = false;
  std::int32_t prompt_ = 0;
  std::int64_t batch_ = 0;
  bool decode_ = true;
};

/// Adds tokens behind those that a recording has. Inside a transaction; finish() writes the sums.
class TokenWriter {
 public:
  TokenWriter(Database& database, const Recording& recording);
  void add(const RecordedToken& token);  ///< kInvalidArgument, naming the token's number
  void finish();

 private:
  Database& database_;
  Recording recording_;
  TokenOrder order_;
  Statement insert_;
  std::vector<std::int64_t> uses_[2];  ///< [decode]
};

/// Reads tokens in order and checks each. The path is valid until the next call.
class TokenReader {
 public:
  TokenReader(Database& database, const Recording& recording, Home home = Home::kStore);
  bool next(RecordedToken& token);  ///< false at the end; kCorrupt

 private:
  [[noreturn]] void corrupt(const std::string& why) const;
  Recording recording_;
  std::string file_;
  TokenOrder order_;
  std::int64_t first_key_;
  Statement rows_;
  std::vector<std::uint16_t> path_;
  std::int64_t number_ = 0;
};

}  // namespace haq::profile
