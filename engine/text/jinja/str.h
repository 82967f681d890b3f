// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/jinja/budget.h"

namespace haq::text::jinja {

/// Where a byte of a string comes from. Only text of the template may become a special token.
enum class Origin : bool { kTemplate = false, kUser = true };

constexpr Origin operator|(Origin a, Origin b) {
  return a == Origin::kUser ? Origin::kUser : b;
}

/// A stretch of equal origin that ends (exclusive) at byte `end`.
struct Run {
  std::size_t end = 0;
  Origin origin = Origin::kTemplate;
};

/// An immutable UTF-8 string in which every byte knows its origin. Copies share the bytes.
/// Positions are byte offsets unless a name says otherwise.
class Str {
 public:
  Str() = default;
  explicit Str(std::string bytes, Origin origin = Origin::kTemplate);
  Str(std::string bytes, std::vector<Run> runs);

  std::string_view view() const {
    return rep_ ? std::string_view(rep_->bytes) : std::string_view();
  }
  std::size_t size() const { return rep_ ? rep_->bytes.size() : 0; }
  bool empty() const { return size() == 0; }
  /// Number of code points: Python's len().
  std::size_t length() const { return rep_ ? rep_->length : 0; }
  bool ascii() const { return size() == length(); }

  /// Runs cover the string without gaps; empty for an empty string.
  const std::vector<Run>& runs() const;
  /// kUser when any byte is.
  Origin origin() const;
  Origin origin_at(std::size_t position) const;

  /// Bytes [begin, end), both within the string and on code point boundaries.
  Str slice(std::size_t begin, std::size_t end) const;
  /// The same for code point indices, clamped to the string.
  Str slice_code_points(std::size_t begin, std::size_t end) const;
  std::size_t offset_of(std::size_t code_point) const;
  /// The same bytes, all of one origin.
  Str with_origin(Origin origin) const;

  friend bool operator==(const Str& a, const Str& b) { return a.view() == b.view(); }

 private:
  struct Rep {
    Rep(std::string bytes, std::vector<Run> runs);
    std::string bytes;
    std::vector<Run> runs;
    std::size_t length;
    Lease lease;
  };
  std::shared_ptr<const Rep> rep_;
};

/// Puts a string together, keeping origins. Throws kLimit beyond the size limit of one string.
class StrBuilder {
 public:
  void append(std::string_view bytes, Origin origin);
  void append(const Str& text);
  /// Bytes [begin, end) of `text`.
  void append(const Str& text, std::size_t begin, std::size_t end);
  std::size_t size() const { return bytes_.size(); }
  std::string_view view() const { return bytes_; }
  const std::vector<Run>& runs() const { return runs_; }
  Str finish();

 private:
  std::string bytes_;
  std::vector<Run> runs_;
};

}  // namespace haq::text::jinja
