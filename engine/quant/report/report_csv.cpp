// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/report/report.h"
#include "engine/quant/report/report_fields.h"

namespace haq::quant {
namespace {

/// RFC 4180, section 2: what holds a comma, a quote or a line break stands in quotes, quotes
/// doubled.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"') result += '"';
    result += c;
  }
  return result + '"';
}

std::string field(const nlohmann::ordered_json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? quoted(value.get_ref<const std::string&>()) : value.dump();
}

}  // namespace

std::string to_csv(const Report& report) {
  const auto line = [](const nlohmann::ordered_json& object, bool names) {
    std::string text;
    for (const auto& [name, value] : object.items()) {
      if (!text.empty()) text += ',';
      text += names ? name : field(value);
    }
    return text + "\r\n";
  };
  std::string csv = line(to_json(ModuleReport{}), true);
  for (const ModuleReport& module : report.modules) csv += line(to_json(module), false);
  return csv;
}

}  // namespace haq::quant
