// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/post_processor.h"

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/text/vocab.h"

namespace haq::text {
namespace {

constexpr int kMaxDepth = 8;
/// Templates may repeat the text; so many together keep the result within reason.
constexpr std::size_t kMaxTemplates = 16;
constexpr std::size_t kMaxParts = 64;
constexpr std::size_t kMaxIdsPerPart = 64;

/// ["[SEP]", 102]
TokenId token_and_id(const Fields& fields, std::string_view key) {
  const nlohmann::json& pair = fields.value(key);
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() ||
      !pair[1].is_number_unsigned() ||
      pair[1].get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxTokenId)) {
    fields.wrong(key, "a token and its id");
  }
  return pair[1].get<TokenId>();
}

std::vector<TokenId> special_token_ids(const Fields& fields, const std::string& name) {
  const Fields entry = fields.child("special_tokens").child(name);
  entry.allow({"id", "ids", "tokens"});
  const nlohmann::json& list = entry.value("ids");
  std::vector<TokenId> ids;
  if (!list.is_array() || list.size() > kMaxIdsPerPart) entry.wrong("ids", "a list of ids");
  for (const nlohmann::json& id : list) {
    if (!id.is_number_unsigned() ||
        id.get<std::uint64_t>() >= static_cast<std::uint64_t>(kMaxTokenId)) {
      entry.wrong("ids", "a list of ids");
    }
    ids.push_back(id.get<TokenId>());
  }
  return ids;
}

}  // namespace

PostProcessor PostProcessor::parse(const Fields& fields) {
  PostProcessor out;
  out.add(fields, 0);
  return out;
}

void PostProcessor::add(const Fields& fields, int depth) {
  const std::string type = fields.type();
  Template parts;
  if (type == "ByteLevel") {  // changes offsets only
    fields.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
    return;
  }
  if (type == "Sequence") {
    fields.allow({"type", "processors"});
    if (depth >= kMaxDepth) fail(ErrorCode::kLimit, "{}: nested too deeply", fields.place());
    for (const Fields& step : fields.children("processors")) add(step, depth + 1);
    return;
  }
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    fields.allow({"type", "sep", "cls", "trim_offsets", "add_prefix_space"});
    parts = {
        {false, {token_and_id(fields, "cls")}}, {true, {}}, {false, {token_and_id(fields, "sep")}}};
  } else if (type == "TemplateProcessing") {
    fields.allow({"type", "single", "pair", "special_tokens"});
    for (const Fields& part : fields.children("single")) {
      part.allow({"Sequence", "SpecialToken"});
      if (part.has("Sequence")) {
        if (part.child("Sequence").text("id") != "A") {
          part.child("Sequence").wrong("id", "A in the template of a single text");
        }
        parts.push_back({true, {}});
      } else {
        parts.push_back({false, special_token_ids(fields, part.child("SpecialToken").text("id"))});
      }
    }
  } else {
    fields.refuse_type("post-processor");
  }
  std::size_t texts = 0;
  for (const Part& part : parts) texts += part.is_text;
  if (texts != 1) {
    fail(ErrorCode::kUnsupported, "{}: a template that holds the text {} times, expected once",
         fields.place(), texts);
  }
  if (templates_.size() >= kMaxTemplates || parts.size() > kMaxParts) {
    fail(ErrorCode::kLimit, "{}: too many templates or parts", fields.place());
  }
  templates_.push_back(std::move(parts));
}

std::vector<TokenId> PostProcessor::apply(std::vector<TokenId> ids, bool add_special) const {
  if (!add_special) return ids;
  for (const Template& parts : templates_) {
    std::vector<TokenId> out;
    out.reserve(ids.size() + parts.size());
    for (const Part& part : parts) {
      const std::vector<TokenId>& source = part.is_text ? ids : part.ids;
      out.insert(out.end(), source.begin(), source.end());
    }
    ids = std::move(out);
  }
  return ids;
}

std::vector<TokenId> PostProcessor::special_ids() const {
  std::vector<TokenId> out;
  for (const Template& parts : templates_) {
    for (const Part& part : parts) out.insert(out.end(), part.ids.begin(), part.ids.end());
  }
  return out;
}

}  // namespace haq::text
