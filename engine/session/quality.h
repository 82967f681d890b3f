// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>
#include <memory>
#include <vector>

#include "engine/session/quantize_job.h"
#include "engine/session/session.h"

namespace haq::session {

/// Measures quantized models against their source on one text. The source stays loaded between two
/// measurements. One thread at a time.
class QualityMeter {
 public:
  /// What to measure on: the text of options.eval_text; where that is empty the sequences that
  /// use_sequences() gives. Reads and encodes the text, so that a wrong one is refused before a
  /// long run: kNotFound, kCorrupt, kInvalidArgument (too short, a context beyond the model's).
  QualityMeter(std::filesystem::path base, const QuantizeJobOptions& options);
  void use_sequences(std::vector<std::vector<std::int32_t>> sequences) {
    sequences_ = std::move(sequences);
  }

  /// Throws kOutOfMemory, with the numbers, when both models do not fit in memory side by side,
  /// what loading and evaluate() throw, and kCancelled also when only a part was measured.
  quant::QualityReport measure(const std::filesystem::path& quantized,
                               const ProgressCallback& progress = {},
                               const CancelToken& cancel = {});

 private:
  LoadOptions load_options(const std::filesystem::path& folder) const;
  void check_memory_for(const std::filesystem::path& quantized) const;
  void load_base(const ProgressCallback& progress, const CancelToken& cancel);
  std::int64_t context_of(const model::Checkpoint& checkpoint) const;

  std::filesystem::path base_folder_, text_;
  std::vector<std::vector<std::int32_t>> sequences_;
  std::int64_t context_, tokens_;
  int threads_;
  std::shared_ptr<Model> base_;
  std::vector<std::int32_t> ids_;
};

}  // namespace haq::session
