// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/experts/modelled_time.h"
#include "engine/experts/runtime/device_lane.h"
#include "engine/experts/runtime/expert_store.h"
#include "engine/experts/runtime/runtime.h"
#include "engine/experts/runtime/step_groups.h"

namespace haq::experts {

class RuntimeImpl final : public ExpertRuntime {
 public:
  RuntimeImpl(nn::Decoder& decoder, std::shared_ptr<device::SlotDevice> device,
              RuntimeOptions options);

  void run(const nn::RoutedStep& step, device::ConstRows x, device::Rows slots) override;

  const ExpertShape& shape() const override { return store_.shape(); }
  std::size_t slot_bytes() const override { return slot_bytes_; }
  RuntimeStats stats() const override;
  void reset_stats() override;
  void set_prompt(std::int32_t number) override { prompt_ = number; }
  void set_events(EventRing* ring) override;
  const Residency& residency() const override { return residency_; }
  const RuntimeOptions& options() const override { return options_; }
  const CostRefit& refit() const override { return refit_; }

 private:
  /// What is known of the running step.
  struct Running {
    int layer = 0;
    std::size_t hits = 0;
    int uploads = 0, evictions = 0;
    std::int64_t cpu_choices = 0, device_choices = 0;
    double cpu_us = 0, device_us = 0;  ///< as they were
    bool decision = false;
    double regret_us = 0;
    std::uint64_t begin_ns = 0;
  };

  void load_residents();
  void begin_batch(const nn::RoutedStep& step);
  void look_up(const Step& step, std::vector<std::uint8_t>& resident) const;
  void let_policy_decide(const Step& step, Running& running);
  void compute(const nn::RoutedStep& step, device::ConstRows x, device::Rows slots,
               Running& running);
  double device_us_of(const DeviceLane::Times& times) const;
  void account(const Step& step, Running& running);
  void feed_refit(const Running& running, const DeviceLane::Times& times);
  void look_back(const Step& step, Running& running);
  void tell(const nn::RoutedStep& step, const Running& running);

  nn::Decoder& decoder_;
  std::shared_ptr<device::SlotDevice> device_;
  RuntimeOptions options_;
  ExpertStore store_;
  Residency residency_;
  std::unique_ptr<Policy> policy_;
  std::size_t slot_bytes_ = 0;
  std::unique_ptr<DeviceLane> lane_;  // null: nothing ever runs on the device

  // Of the running step; memory is kept.
  StepGroups groups_;
  std::vector<std::uint8_t> resident_, admitted_;
  Dispatch dispatch_, hindsight_;
  std::vector<device::FfnGroup> cpu_groups_;
  std::vector<DeviceLane::Item> items_;
  std::vector<std::uint16_t> lane_tokens_;

  int last_layer_ = 0;
  std::int64_t first_token_ = 0, next_token_ = 0;  // of the running batch, since the start
  std::int32_t prompt_ = 0;
  RuntimeStats stats_;
  CostRefit refit_;
  ModelledTime modelled_;
  EventRing* events_ = nullptr;
  double event_ns_ = 0;  // 0: not measured yet
  std::int64_t events_written_ = 0;
};

}  // namespace haq::experts
