// SPDX-License-Identifier: GPL-3.0-or-later
#include <sqlite3.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <utf8proc.h>

#include <CLI/Version.hpp>
#include <chrono>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"
#include "engine/base/file.h"
#include "engine/base/machine.h"
#include "engine/base/threads.h"
#include "engine/device/emulated/emulated_device.h"
#include "engine/device/host/host_device.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

Json machine_json() {
  struct utsname name = {};
  uname(&name);
  const auto memory = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                      static_cast<std::uint64_t>(sysconf(_SC_PAGE_SIZE));
  return {{"system", fmt::format("{} {}", name.sysname, name.release)},
          {"memory_bytes", memory},
          {"memory_available_bytes", session::available_memory()}};
}

Json data_json(const Arguments& arguments) {
  const std::filesystem::path folder = user_data_dir();
  std::error_code error;
  const bool exists = std::filesystem::is_directory(folder, error);
  // Free space of the nearest folder that exists.
  std::filesystem::path nearest = folder;
  while (!nearest.empty() && !std::filesystem::exists(nearest, error) &&
         nearest != nearest.parent_path()) {
    nearest = nearest.parent_path();
  }
  const std::filesystem::space_info space = std::filesystem::space(nearest, error);
  Json json = {{"folder", folder.string()},
               {"exists", exists},
               {"writable", access(nearest.c_str(), W_OK) == 0}};
  json["free_bytes"] = error ? Json() : Json(space.available);
  if (arguments.given("--db")) json["db"] = arguments.text("--db");
  try {
    json["demo_model"] = model::demo_model_dir().string();
  } catch (const Error& missing) {
    json["demo_model"] = nullptr;
    json["demo_model_problem"] = missing.what();
  }
  return json;
}

Json device_json(const device::DeviceInfo& info) {
  return {{"name", info.name},
          {"kind", info.kind},
          {"memory_bytes", info.memory_bytes},
          {"emulated", info.emulated}};
}

/// What --card and --link know by name; figures of an emulated device, none of this machine.
Json cards_json() {
  Json cards = Json::array();
  for (const device::CardPreset& card : device::card_presets()) {
    cards.push_back({{"name", card.name},
                     {"title", card.title},
                     {"memory_gib", card.memory_gib},
                     {"memory_gb_s", card.memory_gb_s},
                     {"int8_tops", card.int8_tops},
                     {"link_gb_s", card.link_gb_s},
                     {"source", card.source}});
  }
  return cards;
}

Json versions_json(const device::KernelReport& kernels) {
  return {{"haq", HAQ_VERSION},
          {"onednn", kernels.onednn_version},
          {"sqlite", sqlite3_libversion()},
          {"utf8proc", utf8proc_version()},
          {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR,
                                        NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
          {"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100,
                              FMT_VERSION % 100)},
          {"cli11", CLI11_VERSION}};
}

void print_plain(const Json& json) {
  std::string text;
  const auto line = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<14}{}\n", name, value);
  };
  const Json& cpu = json["cpu"];
  line("processor", fmt::format("{}, {} cores in use", cpu["name"].get<std::string>(),
                                cpu["threads"].get<int>()));
  std::string limits;
  for (const Json& limit : cpu["isa_limits"])
    limits += fmt::format("{}{}", limits.empty() ? "" : ", ", limit.get<std::string>());
  line("instructions",
       fmt::format("{} (HAQ_MAX_ISA can be {})", cpu["isa"].get<std::string>(), limits));
  for (const auto& [name, kernel] : cpu["kernels"].items()) {
    line("kernels", fmt::format("{}: {}", name, kernel.get<std::string>()));
  }
  for (const Json& remark : cpu["notes"]) line("", remark.get<std::string>());
  const Json& machine = json["machine"];
  line("memory",
       fmt::format("{} ({} available)",
                   session::format_bytes(machine["memory_bytes"].get<std::uint64_t>()),
                   session::format_bytes(machine["memory_available_bytes"].get<std::uint64_t>())));
  line("system", machine["system"].get<std::string>());
  for (const Json& device : json["devices"]) {
    const bool emulated = device["emulated"].get<bool>();
    line("device", fmt::format("{} ({}, {})", device["name"].get<std::string>(),
                               emulated ? "a preview of a card that is not there"
                                        : device["kind"].get<std::string>(),
                               session::format_bytes(device["memory_bytes"].get<std::uint64_t>())));
  }
  std::string cards;
  for (const Json& card : json["cards"])
    cards += fmt::format("{}{}", cards.empty() ? "" : ", ", card["name"].get<std::string>());
  line("", "--card of the emulated device: " + cards);
  line("CUDA", json["cuda"]["reason"].get<std::string>());
  const Json& test = json["self_test"];
  line("self-test", test["passed"].get<bool>() ? "passed" : "FAILED");
  for (const Json& failure : test["failures"]) line("", failure.get<std::string>());
  std::string versions;
  for (const auto& [name, version] : json["versions"].items()) {
    versions +=
        fmt::format("{}{} {}", versions.empty() ? "" : ", ", name, version.get<std::string>());
  }
  line("versions", versions);
  const Json& data = json["data"];
  line("data folder", fmt::format("{}{}{}", data["folder"].get<std::string>(),
                                  data["exists"].get<bool>() ? "" : " (made when first needed)",
                                  data["writable"].get<bool>() ? "" : " (not writable)"));
  line("demo model", data["demo_model"].is_null() ? data["demo_model_problem"].get<std::string>()
                                                  : data["demo_model"].get<std::string>());
  print(text);
}

int run(const Arguments& arguments) {
  device::HostOptions host;
  host.threads = static_cast<int>(arguments.integer("--threads"));
  host.max_isa = device::isa_limit_from_environment();
  const device::KernelReport kernels = device::kernel_report(host);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<std::string> failures = device::self_test(host);
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const device::DeviceInfo info = device::make_host_device(host)->info();

  Json json;
  json["machine"] = machine_json();
  json["cpu"] = {
      {"name", cpu_name()},
      {"threads", host.threads > 0 ? host.threads : available_cores()},
      {"isa", info.isa},
      {"isa_limit", device::to_string(host.max_isa)},
      {"isa_limits", device::runnable_isa_limits()},
      {"kernels",
       {{"int8", kernels.int8}, {"bf16", kernels.bf16}, {"fixed_order", kernels.fixed_order}}},
      {"notes", kernels.notes}};
  json["self_test"] = {{"passed", failures.empty()}, {"failures", failures}, {"seconds", seconds}};
  device::EmulatedOptions preview;
  preview.max_isa = host.max_isa;
  json["devices"] = {device_json(info), device_json(device::make_emulated_device(preview)->info())};
  json["cards"] = cards_json();
  json["cuda"] = {{"available", false}, {"reason", "this program is built without a CUDA module"}};
  json["versions"] = versions_json(kernels);
  json["data"] = data_json(arguments);
  if (arguments.flag("--json")) {
    print_json(json);
  } else {
    print_plain(json);
  }
  if (failures.empty()) return kExitDone;
  print_error("doctor", fmt::format("{} kernels differ from the scalar reference", failures.size()),
              "set HAQ_MAX_ISA to a lower value and report this defect");
  return kExitFailed;
}

}  // namespace

Command doctor_command() {
  return {
      "doctor",
      "check this machine and the program's kernels",
      "Shows processor, instruction sets, which kernel serves what and why, memory, devices, "
      "library "
      "versions and folders, and compares every kernel this processor can run with a scalar "
      "reference. Fails when one differs.",
      {},
      {},
      {{"haq doctor", "a report for a person"}, {"haq doctor --json", "the same for a program"}},
      run};
}

}  // namespace haq::cli
