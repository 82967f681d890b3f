// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/emulated/emulated_device.h"
#include "engine/experts/runtime/cost_model.h"
#include "engine/profile/store/cost_tables.h"
#include "engine/profile/store/store_file.h"
#include "engine/session/session.h"

namespace haq::session {

/// The user's database for the beginning of a run: written where that is possible, else read, else
/// absent. Never an error; `problem` says why it cannot be written.
struct RunStore {
  std::unique_ptr<profile::StoreFile> file;
  bool writable = false;
  std::string problem;
};
/// Notices of the file itself (a damaged one was kept aside) are added to `notices`.
RunStore open_run_store(const std::filesystem::path& database, std::vector<std::string>& notices);

/// The combination that a cost table is measured with: this processor with the model's threads and
/// instruction set, the device with its stated figures, the form of an expert.
profile::CostKey cost_key(Model& model, const device::EmulatedOptions& figures,
                          const device::SlotLayout& layout);

/// From the store where it knows the combination, else measured, and then kept where the store can
/// be written (else a notice).
profile::StoredCosts known_costs(Model& model, device::SlotDevice& device,
                                 const profile::CostKey& key, RunStore& store,
                                 std::vector<std::string>& notices,
                                 const ProgressCallback& progress, const CancelToken& cancel);

/// Keeps what a run taught for the next one. Nothing when it observed nothing; a store that cannot
/// be written now is logged: the costs of before stay.
void keep_refit(const std::filesystem::path& database, const profile::StoredCosts& frozen,
                const experts::CostRefit& refit);

}  // namespace haq::session
