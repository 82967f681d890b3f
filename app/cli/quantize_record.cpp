// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/quantize_record.h"

#include "app/cli/console.h"
#include "engine/base/clock.h"
#include "engine/profile/chats/chat_store.h"

namespace haq::cli {

namespace {

namespace fs = std::filesystem;

std::string full_path(const fs::path& path) {
  return fs::absolute(path).lexically_normal().string();
}

}  // namespace

QuantizeRecord::QuantizeRecord(const Arguments& arguments,
                               const session::QuantizeJobOptions& options)
    : arguments_(arguments) {
  const quant::QuantizeOptions& run = options.quantize;
  run_.started_ms = now_ms();
  run_.state = "running";
  run_.source = full_path(run.source.empty() ? model::demo_model_dir() : run.source);
  run_.target = full_path(run.target);
  run_.method = quant::to_string(run.method);
  run_.options_json = session::quantize_options_json(options).dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  save();
}

void QuantizeRecord::done(const quant::Report& report) {
  run_.state = "done";
  run_.finished_ms = now_ms();
  run_.seconds = report.seconds;
  run_.bytes_before = report.bytes_before;
  run_.bytes_after = report.bytes_after;
  if (report.quality) {
    run_.ppl_before = report.quality->ppl_before;
    run_.ppl_after = report.quality->ppl_after;
    run_.kld_mean = report.quality->kld_mean;
  }
  run_.report_json =
      quant::to_json(report).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  save();
}

void QuantizeRecord::ended(const std::string& state, const std::string& error) {
  run_.state = state;
  run_.error = error;
  if (state == "failed") run_.finished_ms = now_ms();
  run_.seconds = static_cast<double>(now_ms() - run_.started_ms) / 1000;
  save();
}

void QuantizeRecord::save() {
  if (given_up_) return;
  try {
    if (database_.empty()) {
      database_ = arguments_.given("--db") ? fs::path(arguments_.text("--db"))
                                           : profile::ChatStore::default_path();
    }
    profile::ChatStore store = profile::ChatStore::open(database_);
    for (const std::string& notice : store.notices()) note(arguments_, notice);
    profile::QuantizationRuns runs = store.quantization_runs();
    if (run_.id == 0) {
      run_.id = runs.add(run_);
    } else {
      runs.update(run_);
    }
  } catch (const Error& error) {
    given_up_ = true;
    note(arguments_, fmt::format("The run is not listed in the database: {}", error.what()));
  }
}

}  // namespace haq::cli
