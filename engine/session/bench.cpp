// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench.h"

#include <algorithm>
#include <chrono>

#include "engine/base/error.h"
#include "engine/device/host/roofline.h"
#include "engine/session/bench_decode.h"
#include "engine/session/bench_kernels.h"
#include "engine/session/bench_shapes.h"

namespace haq::session {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Runs the measurements on one model.
class Bench {
 public:
  Bench(Model& model, const BenchOptions& options, const ProgressCallback& progress,
        const CancelToken& cancel)
      : model_(model), options_(options), progress_(progress), cancel_(cancel) {
    const int longest = options.prefill.empty()
                            ? 0
                            : *std::max_element(options.prefill.begin(), options.prefill.end());
    const std::int64_t needed = std::int64_t{options.depth} + std::max(longest, options.decode + 1);
    if (needed > model.max_context()) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("depth {} with prompts of {} and {} decoded tokens needs a context of "
                      "{}, the model's maximum is {}",
                      options.depth, longest, options.decode, needed, model.max_context()),
          "choose smaller numbers");
    }
    total_ = static_cast<std::uint64_t>((options.repeat + 1)) *
             (options.prefill.size() + (options.decode > 0 ? 1 : 0));
  }

  BenchResult run() {
    const nn::DecoderStats stats = model_.decoder().stats();
    result_.weight_bytes_per_token = stats.weight_bytes_per_token;
    result_.head_bytes_per_token = stats.head_bytes;
    try {
      for (const Stage stage : {Stage::kWarmUp, Stage::kMeasure}) {
        for (const int tokens : options_.prefill) measure_prefill(tokens, stage);
        if (options_.decode > 0) measure_decode(stage);
        // Comparing with the machine needs memory of its own.
        if (stage == Stage::kWarmUp) result_.peak_rss_bytes = peak_rss_bytes();
      }
      measure_kernels();
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kCancelled) throw;
      if (result_.prefill.empty() && result_.decode_tokens_per_s.mean == 0) throw;
      result_.cancelled = true;
    }
    const nn::DecoderStats after = model_.decoder().stats();
    result_.mapped_bytes = after.mapped_bytes;
    result_.packed_bytes = after.packed_bytes;
    result_.owned_bytes = after.owned_bytes;
    return result_;
  }

 private:
  enum class Stage { kWarmUp, kMeasure };
  int repeats(Stage stage) const { return stage == Stage::kWarmUp ? 1 : options_.repeat; }

  void report(const char* stage) {
    if (progress_) progress_({stage, done_, total_, "runs"});
  }

  int vocab() const { return model_.checkpoint().config().vocab; }

  void measure_prefill(int tokens, Stage stage) {
    std::unique_ptr<nn::Sequence> sequence = model_.decoder().new_sequence();
    sequence->set_planned_length(model_.max_context());
    read_prompt(model_, *sequence, random_ids(options_.depth, vocab(), options_.seed), cancel_);
    const std::vector<std::int32_t> ids = random_ids(tokens, vocab(), options_.seed + 1);
    std::vector<double> speeds, peaks;
    const int chunk = std::min(tokens, model_.prefill_chunk());
    for (int i = 0; i < repeats(stage); ++i) {
      report("measuring prefill");
      sequence->truncate(options_.depth);
      const auto start = Clock::now();
      read_prompt(model_, *sequence, ids, cancel_);
      const double seconds = seconds_since(start);
      result_.work_seconds += seconds;
      if (stage == Stage::kMeasure) {
        speeds.push_back(tokens / seconds);
        // In turn with the prompts: what else the machine does slows both alike.
        peaks.push_back(library_gops(chunk));
      }
      ++done_;
    }
    result_.kv_bytes = std::max(result_.kv_bytes, sequence->kv_bytes());
    if (stage == Stage::kWarmUp) return;
    PrefillSpeed speed;
    speed.tokens = tokens;
    speed.tokens_per_s = mean_std(speeds);
    const double operations =
        prefill_operations(model_.checkpoint().config(), tokens, model_.prefill_chunk());
    speed.gops = operations / tokens * speed.tokens_per_s.mean / 1e9;
    if (const double peak = mean_std(peaks).mean; peak > 0) {
      speed.share = speed.gops / peak;
      add_row(fmt::format("prefill {}: all linear layers", tokens), "GOPS", speed.gops, peak);
    }
    result_.prefill.push_back(speed);
  }

  void measure_decode(Stage stage) {
    DecodeLoop loop(model_, options_, cancel_);
    std::vector<double> speeds, peaks;
    const nn::DecoderStats before = model_.decoder().stats();
    for (int i = 0; i < repeats(stage); ++i) {
      report("measuring decode");
      loop.restart(i);
      const double seconds = loop.run(options_.decode);
      result_.work_seconds += seconds;
      if (stage == Stage::kMeasure) {
        speeds.push_back(options_.decode * options_.batch / seconds);
        peaks.push_back(device::read_bandwidth_gb_s(model_.threads()));
      }
      ++done_;
    }
    result_.kv_bytes = std::max(result_.kv_bytes, loop.kv_bytes());
    if (stage == Stage::kWarmUp) return;
    result_.decode_tokens_per_s = mean_std(speeds);
    count_searched_head(before);
    result_.read_gb_per_s = mean_std(peaks).mean;
    // A batch reads shared weights once for all its rows, so only a single sequence has a plain
    // figure.
    if (options_.batch == 1) {
      result_.weight_gb_per_s = static_cast<double>(result_.weight_bytes_per_token) *
                                result_.decode_tokens_per_s.mean / 1e9;
      result_.decode_share = result_.weight_gb_per_s / result_.read_gb_per_s;
      add_row("decode: all weights", "GB/s", result_.weight_gb_per_s, result_.read_gb_per_s);
    }
  }

  /// Where the head was searched it read less than for all logits. `before`: as the measured steps
  /// began.
  void count_searched_head(const nn::DecoderStats& before) {
    const nn::DecoderStats stats = model_.decoder().stats();
    const auto steps = std::int64_t{options_.decode} * options_.repeat;
    const std::int64_t searched = stats.searched_rows - before.searched_rows;
    if (options_.batch > 1 || searched == 0) return;
    const std::size_t bytes = stats.searched_head_bytes - before.searched_head_bytes +
                              static_cast<std::size_t>(steps - searched) * stats.head_bytes;
    result_.head_bytes_per_token = bytes / static_cast<std::size_t>(steps);
    result_.weight_bytes_per_token =
        stats.weight_bytes_per_token - stats.head_bytes + result_.head_bytes_per_token;
  }

  /// The device's kernels alone beside a plain read and the library's own products.
  void measure_kernels() {
    report("measuring memory bandwidth");
    MachinePeaks peaks;
    peaks.read_gb_per_s = device::read_bandwidth_gb_s(model_.threads());
    if (result_.read_gb_per_s == 0) result_.read_gb_per_s = peaks.read_gb_per_s;
    peaks.gemm_gops = [this](const GemmShape& shape) { return library_rate(shape); };
    if (result_.prefill.empty()) return;
    const int tokens = std::min(result_.prefill.back().tokens, model_.prefill_chunk());
    for (const GemmShape& shape : prefill_shapes(model_.checkpoint().config(), tokens)) {
      report("measuring kernels alone");
      cancel_.check();
      for (RooflineRow& row : linear_kernel_rows(model_.decoder().device(), path(), shape, peaks)) {
        result_.roofline.push_back(std::move(row));
      }
    }
  }

  device::LinearPath path() const {
    if (model_.decoder().int8()) return device::LinearPath::kInt8;
    return model_.decoder().compute() == nn::Compute::kFp32 ? device::LinearPath::kFixedOrder
                                                            : device::LinearPath::kLibrary16;
  }

  /// Rate of the library for one product in the model's arithmetic; 0 where it has no fast one.
  double library_rate(const GemmShape& shape) const {
    if (path() == device::LinearPath::kFixedOrder) return 0;
    const auto rate =
        path() == device::LinearPath::kInt8 ? device::gemm_int8_gops : device::gemm_bf16_gflops;
    return rate(shape.m, shape.n, shape.k, model_.threads());
  }

  /// Rate of the library over all products of a chunk, each at its own rate.
  double library_gops(int tokens) {
    double operations = 0, seconds = 0;
    for (const GemmShape& shape : prefill_shapes(model_.checkpoint().config(), tokens)) {
      report("measuring the library's matrix products");
      cancel_.check();
      const double gops = library_rate(shape);
      if (gops <= 0) return 0;
      operations += shape.operations();
      seconds += shape.operations() / (gops * 1e9);
    }
    return seconds > 0 ? operations / seconds / 1e9 : 0;
  }

  void add_row(std::string kernel, std::string unit, double reached, double peak) {
    result_.roofline.push_back({std::move(kernel), std::move(unit), reached, peak, reached / peak});
  }

  Model& model_;
  const BenchOptions& options_;
  const ProgressCallback& progress_;
  const CancelToken& cancel_;
  BenchResult result_;
  std::uint64_t done_ = 0, total_ = 0;
};

}  // namespace

BenchResult bench(Model& model, const BenchOptions& options, const ProgressCallback& progress,
                  const CancelToken& cancel) {
  if (options.batch < 1 || options.repeat < 1 || options.depth < 0 || options.decode < 0) {
    fail(ErrorCode::kInvalidArgument,
         "batch {}, repeat {}, depth {}, decode {}: batch and repeat must be 1 or more, the others "
         "0 "
         "or more",
         options.batch, options.repeat, options.depth, options.decode);
  }
  return Bench(model, options, progress, cancel).run();
}

}  // namespace haq::session
