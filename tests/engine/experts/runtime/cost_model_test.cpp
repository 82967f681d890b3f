// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/cost_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/device/emulated/emulated_device.h"
#include "tests/engine/experts/runtime/runtime_fixture.h"
#include "tests/support/errors.h"

namespace haq::test {
namespace {

using device::ConstRows;
using device::Rows;
using experts::CostTable;

/// Hands what the measurement uses to an emulated device, but models nothing, as a real one.
class UnmodelledDevice final : public device::SlotDevice {
 public:
  explicit UnmodelledDevice(std::shared_ptr<device::SlotDevice> inner) : inner_(std::move(inner)) {}
  int runs() const { return runs_; }

  device::DeviceInfo info() const override { return inner_->info(); }
  std::unique_ptr<device::Buffer> allocate(std::size_t bytes) override {
    return inner_->allocate(bytes);
  }
  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    inner_->copy_to_device(to, from, bytes);
  }
  void synchronize() override { inner_->synchronize(); }
  void ffn(ConstRows x, std::span<const device::FfnGroup> groups, Rows out) override {
    ++runs_;
    inner_->ffn(x, groups, out);
  }
  std::unique_ptr<device::SlotArena> make_slots(const device::SlotLayout& layout,
                                                int slots) override {
    return inner_->make_slots(layout, slots);
  }
  device::LinkCounts link() const override { return inner_->link(); }
  double link_gb_s() const override { return inner_->link_gb_s(); }
  double modelled_expert_us(const device::SlotLayout&, double) const override { return 0; }

  // Nothing else belongs to a measurement.
  void copy_to_host(void*, const void*, std::size_t) override { refuse(); }
  std::shared_ptr<const device::Linear> prepare(const LinearWeights&, device::LinearPath,
                                                const std::string&) override {
    refuse();
  }
  std::unique_ptr<device::KvCache> make_kv_cache(const device::KvLayout&) override { refuse(); }
  void embed(const device::Linear&, std::span<const std::int32_t>, float, Rows) override {
    refuse();
  }
  void rms_norm(ConstRows, const float*, float, Rows) override { refuse(); }
  void layer_norm(ConstRows, const float*, const float*, float, Rows) override { refuse(); }
  void linear(ConstRows, std::span<const LinearCall>) override { refuse(); }
  void rotary(Rows, int, int, int, std::int64_t, const device::RotaryTable&) override { refuse(); }
  void store_kv(device::KvCache&, int, std::int64_t, ConstRows, ConstRows) override { refuse(); }
  void attention(const device::AttentionArgs&) override { refuse(); }
  void add_scaled(Rows, ConstRows, float) override { refuse(); }
  void clamp(Rows, float) override { refuse(); }
  void scale(Rows, float) override { refuse(); }
  void scale_rows_sigmoid(Rows, ConstRows) override { refuse(); }
  void copy(ConstRows, Rows) override { refuse(); }
  void route(const device::RouterArgs&) override { refuse(); }
  void combine(ConstRows, const float*, int, Rows) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { fail(ErrorCode::kInternal, "not part of a measurement"); }

  std::shared_ptr<device::SlotDevice> inner_;
  int runs_ = 0;
};

std::vector<double> tokens_of(const std::vector<CostTable::Knot>& knots) {
  std::vector<double> tokens;
  for (const CostTable::Knot& knot : knots) tokens.push_back(knot.tokens);
  return tokens;
}

void expect_usable(const std::vector<CostTable::Knot>& knots) {
  double before = 0;
  for (const CostTable::Knot& knot : knots) {
    EXPECT_TRUE(std::isfinite(knot.us));
    EXPECT_GT(knot.us, 0);
    EXPECT_GE(knot.us, before);
    before = knot.us;
  }
}

TEST(MeasureCosts, MeasuresTheHost) {
  const Int8Moe model("mixtral");
  int reports = 0;
  const CostTable table =
      experts::measure_costs(model.decoder(), nullptr, 24, [&](const Progress&) { ++reports; });
  // All of them on a machine that has the time.
  const std::vector<double> wanted{1, 2, 4, 8, 16, 24};
  const std::vector<double> found = tokens_of(table.cpu);
  EXPECT_GE(found.size(), 2U);
  EXPECT_TRUE(std::includes(wanted.begin(), wanted.end(), found.begin(), found.end()));
  EXPECT_EQ(tokens_of(table.device), tokens_of(table.cpu));
  expect_usable(table.cpu);
  EXPECT_EQ(table.source, "measured");
  EXPECT_EQ(table.expert_bytes, experts::slot_layout_of(model.decoder()).bytes());
  EXPECT_GT(reports, 10);
  // What a store keeps and reads back is the same table.
  EXPECT_EQ(to_json(experts::cost_table_from_json(to_json(table), "costs")), to_json(table));
}

TEST(MeasureCosts, OneTokenNeedsOneKnot) {
  const Int8Moe model("olmoe");
  EXPECT_EQ(experts::measure_costs(model.decoder(), nullptr, 1).cpu.size(), 1U);
}

TEST(MeasureCosts, TakesAnEmulatedDeviceAtItsWord) {
  const Int8Moe model("mixtral");
  device::EmulatedOptions options;
  options.link_gb_s = 12.5;
  options.link_latency_us = 7;
  const auto device = device::make_emulated_device(options);
  const CostTable table = experts::measure_costs(model.decoder(), device.get(), 8);
  const device::SlotLayout layout = experts::slot_layout_of(model.decoder());
  EXPECT_EQ(table.source, "emulated");
  EXPECT_EQ(table.link_gb_s, 12.5);
  EXPECT_NEAR(table.upload_fixed_us, 7, 1e-6);
  ASSERT_EQ(tokens_of(table.device), (std::vector<double>{1, 2, 4, 8}));
  for (const CostTable::Knot& knot : table.device) {
    EXPECT_EQ(knot.us, device->modelled_expert_us(layout, knot.tokens));
  }
  expect_usable(table.cpu);
}

TEST(MeasureCosts, MeasuresADeviceThatModelsNothing) {
  const Int8Moe model("mixtral");
  UnmodelledDevice device(quick_device());
  const CostTable table = experts::measure_costs(model.decoder(), &device, 8);
  EXPECT_EQ(table.source, "measured");
  EXPECT_GE(table.device.size(), 2U);
  expect_usable(table.device);
  EXPECT_GE(device.runs(), static_cast<int>(2 * table.device.size()));
}

TEST(MeasureCosts, StopsWhenAsked) {
  const Int8Moe model("mixtral");
  const CancelToken cancel;
  int reports = 0;
  const auto stop = [&](const Progress&) {
    if (++reports == 3) cancel.cancel();
  };
  EXPECT_EQ(code_of([&] { experts::measure_costs(model.decoder(), nullptr, 512, stop, cancel); }),
            ErrorCode::kCancelled);
  EXPECT_EQ(reports, 3);
}

TEST(MeasureCosts, RefusesWhatCannotBeMeasured) {
  const Int8Moe model("mixtral");
  for (const int tokens : {0, -1, nn::kMaxStepTokens + 1}) {
    EXPECT_EQ(code_of([&] { experts::measure_costs(model.decoder(), nullptr, tokens); }),
              ErrorCode::kInvalidArgument);
  }
  const auto small = quick_device(100);
  EXPECT_EQ(code_of([&] { experts::measure_costs(model.decoder(), small.get(), 4); }),
            ErrorCode::kOutOfMemory);
  const auto dense = load_decoder(golden_model_dir("llama"));
  EXPECT_EQ(code_of([&] { experts::measure_costs(*dense, nullptr, 4); }),
            ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace haq::test
