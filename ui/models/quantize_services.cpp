// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_services.h"

#include <algorithm>

#include "engine/model/checkpoint.h"

namespace haq::ui {

namespace {

CalibrationFacts countText(const session::QuantizeJobOptions& job, const CancelToken& cancel) {
  const std::filesystem::path folder =
      job.quantize.source.empty() ? model::demo_model_dir() : job.quantize.source;
  const auto checkpoint = model::Checkpoint::open(folder);
  const auto tokenizer = text::Tokenizer::load(folder);
  const auto chat = text::ChatTemplate::load(folder);
  quant::CalibrationOptions options = job.quantize.calibration;
  options.sequence_length = std::min(options.sequence_length, checkpoint->config().max_positions);
  return CalibrationFacts::of(read_calibration(options, *tokenizer, chat.get(), {}, cancel));
}

}  // namespace

QuantizeServices QuantizeServices::engine() {
  return {.estimate =
              [](const session::QuantizeJobOptions& job) { return quant::estimate(job.quantize); },
          .check =
              [](const quant::Preflight& preflight, const session::QuantizeJobOptions& job) {
                quant::check(preflight, job.quantize);
              },
          .readText = &countText,
          .inspect = &quant::WorkFolder::inspect,
          .run = &session::run_quantize_job,
          .commandLine = &session::quantize_command_line};
}

}  // namespace haq::ui
