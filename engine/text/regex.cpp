// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>

#include "engine/base/error.h"
#include "engine/text/regex_syntax.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

constexpr std::size_t kMaxPatternBytes = 32 * 1024;
constexpr std::uint32_t kMaxParentheses = 100;
/// Backtracking steps per position. A run of blanks is walked back once per position by common
/// patterns, so the limit has to allow about the longest run that a text may hold.
constexpr std::uint32_t kMatchLimit = 4'000'000;
constexpr std::size_t kHeapLimitKib = 64 * 1024;
constexpr std::size_t kJitStackBytes = std::size_t{4} << 20;
/// Start positions tried between two looks at the clock.
constexpr std::size_t kWindow = 256;
/// Matches found between two looks at the clock.
constexpr std::uint32_t kMatchesPerLook = 64;
constexpr std::chrono::milliseconds kBaseTime{5000};
constexpr std::size_t kBytesPerExtraMillisecond = 200;

std::string pcre2_message(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

template <auto Free>
struct Deleter {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

}  // namespace

struct Regex::Code {
  std::unique_ptr<pcre2_code, Deleter<pcre2_code_free>> code;
  std::string what;
};

struct RegexScanner::Memory {
  std::unique_ptr<pcre2_match_data, Deleter<pcre2_match_data_free>> data;
  std::unique_ptr<pcre2_match_context, Deleter<pcre2_match_context_free>> context;
  std::unique_ptr<pcre2_jit_stack, Deleter<pcre2_jit_stack_free>> stack;
};

Regex Regex::compile(std::string_view pattern, std::string_view what) {
  if (pattern.size() > kMaxPatternBytes) {
    fail(ErrorCode::kLimit, "{}: a regular expression of {} bytes, larger than the limit of {}",
         what, pattern.size(), kMaxPatternBytes);
  }
  const std::string translated = to_pcre2_syntax(pattern, what);
  std::unique_ptr<pcre2_compile_context, Deleter<pcre2_compile_context_free>> context(
      pcre2_compile_context_create(nullptr));
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), kMaxParentheses);
  int error = 0;
  std::size_t offset = 0;
  auto code = std::make_shared<Code>();
  code->what = std::string(what);
  code->code.reset(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C,
      &error, &offset, context.get()));
  if (!code->code) {
    fail(ErrorCode::kUnsupported, "{}: the regular expression \"{}\" is not supported: {}", what,
         pattern.substr(0, 200), pcre2_message(error));
  }
  // Without JIT (a hardened kernel) matching falls back to the interpreter: same result, slower.
  pcre2_jit_compile(code->code.get(), PCRE2_JIT_COMPLETE);
  Regex regex;
  regex.code_ = std::move(code);
  return regex;
}

RegexScanner::RegexScanner(const Regex& regex)
    : regex_(&regex),
      memory_(std::make_unique<Memory>()),
      deadline_(std::chrono::steady_clock::now() + kBaseTime) {
  memory_->data.reset(pcre2_match_data_create_from_pattern(regex.code().code.get(), nullptr));
  memory_->context.reset(pcre2_match_context_create(nullptr));
  if (!memory_->data || !memory_->context) throw std::bad_alloc();
  pcre2_set_match_limit(memory_->context.get(), kMatchLimit);
  pcre2_set_heap_limit(memory_->context.get(), kHeapLimitKib);
}

RegexScanner::~RegexScanner() = default;

void RegexScanner::start(std::string_view subject) {
  subject_ = subject;
  position_ = 0;
  any_match_ = false;
  deadline_ += std::chrono::milliseconds(subject.size() / kBytesPerExtraMillisecond);
}

bool RegexScanner::next(std::size_t& begin, std::size_t& end) {
  while (position_ <= subject_.size()) {
    if (!search(position_, begin, end)) {
      position_ = subject_.size() + 1;
      return false;
    }
    if (begin == end && any_match_ && last_end_ == end) {
      position_ += position_ < subject_.size() ? char_length(subject_[position_]) : 1;
      continue;
    }
    if (++matches_ % kMatchesPerLook == 0) check_deadline();
    position_ = end;
    last_end_ = end;
    any_match_ = true;
    return true;
  }
  return false;
}

bool RegexScanner::search(std::size_t from, std::size_t& begin, std::size_t& end) {
  for (;;) {
    const std::size_t limit = std::min(subject_.size(), from + kWindow);
    const int found = match_window(from, limit);
    if (found > 0) {
      const std::size_t* ovector = pcre2_get_ovector_pointer(memory_->data.get());
      begin = ovector[0];
      end = ovector[1];
      // \K may move the beginning; what it means for a cut is undefined there.
      if (begin < from || end < begin) {
        fail(ErrorCode::kUnsupported,
             "{}: the regular expression reports a match outside its range", regex_->code().what);
      }
      return true;
    }
    if (limit == subject_.size()) return false;
    check_deadline();
    from = limit + 1;
    while (from < subject_.size() &&
           (static_cast<unsigned char>(subject_[from]) & 0xC0u) == 0x80u) {
      ++from;
    }
    if (from > subject_.size()) return false;
  }
}

void RegexScanner::check_deadline() const {
  if (std::chrono::steady_clock::now() > deadline_) {
    fail(ErrorCode::kLimit, "{}: the regular expression takes too long on this text",
         regex_->code().what);
  }
}

int RegexScanner::match_window(std::size_t from, std::size_t limit) {
  pcre2_set_offset_limit(memory_->context.get(), limit);
  for (;;) {
    const int rc = pcre2_match(regex_->code().code.get(),
                               reinterpret_cast<PCRE2_SPTR>(subject_.data()), subject_.size(), from,
                               PCRE2_NO_UTF_CHECK, memory_->data.get(), memory_->context.get());
    if (rc > 0) return rc;
    if (rc == PCRE2_ERROR_NOMATCH) return 0;
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !memory_->stack) {
      memory_->stack.reset(pcre2_jit_stack_create(32 * 1024, kJitStackBytes, nullptr));
      pcre2_jit_stack_assign(memory_->context.get(), nullptr, memory_->stack.get());
      if (memory_->stack) continue;
    }
    fail(ErrorCode::kLimit, "{}: the regular expression gave up on this text: {}",
         regex_->code().what, pcre2_message(rc));
  }
}

}  // namespace haq::text
