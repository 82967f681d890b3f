// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/json.h"

#include <nlohmann/json.hpp>
#include <set>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/file.h"

namespace haq {
namespace {

/// Checks depth and duplicate keys before any value is built, so that a bomb costs nothing.
class Checker : public nlohmann::json_sax<nlohmann::json> {
 public:
  Checker(std::string_view what, int max_depth) : what_(what), max_depth_(max_depth) {}
  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override {
    push();
    return true;
  }
  bool end_object() override { return pop(); }
  bool start_array(std::size_t) override {
    push();
    return true;
  }
  bool end_array() override { return pop(); }
  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      fail(ErrorCode::kCorrupt, "{}: the key \"{}\" occurs twice in one object", what_,
           name.substr(0, 100));
    }
    return true;
  }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception& error) override {
    fail(ErrorCode::kCorrupt, "{}: not valid JSON at byte {}: {}", what_, position, error.what());
  }

 private:
  void push() {
    if (static_cast<int>(keys_.size()) >= max_depth_) {
      fail(ErrorCode::kLimit, "{}: nested deeper than the limit of {} levels", what_, max_depth_);
    }
    keys_.emplace_back();
  }
  bool pop() {
    keys_.pop_back();
    return true;
  }
  std::string_view what_;
  int max_depth_;
  std::vector<std::set<std::string>> keys_;
};

template <typename Json>
Json parse(std::string_view text, std::string_view what, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    fail(ErrorCode::kLimit, "{}: {} bytes, larger than the limit of {}", what, text.size(),
         limits.max_bytes);
  }
  Checker checker(what, limits.max_depth);
  nlohmann::json::sax_parse(text, &checker);
  return Json::parse(text);
}

}  // namespace

nlohmann::json parse_json(std::string_view text, std::string_view what, const JsonLimits& limits) {
  return parse<nlohmann::json>(text, what, limits);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, std::string_view what,
                                          const JsonLimits& limits) {
  return parse<nlohmann::ordered_json>(text, what, limits);
}

nlohmann::json parse_json_file(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_text_file(path, limits.max_bytes), path.string(), limits);
}

}  // namespace haq
