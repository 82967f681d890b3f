// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/model/ignore_list.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/base/error.h"

namespace haq::model {
namespace {

constexpr std::uint32_t kMatchLimit = 100000;
constexpr std::uint32_t kHeapLimitKib = 1024;
constexpr std::size_t kMaxPatternBytes = 4096;
constexpr std::size_t kMaxPatterns = 1000;

std::string text_of(int error) {
  PCRE2_UCHAR buffer[128];
  const int length = pcre2_get_error_message(error, buffer, sizeof buffer);
  return length < 0 ? "unknown error" : std::string(reinterpret_cast<const char*>(buffer));
}

}  // namespace

struct IgnoreList::Pattern {
  std::string source;
  pcre2_code* code = nullptr;
  ~Pattern() { pcre2_code_free(code); }
};

IgnoreList::IgnoreList(const std::vector<std::string>& entries, const std::string& what)
    : what_(what) {
  for (const auto& entry : entries) {
    if (entry.rfind("re:", 0) != 0) {
      names_.insert(entry);
      continue;
    }
    auto pattern = std::make_unique<Pattern>();
    pattern->source = entry.substr(3);
    if (pattern->source.size() > kMaxPatternBytes || patterns_.size() >= kMaxPatterns) {
      fail(ErrorCode::kLimit, "{}: field \"ignore\": more than {} patterns, or one over {} bytes",
           what, kMaxPatterns, kMaxPatternBytes);
    }
    int error = 0;
    PCRE2_SIZE offset = 0;
    pattern->code =
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern->source.data()), pattern->source.size(),
                      PCRE2_ANCHORED | PCRE2_NEVER_BACKSLASH_C, &error, &offset, nullptr);
    if (pattern->code == nullptr) {
      fail(ErrorCode::kCorrupt,
           "{}: field \"ignore\": found \"{}\", expected a regular expression: {}", what,
           entry.substr(0, 200), text_of(error));
    }
    patterns_.push_back(std::move(pattern));
  }
}

IgnoreList::~IgnoreList() = default;

bool IgnoreList::matches(const std::string& module) const {
  if (names_.count(module) != 0) return true;
  if (patterns_.empty()) return false;
  const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context(
      pcre2_match_context_create(nullptr), pcre2_match_context_free);
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  for (const auto& pattern : patterns_) {
    const std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data(
        pcre2_match_data_create_from_pattern(pattern->code, nullptr), pcre2_match_data_free);
    const int result = pcre2_match(pattern->code, reinterpret_cast<PCRE2_SPTR>(module.data()),
                                   module.size(), 0, 0, data.get(), context.get());
    if (result >= 0) return true;
    if (result != PCRE2_ERROR_NOMATCH) {
      fail(ErrorCode::kLimit,
           "{}: field \"ignore\": pattern \"{}\" cannot be matched against \"{}\": {}", what_,
           pattern->source.substr(0, 200), module, text_of(result));
    }
  }
  return false;
}

}  // namespace haq::model
