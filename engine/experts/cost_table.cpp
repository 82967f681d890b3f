// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/cost_table.h"

#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

using Json = nlohmann::ordered_json;
using Knots = std::vector<CostTable::Knot>;

constexpr std::size_t kMaxKnots = 64;
constexpr double kLargestUs = 1e12;

double at(const Knots& knots, double tokens) {
  if (tokens <= knots.front().tokens || knots.size() == 1) return knots.front().us;
  std::size_t next = 1;
  while (next + 1 < knots.size() && tokens > knots[next].tokens) ++next;
  const CostTable::Knot& a = knots[next - 1];
  const CostTable::Knot& b = knots[next];
  return a.us + (tokens - a.tokens) * (b.us - a.us) / (b.tokens - a.tokens);
}

Json knots_json(const Knots& knots) {
  Json json = Json::array();
  for (const CostTable::Knot& knot : knots) json.push_back({knot.tokens, knot.us});
  return json;
}

double number(const Json& json, const char* field, double low, double high,
              const std::string& what) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_number()) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected a number", what, field,
         found == json.end() ? "missing" : found->dump());
  }
  const double value = found->get<double>();
  if (!(value >= low && value <= high)) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected {} to {}", what, field, value, low, high);
  }
  return value;
}

Knots knots_from(const Json& json, const char* field, const std::string& what) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_array() || found->empty() || found->size() > kMaxKnots) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, expected 1 to {} pairs [tokens, microseconds]", what,
         field, found == json.end() ? "missing" : "of another form", kMaxKnots);
  }
  Knots knots;
  for (const Json& pair : *found) {
    const bool good = pair.is_array() && pair.size() == 2 && pair[0].is_number() &&
                      pair[1].is_number() && pair[0].get<double>() >= 0 &&
                      pair[1].get<double>() >= 0 && pair[1].get<double>() <= kLargestUs &&
                      (knots.empty() || pair[0].get<double>() > knots.back().tokens);
    if (!good) {
      fail(ErrorCode::kCorrupt,
           "{}: {} holds {}, expected [tokens, microseconds], tokens ascending", what, field,
           pair.dump());
    }
    knots.push_back({pair[0].get<double>(), pair[1].get<double>()});
  }
  return knots;
}

}  // namespace

double CostTable::cpu_us(double tokens) const {
  return at(cpu, tokens);
}
double CostTable::device_us(double tokens) const {
  return at(device, tokens);
}

CostTable CostTable::stated(double cpu_us, double device_us, double link_gb_s,
                            double expert_bytes) {
  CostTable table;
  table.cpu = {{1, cpu_us}};
  table.device = {{1, device_us}};
  table.link_gb_s = link_gb_s;
  table.expert_bytes = expert_bytes;
  table.source = "stated";
  return table;
}

Json to_json(const CostTable& table) {
  return {{"source", table.source},
          {"cpu_us", knots_json(table.cpu)},
          {"device_us", knots_json(table.device)},
          {"upload_fixed_us", table.upload_fixed_us},
          {"link_gb_s", table.link_gb_s},
          {"expert_bytes", table.expert_bytes}};
}

CostTable cost_table_from_json(const Json& json, const std::string& what) {
  if (!json.is_object()) fail(ErrorCode::kCorrupt, "{}: a cost table must be an object", what);
  CostTable table;
  table.cpu = knots_from(json, "cpu_us", what);
  table.device = knots_from(json, "device_us", what);
  table.upload_fixed_us = number(json, "upload_fixed_us", 0, kLargestUs, what);
  table.link_gb_s = number(json, "link_gb_s", 1e-6, 1e6, what);
  table.expert_bytes = number(json, "expert_bytes", 0, 1e15, what);
  const auto source = json.find("source");
  if (source == json.end() || !source->is_string()) {
    fail(ErrorCode::kCorrupt, "{}: source is missing, expected a word", what);
  }
  table.source = source->get<std::string>();
  return table;
}

}  // namespace haq::experts
