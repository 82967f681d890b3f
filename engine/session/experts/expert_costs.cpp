// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/expert_costs.h"

#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/machine.h"

namespace haq::session {

RunStore open_run_store(const std::filesystem::path& database, std::vector<std::string>& notices) {
  using Access = profile::Database::Access;
  const auto open = [&](Access access) {
    return std::make_unique<profile::StoreFile>(profile::StoreFile::open(database, access));
  };
  RunStore store;
  try {
    store.file = open(Access::kReadWrite);
    store.writable = true;
  } catch (const Error& error) {
    store.problem = error.what();
    try {
      store.file = open(Access::kReadOnly);
    } catch (const Error& second) {
      log::debug(fmt::format("the database cannot be read either: {}", second.what()));
    }
  }
  if (store.file) {
    notices.insert(notices.end(), store.file->notices.begin(), store.file->notices.end());
  }
  return store;
}

profile::CostKey cost_key(Model& model, const device::EmulatedOptions& figures,
                          const device::SlotLayout& layout) {
  profile::CostKey key;
  key.machine = fmt::format("{}, {} threads, {}", cpu_name(), model.threads(),
                            model.decoder().device().info().isa);
  key.device =
      fmt::format("emulated, link {} GB/s + {} us, {} TFLOPS, memory {} GB/s, {} us an expert",
                  figures.link_gb_s, figures.link_latency_us, figures.tflops, figures.memory_gb_s,
                  figures.launch_us);
  key.experts =
      fmt::format("{} x {}, {}{}{}, {} bytes", layout.hidden, layout.inner, to_string(layout.dtype),
                  layout.gate ? ", gated" : "", layout.bias ? ", bias" : "", layout.bytes());
  return key;
}

profile::StoredCosts known_costs(Model& model, device::SlotDevice& device,
                                 const profile::CostKey& key, RunStore& store,
                                 std::vector<std::string>& notices,
                                 const ProgressCallback& progress, const CancelToken& cancel) {
  if (store.file) {
    try {
      if (auto found = profile::CostTables(store.file->database).find(key)) return *found;
    } catch (const Error& error) {
      notices.push_back(
          fmt::format("The measured costs of before cannot be read: {}", error.what()));
    }
  }
  profile::StoredCosts costs;
  costs.key = key;
  costs.updated_ms = now_ms();
  costs.table =
      experts::measure_costs(model.decoder(), &device, model.prefill_chunk(), progress, cancel);
  std::string problem = store.problem;
  if (store.writable) {
    try {
      profile::CostTables(store.file->database).put(costs);
      return costs;
    } catch (const Error& error) {
      problem = error.what();
    }
  }
  notices.push_back(
      fmt::format("The measured costs of this machine are not kept, so the next run measures "
                  "again: {}",
                  problem));
  return costs;
}

void keep_refit(const std::filesystem::path& database, const profile::StoredCosts& frozen,
                const experts::CostRefit& refit) {
  if (refit.observations() == 0) return;
  profile::StoredCosts next = frozen;
  next.table = refit.refitted();
  next.observations += refit.observations();
  next.updated_ms = now_ms();
  try {
    profile::StoreFile file =
        profile::StoreFile::open(database, profile::Database::Access::kReadWrite);
    profile::CostTables(file.database).put(next);
  } catch (const Error& error) {
    log::info(fmt::format("the refitted costs are not kept: {}", error.what()));
  }
}

}  // namespace haq::session
