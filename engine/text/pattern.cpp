// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/pattern.h"

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/text/pieces.h"

namespace haq::text {

Pattern Pattern::parse(const Fields& owner) {
  Pattern pattern;
  if (owner.value("pattern").is_string()) {  // the form of old files
    pattern.literal_ = owner.text("pattern");
  } else {
    const Fields fields = owner.child("pattern");
    fields.allow({"String", "Regex"});
    if (fields.has("String") == fields.has("Regex")) {
      owner.wrong("pattern", "either a String or a Regex");
    }
    if (fields.has("String")) {
      pattern.literal_ = fields.text("String");
    } else {
      pattern.regex_ = Regex::compile(fields.text("Regex"), fields.place());
    }
  }
  if (pattern.literal_ && pattern.literal_->empty()) owner.wrong("pattern", "not empty");
  return pattern;
}

Pattern Pattern::regex(std::string_view expression) {
  Pattern pattern;
  pattern.regex_ = Regex::compile(expression, "built-in pattern");
  return pattern;
}

Pattern::Finder::Finder(const Pattern& pattern) : pattern_(&pattern) {
  if (pattern.regex_) scanner_.emplace(*pattern.regex_);
}

void Pattern::Finder::find(std::string_view text, std::vector<Stretch>& out) {
  std::size_t previous = 0;
  const auto add = [&](std::size_t begin, std::size_t end) {
    if (previous != begin) out.push_back({previous, begin, false});
    out.push_back({begin, end, true});
    previous = end;
  };
  if (scanner_) {
    scanner_->start(text);
    for (std::size_t begin = 0, end = 0; scanner_->next(begin, end);) add(begin, end);
  } else {
    const std::string& literal = *pattern_->literal_;
    for (std::size_t at = text.find(literal); at != std::string_view::npos;
         at = text.find(literal, at + literal.size())) {
      add(at, at + literal.size());
    }
  }
  if (previous != text.size()) out.push_back({previous, text.size(), false});
}

void Pattern::replace(std::string_view text, std::string_view content, std::string& out,
                      std::size_t* lead) const {
  std::vector<Stretch> stretches;
  Finder(*this).find(text, stretches);
  const std::size_t begin = out.size();
  std::size_t new_lead = 0;
  for (const Stretch& stretch : stretches) {
    out += stretch.is_match ? content : text.substr(stretch.begin, stretch.end - stretch.begin);
    check_work_size(out.size());
    if (lead == nullptr || *lead == 0) continue;
    // A replacement belongs as a whole to the place where its match began.
    if (stretch.end <= *lead || (stretch.is_match && stretch.begin < *lead)) {
      new_lead = out.size() - begin;
    } else if (stretch.begin < *lead) {
      new_lead = out.size() - begin - (stretch.end - *lead);
    }
  }
  if (lead != nullptr) *lead = new_lead;
}

}  // namespace haq::text
