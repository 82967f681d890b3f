// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <algorithm>
#include <cmath>

namespace haq::experts {

/// Mean and standard deviation over tokens of a modelled time per token. The tokens of a batch
/// share its time equally, so that every token weighs the same. The live runtime and the replay
/// both count with it.
class ModelledTime {
 public:
  /// Ends the batch before.
  void begin_batch(int tokens) {
    *this = closed();
    batch_tokens_ = tokens;
  }
  /// One step (layer) of the batch.
  void add(double step_us) { batch_us_ += step_us; }

  /// In milliseconds, the running batch included; 0 without tokens. Population deviation.
  double mean_ms() const {
    const ModelledTime all = closed();
    return all.tokens_ == 0 ? 0 : all.sum_ / all.tokens_;
  }
  double std_ms() const {
    const ModelledTime all = closed();
    if (all.tokens_ == 0) return 0;
    const double mean = all.sum_ / all.tokens_;
    return std::sqrt(std::max(0.0, all.sum_of_squares_ / all.tokens_ - mean * mean));
  }

 private:
  ModelledTime closed() const {
    ModelledTime all = *this;
    if (batch_tokens_ > 0) {
      const double ms = batch_us_ / 1e3 / batch_tokens_;
      all.tokens_ += batch_tokens_;
      all.sum_ += ms * batch_tokens_;
      all.sum_of_squares_ += ms * ms * batch_tokens_;
    }
    all.batch_us_ = 0;
    all.batch_tokens_ = 0;
    return all;
  }

  int batch_tokens_ = 0;
  double batch_us_ = 0;
  double tokens_ = 0, sum_ = 0, sum_of_squares_ = 0;  // of ms per token
};

}  // namespace haq::experts
