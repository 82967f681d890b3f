// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <nlohmann/json.hpp>

#include "engine/model/config_fields.h"
#include "engine/quant/report/report.h"

/// The parts of a report as JSON, shared by the report itself and by the files of finished layers.
/// A number that is not finite is written as null; null reads as the field's default.
namespace haq::quant {

inline constexpr double kMaxReal = 1e300;  ///< of any figure in a report
inline constexpr std::int64_t kMaxCount = std::int64_t{1} << 60;
inline constexpr std::size_t kMaxReportText = 65536;  ///< bytes of one string

nlohmann::ordered_json real_to_json(double value);
nlohmann::ordered_json real_to_json(const std::optional<double>& value);

nlohmann::ordered_json to_json(const ModuleReport& module);
nlohmann::ordered_json to_json(const ExpertReport& expert);
/// Throw kCorrupt naming file and field.
ModuleReport module_from_json(const model::Fields& fields);
ExpertReport expert_from_json(const model::Fields& fields);

/// A string of limited length; absent: empty.
std::string text_from_json(const model::Fields& fields, const char* key);

/// Calls read(Fields) for every object of an array below `key`; absent: not at all. Throws
/// kCorrupt for anything else, kLimit beyond `most` items.
template <typename Read>
void for_each_object(const model::Fields& fields, const char* key, std::size_t most, Read read) {
  const nlohmann::json* array = fields.find(key);
  if (array == nullptr) return;
  if (!array->is_array()) fields.wrong(key, "a list of objects");
  if (array->size() > most) {
    fail(ErrorCode::kLimit, "{}: field \"{}\": {} items, more than the limit of {}", fields.file(),
         key, array->size(), most);
  }
  std::size_t index = 0;
  for (const nlohmann::json& item : *array) {
    read(model::Fields(item, fields.file(), fmt::format("{}[{}].", key, index++)));
  }
}

}  // namespace haq::quant
