// SPDX-License-Identifier: GPL-3.0-or-later
// One step of the expert runtime: see ExpertRuntime.
#include <algorithm>

#include "engine/base/error.h"
#include "engine/experts/runtime/runtime_impl.h"
#include "engine/experts/telemetry/event_writer.h"
#include "engine/nn/expert_batches.h"

namespace haq::experts {
namespace {

/// Runs `body`, which uses the device; says in which layer it failed.
template <class Body>
auto on_device(int model_layer, const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kCancelled) throw;
    throw Error(error.code(),
                fmt::format("layer {}: the device that holds experts failed: {}", model_layer,
                            error.what()),
                error.hint());
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "layer {}: no memory for the device that holds experts",
         model_layer);
  }
}

}  // namespace

void RuntimeImpl::run(const nn::RoutedStep& step, device::ConstRows x, device::Rows slots) {
  Running running;
  running.begin_ns = event_time_ns();
  running.layer = store_.routed_layer(step.layer);
  groups_.group(step, store_.shape().experts);
  // A pass goes through the layers upwards; one that failed half way is over as well.
  const bool new_batch = stats_.batches == 0 || running.layer <= last_layer_;
  last_layer_ = running.layer;
  if (new_batch) begin_batch(step);

  const Step seen = groups_.step(running.layer);
  look_up(seen, resident_);
  running.hits = static_cast<std::size_t>(std::count(resident_.begin(), resident_.end(), 1));
  let_policy_decide(seen, running);
  dispatch(seen, resident_, admitted_, running.uploads, options_.policy_options.costs,
           options_.miss, lane_ != nullptr, dispatch_);
  compute(step, x, slots, running);
  account(seen, running);
  if (events_ != nullptr) tell(step, running);
  residency_.clear_changes();
}

void RuntimeImpl::begin_batch(const nn::RoutedStep& step) {
  first_token_ = next_token_;
  next_token_ += step.tokens;
  ++stats_.batches;
  stats_.tokens += step.tokens;
  modelled_.begin_batch(static_cast<int>(step.tokens));
  if (events_ == nullptr) return;
  Event::Batch batch{};
  batch.first_token = first_token_;
  batch.tokens = static_cast<std::int32_t>(step.tokens);
  batch.prompt = prompt_;
  batch.decode = step.decode ? 1 : 0;
  events_written_ += write_batch(*events_, event_time_ns(), batch);
}

void RuntimeImpl::look_up(const Step& step, std::vector<std::uint8_t>& resident) const {
  resident.resize(step.experts.size());
  const ExpertIndex base = store_.shape().index(step.layer, 0);
  for (std::size_t i = 0; i < resident.size(); ++i) {
    resident[i] = residency_.contains(base + step.experts[i]);
  }
}

/// No submitted work reads a slot now: the lanes are joined at the end of every step. So copies may
/// go into the slots of victims at once.
void RuntimeImpl::let_policy_decide(const Step& step, Running& running) {
  const std::int64_t uploads = residency_.uploads(), evictions = residency_.evictions();
  residency_.clear_changes();
  policy_->end_step(step, residency_);
  running.uploads = static_cast<int>(residency_.uploads() - uploads);
  running.evictions = static_cast<int>(residency_.evictions() - evictions);
  look_up(step, admitted_);
  for (std::size_t i = 0; i < resident_.size(); ++i) {
    if (resident_[i] != 0 && admitted_[i] == 0) {
      fail(ErrorCode::kInternal, "layer {}: policy {} evicted expert {}, which the step uses",
           store_.model_layer(step.layer), policy_->name(), step.experts[i]);
    }
  }
  on_device(store_.model_layer(step.layer), [&] {
    // Also what was admitted and evicted again at once: the link is busy with it all the same.
    for (const Residency::Change& change : residency_.changes()) {
      lane_->upload(change.slot, change.expert);
    }
  });
}

void RuntimeImpl::compute(const nn::RoutedStep& step, device::ConstRows x, device::Rows slots,
                          Running& running) {
  cpu_groups_.clear();
  items_.clear();
  const ExpertIndex base = store_.shape().index(running.layer, 0);
  for (const bool streamed : {false, true}) {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      const Lane lane = dispatch_.lanes[i];
      if (lane == Lane::kCpu || (lane == Lane::kStreamed) != streamed) continue;
      const ExpertIndex expert = base + groups_.expert(i);
      items_.push_back(
          {expert, streamed ? -1 : residency_.slot_of(expert), groups_.rows(i), groups_.slots(i)});
      running.device_choices += static_cast<std::int64_t>(groups_.rows(i).size());
    }
  }
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    if (dispatch_.lanes[i] != Lane::kCpu) continue;
    cpu_groups_.push_back(
        {&store_.prepared(base + groups_.expert(i)), groups_.rows(i), groups_.slots(i)});
    running.cpu_choices += static_cast<std::int64_t>(groups_.rows(i).size());
  }
  decoder_.device().synchronize();  // x is read by both lanes
  const bool both = !items_.empty();
  if (both) {
    on_device(step.layer, [&] { lane_->start({x, slots, items_, step.cancel}); });
  }
  try {
    const std::uint64_t begin_ns = event_time_ns();
    nn::run_in_batches(decoder_.device(), x, cpu_groups_, slots, step.cancel);
    decoder_.device().synchronize();
    if (!cpu_groups_.empty()) {
      running.cpu_us = static_cast<double>(event_time_ns() - begin_ns) / 1e3;
    }
  } catch (...) {
    if (both) lane_->abandon();
    throw;
  }
  DeviceLane::Times times;
  if (both) {
    times = on_device(step.layer, [&] { return lane_->finish(); });
    times.exact = times.exact || cpu_groups_.empty();
    running.device_us = device_us_of(times);
  }
  feed_refit(running, times);
}

/// How long the device lane took. That of an emulated device is modelled; one that may have been
/// done before it was asked took no longer than predicted.
double RuntimeImpl::device_us_of(const DeviceLane::Times& times) const {
  const double predicted = dispatch_.link_us + dispatch_.device_us;
  double modelled = 0;
  for (const DeviceLane::Item& item : items_) {
    const double us =
        device_->modelled_expert_us(store_.layout(), static_cast<double>(item.rows.size()));
    if (us <= 0) return times.exact ? times.us : std::min(times.us, predicted);
    modelled += us;
  }
  return dispatch_.link_us + modelled;
}

void RuntimeImpl::feed_refit(const Running& running, const DeviceLane::Times& times) {
  const auto tokens_of = [&](const auto& parts) -> const std::vector<std::uint16_t>& {
    lane_tokens_.clear();
    for (const auto& part : parts) {
      lane_tokens_.push_back(static_cast<std::uint16_t>(part.rows.size()));
    }
    return lane_tokens_;
  };
  if (running.cpu_us > 0) refit_.add_cpu(tokens_of(cpu_groups_), running.cpu_us);
  // Copies and computing overlap; only a lane without copies shows what computing costs.
  if (!items_.empty() && times.exact && dispatch_.link_us == 0) {
    refit_.add_device(tokens_of(items_), times.us);
  }
}

void RuntimeImpl::account(const Step& step, Running& running) {
  const auto layer = static_cast<std::size_t>(step.layer);
  const auto accesses = static_cast<std::int64_t>(step.experts.size());
  const auto hits = static_cast<std::int64_t>(running.hits);
  ++stats_.steps;
  stats_.accesses += accesses;
  stats_.hits += hits;
  stats_.accesses_per_layer[layer] += accesses;
  stats_.hits_per_layer[layer] += hits;
  stats_.uploads += running.uploads;
  stats_.evictions += running.evictions;
  stats_.streamed += dispatch_.streamed;
  stats_.bytes_uploaded +=
      (running.uploads + std::int64_t{dispatch_.streamed}) * static_cast<std::int64_t>(slot_bytes_);
  stats_.cpu_tokens += running.cpu_choices;
  stats_.device_tokens += running.device_choices;
  stats_.predicted_us_sum += dispatch_.step_us();
  stats_.actual_us_sum += std::max(running.cpu_us, running.device_us);
  modelled_.add(dispatch_.step_us());
  running.decision = lane_ != nullptr && options_.miss == MissMode::kAuto && hits < accesses;
  if (running.decision) look_back(step, running);
  stats_.cost_report.add(step.tokens, dispatch_.step_us(),
                         std::max(running.cpu_us, running.device_us), running.decision,
                         running.regret_us);
}

/// A miss could have gone either way: what would the best choice have been, had the table's times
/// been those that were measured?
void RuntimeImpl::look_back(const Step& step, Running& running) {
  const double device_us = dispatch_.link_us + dispatch_.device_us;
  LaneScale scale;
  if (dispatch_.cpu_us > 0 && running.cpu_us > 0) scale.cpu = running.cpu_us / dispatch_.cpu_us;
  if (device_us > 0 && running.device_us > 0) scale.device = running.device_us / device_us;
  dispatch(step, resident_, admitted_, running.uploads, options_.policy_options.costs,
           options_.miss, true, hindsight_, scale);
  const double chosen = std::max(scale.cpu * dispatch_.cpu_us, scale.device * device_us);
  running.regret_us = std::max(0.0, chosen - hindsight_.step_us());
  ++stats_.decisions;
  stats_.regret_us_sum += running.regret_us;
}

void RuntimeImpl::tell(const nn::RoutedStep& step, const Running& running) {
  const std::uint64_t now = event_time_ns();
  const ExpertIndex base = store_.shape().index(running.layer, 0);
  for (const Residency::Change& change : residency_.changes()) {
    Event::Upload upload{};
    upload.expert = change.expert;
    upload.victim = change.victim;
    upload.slot = change.slot;
    upload.bytes = static_cast<std::int64_t>(slot_bytes_);
    const auto& experts = groups_.step(running.layer).experts;
    upload.prefetch =
        store_.shape().layer_of(change.expert) != running.layer ||
        std::find(experts.begin(), experts.end(), change.expert - base) == experts.end();
    events_written_ += write_upload(*events_, now, running.layer, upload);
  }
  events_written_ += write_paths(*events_, now, running.layer, first_token_, step.top_k, step.ids);
  Event::StepDone done{};
  done.tokens = static_cast<std::int32_t>(step.tokens);
  done.accesses = static_cast<std::int32_t>(groups_.size());
  done.hits = static_cast<std::int32_t>(running.hits);
  done.uploads = running.uploads;
  done.evictions = running.evictions;
  done.streamed = dispatch_.streamed;
  done.cpu_choices = static_cast<std::int32_t>(running.cpu_choices);
  done.device_choices = static_cast<std::int32_t>(running.device_choices);
  done.predicted_us = static_cast<float>(dispatch_.step_us());
  done.actual_us = static_cast<float>(std::max(running.cpu_us, running.device_us));
  done.regret_us = static_cast<float>(running.regret_us);
  done.cpu_us = static_cast<float>(running.cpu_us);
  events_written_ += write_step(*events_, now, running.layer, done);
}

}  // namespace haq::experts
