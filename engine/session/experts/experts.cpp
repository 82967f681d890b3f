// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/experts.h"

#include "engine/base/clock.h"
#include "engine/model/fingerprint.h"
#include "engine/session/experts/expert_costs.h"
#include "engine/session/experts/expert_report.h"
#include "engine/session/experts/expert_setup.h"

namespace haq::session {

namespace {

/// Attaches step by step; what one step found serves the later ones.
class Attachment final : public ExpertSession {
 public:
  /// The options have been checked.
  Attachment(std::shared_ptr<Model> model, const ExpertOptions& options,
             std::vector<std::string>& notices, const ProgressCallback& progress,
             const CancelToken& cancel)
      : model_(std::move(model)), options_(options), shape_(experts::shape_of(decoder())) {
    const bool emulated = place_of(options_) == ExpertPlace::kEmulated;
    run_.options.policy = policy_of(options_);
    run_.options.miss = experts::parse_miss_mode(options_.miss).value();
    run_.options.policy_options.path_goal = experts::parse_path_goal(options_.path_goal).value();
    run_.threads = model_->threads();
    run_.prefill_chunk = model_->prefill_chunk();
    RunStore store;
    if (emulated || !options_.record.empty()) store = open_run_store(options_.database, notices);
    check_recording(store);
    if (emulated) attach_device(store, notices, progress, cancel);
    const device::DeviceInfo info = device();
    run_.device = info.kind;
    run_.device_name = info.name;
    run_.emulated = info.emulated;
    runtime_ = experts::ExpertRuntime::make(decoder(), device_, run_.options);
    begin_recording(std::move(store), notices, progress, cancel);
    decoder().set_expert_runner(runtime_);
  }

  ~Attachment() override {
    decoder().set_expert_runner(nullptr);
    runtime_->set_events(nullptr);
  }
  Attachment(const Attachment&) = delete;
  Attachment& operator=(const Attachment&) = delete;

  experts::ExpertRuntime& runtime() override { return *runtime_; }
  device::DeviceInfo device() const override {
    return device_ ? device_->info() : model_->decoder().device().info();
  }
  void begin_prompt() override { runtime_->set_prompt(prompt_++); }
  void add_seconds(double seconds) override { facts_.seconds += seconds; }

  std::optional<profile::Recorder::Summary> recording() const override {
    if (!recorder_) return std::nullopt;
    return recorder_->so_far();
  }

  std::optional<profile::Recorder::Summary> finish() override {
    std::optional<profile::Recorder::Summary> summary;
    if (recorder_) {
      runtime_->set_events(nullptr);
      nlohmann::ordered_json run = to_json(run_);
      run["result"] = json();
      summary = recorder_->finish(run.dump(-1, ' ', false, Json::error_handler_t::replace));
      facts_.dropped_events = summary->dropped_events;
      facts_.recording_failure = summary->failure;
      recorder_.reset();
    }
    if (costs_) keep_refit(options_.database, *costs_, runtime_->refit());
    return summary;
  }

  nlohmann::ordered_json json() const override {
    return experts_json(runtime_->stats(), run_, facts());
  }
  std::string summary() const override { return experts_text(runtime_->stats(), run_, facts()); }

 private:
  using Json = nlohmann::ordered_json;

  nn::Decoder& decoder() const { return model_->decoder(); }

  ExpertFacts facts() const {
    ExpertFacts facts = facts_;
    if (recorder_) facts.dropped_events = recorder_->so_far().dropped_events;
    return facts;
  }

  std::string fingerprint(const ProgressCallback& progress, const CancelToken& cancel) {
    return model::base_fingerprint_of(model_->checkpoint(), progress, cancel);
  }

  /// A name that is taken is told before anything long is done.
  void check_recording(RunStore& store) const {
    if (options_.record.empty()) return;
    if (!store.writable) {
      if (!options_.recording_required) return;
      throw Error(ErrorCode::kConflict, fmt::format("no recording can be made: {}", store.problem),
                  "close the program that uses the database, or name another one with --db");
    }
    if (profile::Recordings(store.file->database).find(options_.record)) {
      throw Error(ErrorCode::kConflict,
                  fmt::format("there is a recording named \"{}\" already", options_.record),
                  "choose another name, or delete it with 'haq recordings delete'");
    }
  }

  void attach_device(RunStore& store, std::vector<std::string>& notices,
                     const ProgressCallback& progress, const CancelToken& cancel) {
    const device::EmulatedOptions figures = emulated_options(options_, model_->threads());
    device_ = device::make_emulated_device(figures);
    const device::SlotLayout layout = device_->held_form(experts::slot_layout_of(decoder()));
    experts::PolicyOptions& policy = run_.options.policy_options;

    std::optional<experts::Plan> plan;
    if (!options_.plan.empty()) {
      plan = experts::read_plan(options_.plan);
      const std::string known =
          plan->fingerprint.empty() ? std::string() : fingerprint(progress, cancel);
      experts::check_plan(*plan, shape_, known, options_.plan.string(),
                          model_->checkpoint().name());
    }
    std::string budget = options_.vram;
    if (budget.empty()) budget = plan ? fmt::format("{}x", plan->budget_experts) : "all";
    SlotMemory memory;
    memory.device = figures.name;
    memory.device_bytes = figures.memory_bytes;
    memory.host_bytes = available_memory();
    memory.slot_bytes = layout.bytes();
    memory.staging = experts::staging_slots();
    run_.options.capacity = resident_experts(budget, shape_, memory, notices);
    if (plan) policy.plan = pinned_experts(*plan, shape_, run_.options.capacity, notices);

    costs_ = known_costs(*model_, *device_, cost_key(*model_, figures, layout), store, notices,
                         progress, cancel);
    policy.costs = costs_->table;
    run_.costs_known = true;
    facts_.slot_bytes = memory.slot_bytes;
    facts_.link_gb_s = device_->link_gb_s();
    facts_.bit_identical = device_->info().bit_identical;
    if (!facts_.bit_identical) {
      notices.push_back(
          "Experts on the device are held in 16 bits: results are not bit-identical to the CPU's.");
    }
    if (!options_.learn.empty()) learn(store, progress, cancel);
  }

  /// Paths of the same model that the policy starts with.
  void learn(RunStore& store, const ProgressCallback& progress, const CancelToken& cancel) {
    if (!store.file) {
      throw Error(ErrorCode::kNotFound,
                  fmt::format("recording \"{}\" cannot be read: {}", options_.learn, store.problem),
                  "name the database that holds it with --db");
    }
    profile::Recordings recordings(store.file->database);
    const profile::Recording row = recordings.get(options_.learn);
    auto paths = std::make_shared<experts::Trace>(recordings.read(options_.learn, cancel));
    const std::string known = fingerprint(progress, cancel);
    const bool other = !row.fingerprint.empty() && row.fingerprint != known;
    if (other || !(paths->shape == shape_)) {
      throw Error(
          ErrorCode::kInvalidArgument,
          fmt::format("recording \"{}\" is of {} ({} layers, {} experts, top {}), not of {} ({} "
                      "layers, {} experts, top {})",
                      options_.learn, row.model.empty() ? "another model" : row.model,
                      paths->shape.layers, paths->shape.experts, paths->shape.top_k,
                      model_->checkpoint().name(), shape_.layers, shape_.experts, shape_.top_k),
          "learn from a recording of this model");
    }
    run_.options.policy_options.history = std::move(paths);
    run_.learn = options_.learn;
  }

  void begin_recording(RunStore store, std::vector<std::string>& notices,
                       const ProgressCallback& progress, const CancelToken& cancel) {
    if (options_.record.empty()) return;
    profile::Recording recording;
    recording.name = options_.record;
    recording.created_ms = now_ms();
    recording.model = model_->checkpoint().name();
    recording.architecture = model_->checkpoint().config().architecture;
    recording.fingerprint = fingerprint(progress, cancel);
    recording.shape = shape_;
    recording.source = "live";
    recording.run_json = to_json(run_).dump(-1, ' ', false, Json::error_handler_t::replace);
    try {
      if (!store.writable) throw Error(ErrorCode::kConflict, store.problem);
      recorder_ = std::make_unique<profile::Recorder>(std::move(*store.file), recording);
    } catch (const Error& error) {
      // A name that cannot be one is the user's to mend; a store that fails stops no generation.
      if (options_.recording_required || error.code() == ErrorCode::kInvalidArgument) throw;
      facts_.recording_failure = error.what();
      notices.push_back(fmt::format("No recording is made: {}", error.what()));
      return;
    }
    facts_.recording = options_.record;
    runtime_->set_events(&recorder_->ring());
  }

  std::shared_ptr<Model> model_;
  ExpertOptions options_;
  experts::ExpertShape shape_;
  ExpertRun run_;
  ExpertFacts facts_;
  std::shared_ptr<device::SlotDevice> device_;
  std::optional<profile::StoredCosts> costs_;
  std::unique_ptr<profile::Recorder> recorder_;  // outlives the runtime's use of its ring
  std::shared_ptr<experts::ExpertRuntime> runtime_;
  std::int32_t prompt_ = 0;
};

}  // namespace

std::unique_ptr<ExpertSession> ExpertSession::attach(std::shared_ptr<Model> model,
                                                     const ExpertOptions& options,
                                                     std::vector<std::string>& notices,
                                                     const ProgressCallback& progress,
                                                     const CancelToken& cancel) {
  options.check();
  if (model->checkpoint().config().experts == 0) {
    const std::string asked = options.asks_for_experts();
    if (asked.empty()) return nullptr;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} is dense and {} is about routed experts",
                            model->checkpoint().name(), asked),
                "leave the option out, or choose a Mixture-of-Experts model");
  }
  return std::make_unique<Attachment>(std::move(model), options, notices, progress, cancel);
}

}  // namespace haq::session
