// SPDX-License-Identifier: GPL-3.0-or-later
// Any text as a quantization report: either an Error, or a report that survives being written and
// read again, and of which a table and a model card can be made.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/quant/report/report.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace haq;
  quant::Report report;
  try {
    const nlohmann::json json =
        parse_json({reinterpret_cast<const char*>(data), size}, "report.json");
    report = quant::report_from_json(json, "report.json");
  } catch (const Error&) {
    return 0;
  }
  const std::string text = quant::to_json(report).dump();
  const quant::Report again = quant::report_from_json(parse_json(text, "again.json"), "again.json");
  if (quant::to_json(again).dump() != text) std::abort();
  if (quant::to_csv(report).empty() || quant::model_card(report).empty()) std::abort();
  return 0;
}
