// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/run_progress.h"

#include <algorithm>

namespace haq::quant {

namespace {

constexpr double kThousandths = 1000;
/// A share below this says nothing yet about how long a part will take.
constexpr double kTellingShare = 0.2;

}  // namespace

double RunProgress::elapsed() const {
  return std::chrono::duration<double>(Clock::now() - start_ - paused_()).count();
}

void RunProgress::begin(Part part) {
  if (part_ == Part::kLayer) {
    (skipped_ ? measured_skipped_ : measured_) += elapsed_in_part();
    ++(skipped_ ? measured_skips_ : measured_layers_);
  }
  part_ = part;
  part_start_ = elapsed();
}

void RunProgress::begin_reading() {
  begin(Part::kReading);
}
void RunProgress::begin_rotation() {
  begin(Part::kRotation);
}
void RunProgress::begin_layer(int layer, bool skipped) {
  begin(Part::kLayer);
  layer_ = layer;
  skipped_ = skipped;
}
void RunProgress::begin_writing() {
  begin(Part::kWriting);
}
void RunProgress::finish() {
  begin(Part::kDone);
  shown_ = static_cast<std::uint64_t>(kThousandths);
  if (callback_) callback_({"written", shown_, shown_, ""});
}

double RunProgress::layer_seconds() const {
  return measured_layers_ > 0 ? measured_ / measured_layers_ : expected_.layer;
}

double RunProgress::remaining(double share) const {
  double left = 0;
  const auto running = [&](double expected) {
    const double whole = share > kTellingShare ? elapsed_in_part() / share : expected;
    left += (1 - share) * whole;
  };
  const double skip =
      measured_skips_ > 0 ? measured_skipped_ / measured_skips_ : expected_.skipped_layer;
  const auto layers_from = [&](int first) {
    const int skips = std::max(0, std::min(finished_layers_, expected_.layers) - first);
    left += skips * skip + std::max(0, expected_.layers - first - skips) * layer_seconds();
  };
  switch (part_) {
    case Part::kNone:
    case Part::kReading:
      running(expected_.reading);
      left += expected_.rotation + expected_.writing;
      layers_from(0);
      break;
    case Part::kRotation:
      running(expected_.rotation);
      left += expected_.writing;
      layers_from(0);
      break;
    case Part::kLayer:
      running(skipped_ ? skip : layer_seconds());
      left += expected_.writing;
      layers_from(layer_ + 1);
      break;
    case Part::kWriting:
      running(expected_.writing);
      break;
    case Part::kDone:
      break;
  }
  return left;
}

void RunProgress::report(const std::string& stage, double share) {
  if (!callback_) return;
  const double past = elapsed();
  const double whole = past + remaining(std::clamp(share, 0.0, 1.0));
  // Never back, and the end is only told by finish().
  const double now = whole > 0 ? kThousandths * past / whole : 0;
  shown_ = std::max(shown_, static_cast<std::uint64_t>(std::clamp(now, 0.0, kThousandths - 1)));
  callback_({stage, shown_, static_cast<std::uint64_t>(kThousandths), ""});
}

ProgressCallback RunProgress::part(std::string prefix) {
  if (!callback_) return {};
  return [this, prefix = std::move(prefix)](const Progress& progress) {
    const double share = progress.total > 0 ? static_cast<double>(progress.done) /
                                                  static_cast<double>(progress.total)
                                            : 0;
    report(prefix + progress.stage, share);
  };
}

}  // namespace haq::quant
