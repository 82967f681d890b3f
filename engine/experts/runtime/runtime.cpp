// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/runtime.h"

#include "engine/base/error.h"
#include "engine/base/log.h"
#include "engine/experts/runtime/runtime_impl.h"
#include "engine/experts/telemetry/event_writer.h"

namespace haq::experts {
namespace {

/// Checks the options and puts what is in effect in their place.
RuntimeOptions in_effect(RuntimeOptions options, const nn::Decoder& decoder,
                         const device::SlotDevice* device) {
  if (shape_of(decoder).layers == 0) {
    fail(ErrorCode::kInvalidArgument, "the model has no routed experts to run anywhere else");
  }
  PolicyOptions& policy = options.policy_options;
  if (device == nullptr) {
    if (options.policy != "none" || options.capacity != 0) {
      fail(ErrorCode::kInvalidArgument,
           "policy \"{}\" with {} slots: without a device only \"none\" with 0 slots is possible",
           options.policy, options.capacity);
    }
    // No machine is stated: nothing is modelled.
    if (policy.costs.cpu.empty()) policy.costs = CostTable::stated(0, 0, 1, 0);
  } else if (policy.costs.cpu.empty() || policy.costs.device.empty()) {
    fail(ErrorCode::kInvalidArgument, "an expert runtime with a device needs a cost table");
  }
  if (options.capacity >= 0 && policy.plan.size() > static_cast<std::size_t>(options.capacity)) {
    policy.plan.resize(static_cast<std::size_t>(options.capacity));  // the most valuable come first
  }
  return options;
}

}  // namespace

device::SlotLayout slot_layout_of(const nn::Decoder& decoder) {
  for (int layer = 0; layer < decoder.config().layer_count(); ++layer) {
    if (!decoder.experts(layer).empty()) return device::slot_layout(decoder.experts(layer)[0]);
  }
  fail(ErrorCode::kInvalidArgument, "the model has no routed experts");
}

int staging_slots() {
  return DeviceLane::kStagingSlots;
}

std::shared_ptr<ExpertRuntime> ExpertRuntime::make(nn::Decoder& decoder,
                                                   std::shared_ptr<device::SlotDevice> device,
                                                   RuntimeOptions options) {
  if (device != nullptr && !decoder.device().info().host_memory) {
    fail(ErrorCode::kUnsupported,
         "the model runs on {}: experts can be cached on a device only beside the host",
         decoder.device().info().name);
  }
  options = in_effect(std::move(options), decoder, device.get());
  return std::make_shared<RuntimeImpl>(decoder, std::move(device), std::move(options));
}

RuntimeImpl::RuntimeImpl(nn::Decoder& decoder, std::shared_ptr<device::SlotDevice> device,
                         RuntimeOptions options)
    : decoder_(decoder),
      device_(std::move(device)),
      options_(std::move(options)),
      store_(decoder),
      residency_(store_.shape(), options_.capacity),
      policy_(
          make_policy(options_.policy, store_.shape(), options_.capacity, options_.policy_options)),
      refit_(options_.policy_options.costs) {
  if (device_ != nullptr) {
    store_.check_forms();
    slot_bytes_ = device_->held_form(store_.layout()).bytes();
    if (store_.converted_bytes() > 0) {
      log::info(
          fmt::format("{} bytes of experts lie converted in memory of their own: the file's "
                      "layout does not allow their use in place",
                      store_.converted_bytes()));
    }
    const bool streaming = options_.miss != MissMode::kCpu;
    if (options_.capacity > 0 || streaming) {
      lane_ = std::make_unique<DeviceLane>(device_, store_, options_.capacity, streaming);
    }
  }
  residency_.keep_changes(true);
  load_residents();
  reset_stats();
}

/// What the policy starts with is no upload.
void RuntimeImpl::load_residents() {
  policy_->start(residency_);
  for (const Residency::Change& change : residency_.changes()) {
    lane_->upload(change.slot, change.expert);
  }
  residency_.clear_changes();
  residency_.reset_counts();
}

void RuntimeImpl::reset_stats() {
  stats_ = {};
  stats_.policy = options_.policy;
  stats_.capacity = options_.capacity;
  stats_.shape = store_.shape();
  const auto layers = static_cast<std::size_t>(store_.shape().layers);
  stats_.accesses_per_layer.assign(layers, 0);
  stats_.hits_per_layer.assign(layers, 0);
  modelled_ = {};
  events_written_ = 0;
}

RuntimeStats RuntimeImpl::stats() const {
  RuntimeStats stats = stats_;
  stats.modelled_ms_per_token_mean = modelled_.mean_ms();
  stats.modelled_ms_per_token_std = modelled_.std_ms();
  stats.telemetry_ns_sum = event_ns_ * static_cast<double>(events_written_);
  return stats;
}

void RuntimeImpl::set_events(EventRing* ring) {
  if (ring != nullptr && event_ns_ == 0) event_ns_ = measure_event_ns();
  events_ = ring;
}

}  // namespace haq::experts
