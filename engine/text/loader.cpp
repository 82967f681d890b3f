// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/loader.h"

#include <limits>
#include <utility>

#include "engine/base/error.h"

namespace haq::text {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxDepth = 64;

class Reader final : public nlohmann::json_sax<json> {
 public:
  Reader(std::string_view what, TokenizerFile& file) : what_(what), file_(file) {}

  bool null() override { return scalar(json(nullptr)); }
  bool boolean(bool value) override { return scalar(json(value)); }
  bool number_integer(number_integer_t value) override { return number(value, json(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    const bool fits = value <= static_cast<number_unsigned_t>(kMax);
    return number(fits ? static_cast<std::int64_t>(value) : kMax, json(value));
  }
  bool number_float(number_float_t value, const string_t&) override {
    if (in_entry() && mode_ == Mode::kVocabList && entry_items_ == 1) {
      file_.vocab.back().score = value;
      ++entry_items_;
      return true;
    }
    return scalar(json(value));
  }
  bool string(string_t& value) override {
    switch (mode_) {
      case Mode::kVocabList:
        if (!in_entry() || entry_items_ != 0) bad_entry();
        file_.vocab.push_back({store(value), length(value), 0, 0});
        ++entry_items_;
        return true;
      case Mode::kMerges:
        merge_string(value);
        return true;
      case Mode::kVocabObject:
        bad_entry();
      case Mode::kOther:
        break;
    }
    return scalar(json(std::move(value)));
  }
  bool binary(binary_t&) override { return true; }
  bool key(string_t& name) override {
    if (mode_ == Mode::kVocabObject) {
      file_.vocab.push_back({store(name), length(name), -1, 0});
      return true;
    }
    const bool table_seen =
        stack_.size() == 2 && in_model_ &&
        ((name == "vocab" && file_.has_vocab) || (name == "merges" && file_.has_merges));
    if (table_seen || stack_.back()->contains(name)) {
      fail(ErrorCode::kCorrupt, "{}: the key \"{}\" occurs twice in one object", what_,
           name.substr(0, 100));
    }
    key_ = std::move(name);
    return true;
  }

  bool start_object(std::size_t) override {
    if (mode_ != Mode::kOther) bad_entry();
    if (at_model_member("vocab")) return enter(Mode::kVocabObject, file_.has_vocab);
    return open(json::object());
  }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override {
    if (mode_ == Mode::kVocabList || mode_ == Mode::kMerges) {
      if (in_entry()) bad_entry();
      entry_open_ = true;
      entry_items_ = 0;
      return true;
    }
    if (mode_ == Mode::kVocabObject) bad_entry();
    if (at_model_member("vocab")) {
      file_.vocab_is_list = true;
      return enter(Mode::kVocabList, file_.has_vocab);
    }
    if (at_model_member("merges")) return enter(Mode::kMerges, file_.has_merges);
    return open(json::array());
  }
  bool end_array() override {
    if (mode_ != Mode::kOther && entry_open_) {
      if (entry_items_ != 2) bad_entry();
      entry_open_ = false;
      return true;
    }
    return close();
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    fail(ErrorCode::kCorrupt, "{}: not valid JSON at byte {}: {}", what_, position, error.what());
  }

 private:
  enum class Mode { kOther, kVocabObject, kVocabList, kMerges };

  bool in_entry() const { return entry_open_; }
  std::uint32_t store(const std::string& value) {
    const auto begin = static_cast<std::uint32_t>(file_.strings.size());
    file_.strings += value;
    return begin;
  }
  static std::uint32_t length(const std::string& value) {
    return static_cast<std::uint32_t>(value.size());
  }

  [[noreturn]] void bad_entry() const {
    if (mode_ == Mode::kMerges) {
      fail(ErrorCode::kCorrupt,
           "{}: model.merges: entry {} is neither \"left right\" nor [\"left\", \"right\"]", what_,
           file_.merges.size());
    }
    fail(ErrorCode::kCorrupt, "{}: model.vocab: entry {} is not a token with {}", what_,
         file_.vocab.size(), mode_ == Mode::kVocabList ? "a score" : "an id");
  }

  void merge_string(const std::string& value) {
    if (in_entry()) {
      if (entry_items_ > 1) bad_entry();
      if (entry_items_++ == 0) {
        file_.merges.push_back({store(value), length(value), 0, 0});
      } else {
        file_.merges.back().right_begin = store(value);
        file_.merges.back().right_length = length(value);
      }
      return;
    }
    if (value.starts_with("#version"))
      return;  // the first line of a merges.txt, kept by some tools
    const std::size_t blank = value.find(' ');
    if (blank == std::string::npos || value.find(' ', blank + 1) != std::string::npos) bad_entry();
    const std::uint32_t begin = store(value);
    const auto left = static_cast<std::uint32_t>(blank);
    file_.merges.push_back({begin, left, begin + left + 1, length(value) - left - 1});
  }

  bool number(std::int64_t value, json&& general) {
    if (mode_ == Mode::kVocabObject) {
      file_.vocab.back().id = value;
      return true;
    }
    if (mode_ == Mode::kVocabList && in_entry() && entry_items_ == 1) {
      file_.vocab.back().score = static_cast<double>(value);
      ++entry_items_;
      return true;
    }
    return scalar(std::move(general));
  }

  bool scalar(json&& value) {
    if (mode_ != Mode::kOther) bad_entry();
    if (!value.is_null()) no_table();
    place(std::move(value));
    return true;
  }

  json* place(json&& value) {
    if (stack_.empty()) {
      file_.rest = std::move(value);
      return &file_.rest;
    }
    json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    return &(parent[key_] = std::move(value));
  }

  /// A table of the model that is neither null nor of a kind that is read.
  void no_table() const {
    if (!at_model_member("vocab") && !at_model_member("merges")) return;
    fail(ErrorCode::kCorrupt, "{}: model.{}: expected a table", what_, key_);
  }

  bool open(json&& value) {
    no_table();
    if (stack_.size() >= kMaxDepth) {
      fail(ErrorCode::kLimit, "{}: nested deeper than the limit of {} levels", what_, kMaxDepth);
    }
    if (stack_.size() == 1) in_model_ = file_.rest.is_object() && key_ == "model";
    stack_.push_back(place(std::move(value)));
    return true;
  }

  bool close() {
    if (mode_ != Mode::kOther) {
      mode_ = Mode::kOther;
    } else {
      stack_.pop_back();
    }
    return true;
  }

  bool at_model_member(std::string_view name) const {
    return stack_.size() == 2 && in_model_ && stack_.back()->is_object() && key_ == name;
  }

  bool enter(Mode mode, bool& seen) {
    seen = true;
    mode_ = mode;
    return true;
  }

  std::string_view what_;
  TokenizerFile& file_;
  std::vector<json*> stack_;
  std::string key_;
  bool in_model_ = false;
  Mode mode_ = Mode::kOther;
  bool entry_open_ = false;
  int entry_items_ = 0;
};

}  // namespace

TokenizerFile read_tokenizer_file(std::string_view text, std::string_view what) {
  if (text.size() > kMaxTokenizerFileBytes) {
    fail(ErrorCode::kLimit, "{}: {} bytes, larger than the limit of {}", what, text.size(),
         kMaxTokenizerFileBytes);
  }
  TokenizerFile file;
  file.strings.reserve(text.size() / 4);
  Reader reader(what, file);
  json::sax_parse(text, &reader);
  return file;
}

}  // namespace haq::text
