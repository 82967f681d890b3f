// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/quantizer.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/base/json.h"
#include "engine/base/memory.h"
#include "engine/base/version.h"
#include "engine/device/host/host_device.h"
#include "engine/model/discovery.h"
#include "engine/model/modules.h"
#include "engine/quant/folder/output_folder.h"
#include "engine/quant/rotation_choice.h"
#include "engine/quant/run_progress.h"
#include "engine/quant/source_watch.h"

namespace haq::quant {

namespace {

namespace fs = std::filesystem;

/// Bytes per second that writing the model is expected to reach.
constexpr double kWriteSpeed = 400e6;
/// Passing a finished layer takes about this share of quantizing it.
constexpr double kSkipShare = 0.1;

/// Refuses what the run would be refused for later, before anything long is done.
void check_target(const QuantizeOptions& options, const fs::path& source) {
  check_apart(options.target, source);
  const WorkFolder::Status status = WorkFolder::inspect(options.target);
  if (status.running) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: another run is working on this folder", options.target.string()),
                "wait for it, or choose another output folder");
  }
  if (options.resume == ResumeMode::kFresh && status.layers_done > 0) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: holds an unfinished quantization ({} of {} layers)",
                            options.target.string(), status.layers_done, status.layers),
                "go on with --resume, begin anew with --restart, or choose another output folder");
  }
  if (options.resume == ResumeMode::kFresh && status.finished && status.layers == 0) {
    throw Error(ErrorCode::kConflict,
                fmt::format("{}: holds a finished quantized model", options.target.string()),
                "make it anew with --restart, or choose another output folder");
  }
}

/// The linear layers of the written model that are not int8, by their names there.
std::vector<std::string> linears_left_out(const model::Checkpoint& model,
                                          const std::set<std::string>& int8_tensors) {
  std::vector<std::string> names;
  const auto add = [&](const model::ModuleShape& module) {
    const std::string name = model.quantized_name(module.role, module.layer, module.expert);
    if (!int8_tensors.contains(name + ".weight")) names.push_back(name);
  };
  model::for_each_module(model.config(), [&](const model::ModuleShape& module) {
    if (module.is_vector() || module.role == model::Role::kEmbedding ||
        module.role == model::Role::kPositionEmbedding) {
      return;
    }
    add(module);
  });
  // A tied head has no weights of its own, but other programs see it as a linear layer.
  if (model.config().tied_head) add(*model::module_shape(model.config(), model::Role::kLmHead));
  return names;
}

/// A warning about experts that calibration hardly saw; empty when there are none.
std::string coverage_notice(const Report& report) {
  std::map<int, std::pair<std::int64_t, int>> layers;  // sum of tokens, experts
  for (const ExpertReport& expert : report.experts) {
    layers[expert.layer].first += expert.tokens;
    ++layers[expert.layer].second;
  }
  int rare = 0;
  const ExpertReport* rarest = nullptr;
  for (const ExpertReport& expert : report.experts) {
    const auto& [sum, count] = layers[expert.layer];
    if (static_cast<double>(expert.tokens) * count < kHardlySeenShare * static_cast<double>(sum)) {
      ++rare;
      if (rarest == nullptr || expert.tokens < rarest->tokens) rarest = &expert;
    }
  }
  if (rarest == nullptr) return {};
  return fmt::format(
      "{} of {} experts saw less than a tenth of an even share of the calibration tokens (fewest: "
      "layer {}, expert {} with {}); text that is closer to their use would serve them better.",
      rare, report.experts.size(), rarest->layer, rarest->expert, rarest->tokens);
}

class Run {
 public:
  Run(const QuantizeOptions& options, const QuantizeEvents& events, const CancelToken& cancel,
      const PauseToken& pause)
      : options_(options),
        events_(events),
        cancel_(cancel),
        pause_(pause),
        progress_(events.progress, [this] { return pause_.waited(); }) {}

  QuantizeResult execute() {
    open();
    read();
    if (finished_before()) return {std::move(report_), std::move(calibration_.held_out)};
    WorkFolder work(options_.target, source_->folder(), identity_, options_.resume);
    work_ = &work;
    choose_rotation();
    quantize_layers();
    finish();
    return {std::move(report_), std::move(calibration_.held_out)};
  }

 private:
  /// Source, preflight, device.
  void open() {
    report_.started_utc = utc_text(now_ms());
    if (options_.source.empty()) options_.source = model::demo_model_dir();
    source_ = model::Checkpoint::open(options_.source);
    watch_.emplace(source_->folder());
    check_target(options_, source_->folder());
    const Preflight preflight = estimate(options_);
    if (events_.preflight) events_.preflight(preflight);
    check(preflight, options_);
    if (options_.activation_budget == 0) {
      options_.activation_budget = static_cast<std::size_t>(preflight.memory_available / 4);
    }
    device::HostOptions host;
    host.threads = options_.threads > 0 ? options_.threads : available_cores();
    host.max_isa = device::isa_limit_from_environment();
    device_ = device::make_host_device(host);
    pool_ = std::make_unique<ThreadPool>(host.threads);
    expect(preflight);
    fill_settings(host.threads);
  }

  void expect(const Preflight& preflight) {
    RunProgress::Expected expected;
    expected.layers = source_->config().layer_count();
    const double work = std::max(preflight.seconds, 0.1);
    const bool rotating = may_rotate();
    expected.reading = 1 + 0.02 * work;
    expected.rotation = rotating ? 0.15 * work : 0;
    expected.layer = (rotating ? 0.85 : 1.0) * work / std::max(expected.layers, 1);
    expected.skipped_layer = kSkipShare * expected.layer;
    expected.writing = static_cast<double>(preflight.disk_weights) / kWriteSpeed;
    progress_.expect(expected);
  }

  bool may_rotate() const {
    return options_.method == Method::kHaq && options_.rotate != RotateMode::kOff;
  }

  void fill_settings(int threads) {
    const model::ModelConfig& config = source_->config();
    recipe_ = LayerRecipe::of(options_.method, config);
    recipe_.experts_only = options_.experts_only;
    if (!options_.solve) recipe_.solve = false;
    report_.program_version = program_version();
    report_.source = fs::absolute(source_->folder()).lexically_normal().string();
    report_.target = fs::absolute(options_.target).lexically_normal().string();
    report_.model_name = source_->name();
    report_.architecture = config.architecture;
    report_.method = options_.method;
    report_.rotate = options_.rotate;
    report_.experts_only = options_.experts_only;
    report_.seed = options_.calibration.seed;
    for (const fs::path& file : options_.calibration.files) {
      report_.calibration.push_back(file.string());
    }
    report_.all_expert_share = recipe_.all_expert_share;
    report_.threads = threads;
    report_.isa = device_->info().isa;
  }

  /// Calibration text and fingerprint: what identifies the run.
  void read() {
    progress_.begin_reading();
    const model::ModelConfig& config = source_->config();
    CalibrationOptions& options = options_.calibration;
    options.sequence_length = std::min(options.sequence_length, config.max_positions);
    const auto tokenizer = text::Tokenizer::load(source_->folder());
    const auto chat_template = text::ChatTemplate::load(source_->folder());
    calibration_ =
        read_calibration(options, *tokenizer, chat_template.get(), progress_.part(), cancel_);
    check_ids();
    if (events_.calibration) events_.calibration(calibration_);
    report_.calib_tokens = calibration_.tokens;
    report_.sequence_length = options.sequence_length;
    report_.sequences = static_cast<std::int64_t>(calibration_.sequences.size());
    report_.notices = calibration_.notices;
    identify(source_->fingerprint(progress_.part("reading the source: "), cancel_));
  }

  void check_ids() const {
    for (const auto* group : {&calibration_.sequences, &calibration_.held_out}) {
      for (const auto& sequence : *group) {
        const std::int32_t most = *std::max_element(sequence.begin(), sequence.end());
        if (most < source_->config().vocab) continue;
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("{}: the tokenizer gives the id {}, the model's vocabulary has {}",
                                source_->name(), most, source_->config().vocab),
                    "use the tokenizer.json that belongs to the model");
      }
    }
  }

  /// Everything that decides the bytes of the result, and nothing else.
  void identify(const std::string& fingerprint) {
    identity_.source_fingerprint = fingerprint;
    identity_.calibration_fingerprint = calibration_.fingerprint;
    identity_.settings = {{"version", program_version()},
                          {"method", to_string(options_.method)},
                          {"solve", recipe_.solve},
                          {"rotate", to_string(may_rotate() ? options_.rotate : RotateMode::kOff)},
                          {"rotation_seeds", may_rotate() ? options_.rotation_seeds : 0},
                          {"seed", options_.calibration.seed},
                          {"calib_tokens", calibration_.tokens},
                          {"sequence_length", options_.calibration.sequence_length},
                          {"experts_only", options_.experts_only},
                          {"all_expert_share", recipe_.all_expert_share},
                          {"isa", report_.isa}};
    report_.base_fingerprint = fingerprint;
    report_.run_fingerprint = identity_.hash();
  }

  /// A run that is resumed may have been killed after its last file was written.
  bool finished_before() {
    if (options_.resume != ResumeMode::kResume) return false;
    const WorkFolder::Status status = WorkFolder::inspect(options_.target);
    if (!status.finished || status.layers > 0 || status.run_hash != identity_.hash()) return false;
    const fs::path file = options_.target / kReportFile;
    report_ = report_from_json(parse_json_file(file), file.string());
    progress_.finish();
    return true;
  }

  PipelineOptions pipeline_options() const {
    PipelineOptions options;
    options.activation_budget = options_.activation_budget;
    options.spill_folder = work_->scratch();
    return options;
  }

  void choose_rotation() {
    progress_.begin_rotation();
    RotationRequest request;
    request.method = options_.method;
    request.mode = options_.rotate;
    request.seeds = options_.rotation_seeds;
    request.first_seed = options_.calibration.seed;
    RotationChoice choice =
        quant::choose_rotation(request, source_, device_, *pool_, calibration_.sequences,
                               pipeline_options(), *work_, progress_.part(), cancel_);
    rotation_ = choice.rotation;
    for (const RotationTrial& trial : choice.trials) {
      if (events_.rotation_trial) events_.rotation_trial(trial);
    }
    report_.rotated = rotation_ != nullptr;
    report_.rotation_seed = rotation_ ? rotation_->seed() : 0;
    report_.rotation_reason = choice.reason;
    report_.rotation_trials = std::move(choice.trials);
    report_.notices.insert(report_.notices.end(), choice.notices.begin(), choice.notices.end());
  }

  void quantize_layers() {
    model_ = std::make_shared<TransformedCheckpoint>(source_, rotation_);
    const int layers = source_->config().layer_count();
    int finished = 0;
    while (finished < layers && work_->has_layer(finished)) ++finished;
    progress_.set_finished_layers(finished);
    LayerPipeline pipeline(model_, device_, *pool_, pipeline_options());
    pipeline.start(calibration_.sequences);
    for (int layer = 0; layer < layers; ++layer) one_layer(pipeline, layer, layers);
    watch_->check();
    LayerOutput globals = global_tensors(*model_);
    watch_->check();
    take(globals);
    work_->save_layer(globals);
  }

  void one_layer(LayerPipeline& pipeline, int layer, int layers) {
    pause_.wait(cancel_);
    cancel_.check();
    watch_->check();
    if (events_.layer_started) events_.layer_started(layer, layers);
    const std::string stage = fmt::format("layer {} of {}: ", layer + 1, layers);
    if (auto finished = work_->load_layer(layer)) {
      progress_.begin_layer(layer, true);
      progress_.report(stage + "finished before", 0);
      pipeline.skip_layer(*finished, cancel_);
      take(*finished);
      if (events_.layer_done) events_.layer_done(*finished, true);
      return;
    }
    progress_.begin_layer(layer, false);
    PipelineEvents events;
    events.progress = progress_.part(stage);
    events.module_done = events_.module_done;
    const LayerOutput output = pipeline.quantize_layer(recipe_, events, cancel_, pause_);
    // What was read may be neither the old nor the new file: such a layer is not kept.
    watch_->check();
    work_->save_layer(output);
    take(output);
    if (events_.layer_done) events_.layer_done(output, false);
  }

  /// Notes what the report and the folder's configuration need of a layer.
  void take(const LayerOutput& layer) {
    for (const OutputTensor& tensor : layer.tensors) {
      if (tensor.dtype == DType::kI8) int8_tensors_.insert(tensor.name);
      report_.bytes_after += static_cast<std::int64_t>(tensor.bytes.size());
    }
    report_.modules.insert(report_.modules.end(), layer.modules.begin(), layer.modules.end());
    report_.experts.insert(report_.experts.end(), layer.experts.begin(), layer.experts.end());
    router_choices_ += layer.router_choices;
    router_equal_ += layer.router_equal;
  }

  void finish() {
    progress_.begin_writing();
    if (router_choices_ > 0) {
      report_.router_agreement =
          static_cast<double>(router_equal_) / static_cast<double>(router_choices_);
    }
    if (std::string notice = coverage_notice(report_); !notice.empty()) {
      report_.notices.push_back(std::move(notice));
    }
    report_.bytes_before = model::quick_facts(source_->folder()).file_bytes;
    // The report goes in before the model is complete: a finished folder always has one.
    save_report();
    model::ModelConfig config = model_->config();
    config.quantized = true;
    config.quantization_ignore = linears_left_out(*model_, int8_tensors_);
    const bool untied = source_->config().tied_head && !config.tied_head;
    const auto notices = work_->finish(
        *source_, config, untied, config.quantization_ignore,
        {{"haq.version", program_version()}, {"haq.method", to_string(options_.method)}},
        static_cast<std::uint64_t>(4) << 30U, progress_.part(), cancel_);
    report_.notices.insert(report_.notices.end(), notices.begin(), notices.end());
    report_.bytes_after = model::quick_facts(options_.target).file_bytes;
    save_report();
    progress_.finish();
  }

  void save_report() {
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_ - pause_.waited())
            .count();
    report_.peak_rss_bytes = peak_rss_bytes();
    write_file_atomically(options_.target / kReportFile, to_json(report_).dump(1) + "\n");
  }

  QuantizeOptions options_;
  const QuantizeEvents& events_;
  const CancelToken& cancel_;
  const PauseToken& pause_;
  const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  RunProgress progress_;
  Report report_;
  std::shared_ptr<const model::Checkpoint> source_;
  std::optional<SourceWatch> watch_;
  std::shared_ptr<device::Device> device_;
  std::unique_ptr<ThreadPool> pool_;
  LayerRecipe recipe_;
  CalibrationData calibration_;
  RunIdentity identity_;
  WorkFolder* work_ = nullptr;
  std::shared_ptr<const Rotation> rotation_;
  std::shared_ptr<TransformedCheckpoint> model_;
  std::set<std::string> int8_tensors_;
  std::int64_t router_choices_ = 0, router_equal_ = 0;
};

}  // namespace

QuantizeResult quantize(const QuantizeOptions& options, const QuantizeEvents& events,
                        const CancelToken& cancel, const PauseToken& pause) {
  return Run(options, events, cancel, pause).execute();
}

}  // namespace haq::quant
