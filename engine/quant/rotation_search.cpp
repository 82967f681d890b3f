// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/quant/layers/layer_pipeline.h"

namespace haq::quant {
namespace {

/// Logits are compared at the last rows of each sequence, as many as fit in this memory.
constexpr std::int64_t kMostRows = 256;
constexpr std::size_t kReferenceBytes = std::size_t{256} << 20;
/// What a rotation may change in float32, through rounding the tensors that stay in 16 bits: the
/// change of a row's logits relative to their spread (at the median row, since a token near a tie
/// of two experts may change its expert), and equal first choices.
constexpr double kMostChange = 0.03;
constexpr double kLeastAgreement = 0.9;
/// A rotation is taken when its gain over none exceeds this many standard errors of the paired
/// differences: where there are no outliers to spread, trials differ by chance alone.
constexpr double kClearGain = 2;

/// log softmax of `logits`, in place.
void normalize(std::span<float> logits) {
  const float most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - most);
  const auto shift = static_cast<float>(most + std::log(sum));
  for (float& logit : logits) logit -= shift;
}

struct RowComparison {
  double kld = 0;     ///< KL(reference to row)
  double change = 0;  ///< root mean square of the difference, relative to the reference's spread
  bool same_first = false;
};

RowComparison compare(std::span<const float> reference, std::span<const float> row) {
  RowComparison result;
  double mean = 0, square = 0;
  std::size_t first = 0, reference_first = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double expected = reference[i];
    const double difference = expected - row[i];
    result.kld += std::exp(expected) * difference;
    result.change += difference * difference;
    mean += expected;
    square += expected * expected;
    if (row[i] > row[first]) first = i;
    if (reference[i] > reference[reference_first]) reference_first = i;
  }
  const auto count = static_cast<double>(row.size());
  mean /= count;
  const double spread = std::max(square / count - mean * mean, 1e-30);
  result.change = std::sqrt(result.change / count / spread);
  result.same_first = first == reference_first;
  return result;
}

/// Differences of a model's logits from the source's, over all compared rows.
struct Comparison {
  double kld = 0;            ///< mean
  std::vector<double> klds;  ///< of each row
  double change = 0;         ///< of the median row
  double agreement = 0;
  bool exact() const { return change <= kMostChange && agreement >= kLeastAgreement; }
};

/// Whether `b` is better than `a` by more than chance.
bool clearly_better(const Comparison& a, const Comparison& b) {
  const auto count = static_cast<double>(a.klds.size());
  double sum = 0, square = 0;
  for (std::size_t i = 0; i < a.klds.size(); ++i) {
    const double gain = a.klds[i] - b.klds[i];
    sum += gain;
    square += gain * gain;
  }
  const double mean = sum / count;
  const double variance = std::max(square / count - mean * mean, 0.0);
  return mean > kClearGain * std::sqrt(variance / count);
}

class Searcher {
 public:
  Searcher(std::shared_ptr<const model::Checkpoint> source, std::shared_ptr<device::Device> device,
           ThreadPool& pool, std::span<const std::vector<std::int32_t>> sequences,
           const LayerRecipe& recipe, const PipelineOptions& options,
           const ProgressCallback& progress, const CancelToken& cancel)
      : source_(std::move(source)),
        device_(std::move(device)),
        pool_(pool),
        sequences_(sequences),
        recipe_(recipe),
        options_(options),
        progress_(progress),
        cancel_(cancel) {}

  RotationSearch run(std::span<const std::uint64_t> seeds, bool allow_none) {
    const std::size_t passes = 1 + 2 * seeds.size() + (allow_none ? 1 : 0);
    layers_total_ = static_cast<std::uint64_t>(passes) * layers();
    read_reference();
    RotationSearch search;
    std::optional<Comparison> none, best;
    if (allow_none) {
      none = try_quantization(nullptr, "no rotation");
      search.trials.push_back({false, 0, none->kld});
    }
    for (const std::uint64_t seed : seeds) {
      const auto rotation = std::make_shared<const Rotation>(source_->config(), seed);
      const std::string name = fmt::format("rotation {}", seed);
      const Comparison exact = pass(rotation, name);
      if (!exact.exact()) {
        layers_done_ += layers();
        search.notices.push_back(fmt::format(
            "The rotation with seed {} was left out: it changes the unquantized model's logits by "
            "{:.2g} of their spread and its first choice at {:.1f} % of the tokens.",
            seed, exact.change, 100 * (1 - exact.agreement)));
        continue;
      }
      Comparison trial = try_quantization(rotation, name);
      search.trials.push_back({true, seed, trial.kld});
      if (best && trial.kld >= best->kld) continue;
      best = std::move(trial);
      search.best = rotation;
    }
    if (none && best && !clearly_better(*none, *best)) search.best = nullptr;
    return search;
  }

 private:
  std::uint64_t layers() const {
    return static_cast<std::uint64_t>(source_->config().layer_count());
  }

  void report(const std::string& what) {
    if (progress_) progress_({what, layers_done_, layers_total_, "layers"});
  }

  std::int64_t rows_per_sequence() const {
    const auto row_bytes = static_cast<std::size_t>(source_->config().vocab) * sizeof(float);
    const std::size_t fit =
        kReferenceBytes / (row_bytes * std::max<std::size_t>(sequences_.size(), 1));
    return std::clamp<std::int64_t>(static_cast<std::int64_t>(fit), 1, kMostRows);
  }

  /// Carries the sequences through a model; `layer` does one layer.
  template <class Layer, class Visit>
  void carry(const std::shared_ptr<TransformedCheckpoint>& model, const std::string& name,
             const Layer& layer, const Visit& visit) {
    cancel_.check();
    LayerPipeline pipeline(model, device_, pool_, options_);
    pipeline.start(sequences_);
    for (int index = 0; index < source_->config().layer_count(); ++index) {
      report(name);
      layer(pipeline);
      ++layers_done_;
    }
    pipeline.logits([&](std::int64_t, ConstMatrixView rows) { visit(rows); }, cancel_,
                    rows_per_sequence());
  }

  void read_reference() {
    const auto model = std::make_shared<TransformedCheckpoint>(source_, nullptr);
    carry(
        model, "reading the unquantized model",
        [&](LayerPipeline& pipeline) { pipeline.pass_layer(cancel_); },
        [&](ConstMatrixView rows) {
          for (std::int64_t r = 0; r < rows.rows; ++r) {
            auto& row = reference_.emplace_back(rows.row(r).begin(), rows.row(r).end());
            normalize(row);
          }
        });
  }

  /// Compares what carry() shows with the reference.
  template <class Layer>
  Comparison compare_with_reference(const std::shared_ptr<TransformedCheckpoint>& model,
                                    const std::string& name, const Layer& layer) {
    Comparison sum;
    std::vector<double> changes;
    std::size_t next = 0;
    carry(model, name, layer, [&](ConstMatrixView rows) {
      std::vector<RowComparison> results(static_cast<std::size_t>(rows.rows));
      pool_.parallel_dynamic(rows.rows, [&](std::int64_t r, int) {
        std::vector<float> row(rows.row(r).begin(), rows.row(r).end());
        normalize(row);
        const auto index = static_cast<std::size_t>(r);
        results[index] = compare(reference_[next + index], row);
      });
      next += results.size();
      for (const RowComparison& result : results) {
        sum.kld += result.kld;
        sum.klds.push_back(result.kld);
        changes.push_back(result.change);
        sum.agreement += result.same_first ? 1 : 0;
      }
    });
    const auto count = static_cast<double>(next);
    sum.kld /= count;
    sum.agreement /= count;
    const auto middle = changes.begin() + static_cast<std::ptrdiff_t>(changes.size() / 2);
    std::nth_element(changes.begin(), middle, changes.end());
    sum.change = *middle;
    return sum;
  }

  Comparison pass(const std::shared_ptr<const Rotation>& rotation, const std::string& name) {
    const auto model = std::make_shared<TransformedCheckpoint>(source_, rotation);
    return compare_with_reference(model, "checking " + name,
                                  [&](LayerPipeline& pipeline) { pipeline.pass_layer(cancel_); });
  }

  Comparison try_quantization(const std::shared_ptr<const Rotation>& rotation,
                              const std::string& name) {
    const auto model = std::make_shared<TransformedCheckpoint>(source_, rotation);
    return compare_with_reference(model, "trying " + name, [&](LayerPipeline& pipeline) {
      pipeline.quantize_layer(recipe_, {}, cancel_);
    });
  }

  std::shared_ptr<const model::Checkpoint> source_;
  std::shared_ptr<device::Device> device_;
  ThreadPool& pool_;
  std::span<const std::vector<std::int32_t>> sequences_;
  const LayerRecipe& recipe_;
  const PipelineOptions& options_;
  const ProgressCallback& progress_;
  const CancelToken& cancel_;
  std::uint64_t layers_done_ = 0, layers_total_ = 0;
  std::vector<std::vector<float>> reference_;  ///< log-probabilities of the compared rows
};

}  // namespace

RotationSearch search_rotation(std::shared_ptr<const model::Checkpoint> source,
                               std::shared_ptr<device::Device> device, ThreadPool& pool,
                               std::span<const std::vector<std::int32_t>> sequences,
                               const LayerRecipe& recipe, std::span<const std::uint64_t> seeds,
                               bool allow_none, const PipelineOptions& options,
                               const ProgressCallback& progress, const CancelToken& cancel) {
  Searcher searcher(std::move(source), std::move(device), pool, sequences, recipe, options,
                    progress, cancel);
  return searcher.run(seeds, allow_none);
}

}  // namespace haq::quant
