// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/folder/run_file.h"

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/hash.h"
#include "engine/base/json.h"
#include "engine/model/config_fields.h"

namespace haq::quant {
namespace {

constexpr int kMaxLayers = 1 << 16;
constexpr std::size_t kMaxShown = 80;

/// Settings with their keys in one order, whichever way they were gathered.
nlohmann::json sorted(const nlohmann::ordered_json& settings) {
  return nlohmann::json::parse(settings.dump());
}

std::string shown(const nlohmann::json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) return "nothing";
  const std::string text = found->dump(-1, ' ', true);
  return text.size() <= kMaxShown ? text : text.substr(0, kMaxShown) + "...";
}

}  // namespace

std::string RunIdentity::hash() const {
  Hash128 hash;
  hash.update("haq run 1\n" + source_fingerprint + "\n" + calibration_fingerprint + "\n" +
              sorted(settings).dump());
  return hash.hex();
}

std::vector<std::string> differences(const RunIdentity& found, const RunIdentity& expected) {
  std::vector<std::string> list;
  const auto compare = [&](const char* what, const std::string& was, const std::string& is) {
    if (was != is) {
      list.push_back(
          fmt::format("{}: found fingerprint {}, expected {}", what, was.substr(0, kMaxShown), is));
    }
  };
  compare("model", found.source_fingerprint, expected.source_fingerprint);
  compare("calibration data", found.calibration_fingerprint, expected.calibration_fingerprint);
  const nlohmann::json before = sorted(found.settings);
  const nlohmann::json now = sorted(expected.settings);
  nlohmann::json all = before.is_object() ? before : nlohmann::json::object();
  if (now.is_object()) all.update(now);
  for (const auto& [key, value] : all.items()) {
    const std::string was = shown(before, key);
    const std::string is = shown(now, key);
    if (was != is) {
      list.push_back(
          fmt::format("setting \"{}\": found {}, expected {}", key.substr(0, kMaxShown), was, is));
    }
  }
  if (list.empty() && found.hash() != expected.hash()) list.emplace_back("settings differ");
  return list;
}

void RunFile::write(const std::filesystem::path& path) const {
  nlohmann::ordered_json json;
  json["schema"] = kSchema;
  json["run"] = identity.hash();
  json["source_fingerprint"] = identity.source_fingerprint;
  json["calibration_fingerprint"] = identity.calibration_fingerprint;
  json["settings"] = identity.settings;
  json["layers"] = layers;
  write_file_atomically(path, json.dump(2) + "\n");
}

RunFile RunFile::read(const std::filesystem::path& path) {
  constexpr std::size_t kMaxBytes = std::size_t{1} << 20;
  JsonLimits limits;
  limits.max_bytes = kMaxBytes;
  const nlohmann::json json = parse_json_file(path, limits);
  const model::Fields fields(json, path.string());
  const auto schema = fields.integer("schema", 1, std::numeric_limits<int>::max());
  if (schema > kSchema) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: written by a newer version of this program (schema {}, this one "
                            "knows up to {})",
                            path.string(), schema, kSchema),
                "update the program, or choose another output folder");
  }
  RunFile run;
  const auto text = [&](const char* key) {
    const auto value = fields.text_if(key);
    if (!value) fields.missing(key, "a string");
    return *value;
  };
  run.identity.source_fingerprint = text("source_fingerprint");
  run.identity.calibration_fingerprint = text("calibration_fingerprint");
  const auto settings = fields.child("settings");
  if (!settings) fields.missing("settings", "an object");
  run.identity.settings = nlohmann::ordered_json::parse(settings->object().dump());
  run.layers = fields.size("layers", kMaxLayers);
  if (text("run") != run.identity.hash()) fields.wrong("run", "the hash of the fields beside it");
  return run;
}

}  // namespace haq::quant
