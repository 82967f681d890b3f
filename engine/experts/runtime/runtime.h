// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/device/slots.h"
#include "engine/experts/dispatch.h"
#include "engine/experts/policies/policy.h"
#include "engine/experts/runtime/cost_model.h"
#include "engine/experts/runtime/cost_report.h"
#include "engine/experts/telemetry/events.h"
#include "engine/nn/decoder.h"

namespace haq::experts {

struct RuntimeOptions {
  std::string policy = "none";   ///< a name that make_policy() takes
  PolicyOptions policy_options;  ///< its `costs` are also the dispatcher's, frozen for the run
  int capacity = 0;              ///< slots
  MissMode miss = MissMode::kAuto;
};

/// What has happened since the runtime was made or reset_stats() was called.
struct RuntimeStats {
  std::string policy;
  int capacity = 0;
  ExpertShape shape;
  std::int64_t batches = 0, tokens = 0, steps = 0;
  std::int64_t accesses = 0, hits = 0;
  std::vector<std::int64_t> accesses_per_layer, hits_per_layer;
  std::int64_t uploads = 0, evictions = 0;         ///< ordered by the policy
  std::int64_t streamed = 0;                       ///< copies through staging slots
  std::int64_t bytes_uploaded = 0;                 ///< both
  std::int64_t cpu_tokens = 0, device_tokens = 0;  ///< (token, expert) pairs per lane
  std::int64_t decisions = 0;  ///< steps in which a miss could have gone either way
  double regret_us_sum = 0;    ///< against the best choice in hindsight, over decisions
  double predicted_us_sum = 0, actual_us_sum = 0;
  double modelled_ms_per_token_mean = 0, modelled_ms_per_token_std = 0;  ///< over tokens
  CostReport cost_report;       ///< predicted beside actual, by batch size; add() once per step
  double telemetry_ns_sum = 0;  ///< time spent writing events, estimated from the measured cost
};

/// Runs the routed experts on two lanes: residents and uploads on a device with slots, the rest on
/// the decoder's own device, both at once, each choice written to its own row and joined in a fixed
/// order, so that no decision changes a bit. One thread at a time (the decoder's).
///
/// Per step: count hits; let the policy decide (Policy::end_step looks at nothing that is
/// computed); order its uploads; dispatch; submit the device lane; compute the CPU lane; join;
/// account.
class ExpertRuntime : public nn::ExpertRunner {
 public:
  /// `device` null: everything on the decoder's device, the policy must be "none" and the capacity
  /// 0; the runtime then only counts and tells. The decoder must outlive the runtime, which does
  /// not attach itself (Decoder::set_expert_runner). kInvalidArgument for a dense model and for
  /// what make_policy() refuses, kOutOfMemory when the slots do not fit the device.
  static std::shared_ptr<ExpertRuntime> make(nn::Decoder& decoder,
                                             std::shared_ptr<device::SlotDevice> device,
                                             RuntimeOptions options);

  virtual const ExpertShape& shape() const = 0;
  virtual std::size_t slot_bytes() const = 0;  ///< 0 without a device
  virtual RuntimeStats stats() const = 0;
  /// Forgets counts, not residency.
  virtual void reset_stats() = 0;
  /// The next batches belong to prompt `number`; only telemetry looks at it.
  virtual void set_prompt(std::int32_t number) = 0;
  /// Where events go; null (the default) costs one branch per step. The ring must outlive its use.
  virtual void set_events(EventRing* ring) = 0;
  virtual const Residency& residency() const = 0;
  /// Options as they are in effect (the plan cut to the capacity and the like).
  virtual const RuntimeOptions& options() const = 0;
  /// What the lanes' measured times say about the next run's cost table.
  virtual const CostRefit& refit() const = 0;
};

/// The routed experts of a decoder as the runtime numbers them: layers without routing left out.
ExpertShape shape_of(const nn::Decoder& decoder);
/// The form of the decoder's experts in a device's slots. kInvalidArgument for a dense model.
device::SlotLayout slot_layout_of(const nn::Decoder& decoder);
/// Slots that make() needs besides the capacity, for experts that pass through.
int staging_slots();

}  // namespace haq::experts
