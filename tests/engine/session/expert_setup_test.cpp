// SPDX-License-Identifier: GPL-3.0-or-later
// What a user may ask for, and how many experts a budget keeps.
#include "engine/session/experts/expert_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace haq::session {
namespace {

using testing::HasSubstr;

constexpr experts::ExpertShape kShape{4, 16, 2};
constexpr std::size_t kMiB = std::size_t{1} << 20;

SlotMemory slots_of(std::size_t slot_bytes) {
  SlotMemory memory;
  memory.device = "a card";
  memory.slot_bytes = slot_bytes;
  return memory;
}

ErrorCode code_of(const ExpertOptions& options) {
  try {
    options.check();
  } catch (const Error& error) {
    EXPECT_FALSE(error.hint().empty()) << error.what();
    return error.code();
  }
  return ErrorCode::kInternal;
}

TEST(ExpertOptions, DefaultsAskForNothing) {
  ExpertOptions options;
  EXPECT_NO_THROW(options.check());
  EXPECT_EQ(options.asks_for_experts(), "");
  EXPECT_EQ(policy_of(options), "none");
  options.device = "cpu";
  options.vram = "0";
  options.policy = "none";
  EXPECT_NO_THROW(options.check());
  EXPECT_EQ(options.asks_for_experts(), "");
}

TEST(ExpertOptions, ADeviceBringsAutoAndAPlanDoesNotChangeThat) {
  ExpertOptions options;
  options.device = "emulated";
  EXPECT_EQ(policy_of(options), "auto");
  options.plan = "plan.json";
  options.learn = "yesterday";
  EXPECT_NO_THROW(options.check());
}

TEST(ExpertOptions, WordsThatAreNone) {
  const auto with = [](auto&& change) {
    ExpertOptions options;
    options.device = "emulated";
    change(options);
    return code_of(options);
  };
  EXPECT_EQ(with([](auto& o) { o.device = "gpu"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.device = "cuda:x"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.policy = "fifo"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.miss = "gpu"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.path_goal = "speed"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.vram = "12"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.vram = "110%"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.vram = "5GB"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.card = "voodoo-2"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.link_gb_s = 0; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.emulate_tflops = -1; }), ErrorCode::kInvalidArgument);
}

TEST(ExpertOptions, ThisBuildHasNoCudaModule) {
  ExpertOptions options;
  for (const char* word : {"cuda", "cuda:0", "cuda:12"}) {
    options.device = word;
    EXPECT_EQ(code_of(options), ErrorCode::kUnsupported) << word;
  }
}

TEST(ExpertOptions, WhatNeedsADeviceIsRefusedOnTheCpu) {
  const auto with = [](auto&& change) {
    ExpertOptions options;
    change(options);
    EXPECT_NE(options.asks_for_experts(), "");
    const ErrorCode automatic = code_of(options);
    options.device = "cpu";
    EXPECT_EQ(code_of(options), automatic);
    return automatic;
  };
  EXPECT_EQ(with([](auto& o) { o.vram = "25%"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.vram = "all"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.vram = "1KiB"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.policy = "lru"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.plan = "p.json"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.miss = "upload"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.card = "any"; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.link_gb_s = 25; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.emulate_tflops = 10; }), ErrorCode::kInvalidArgument);
  EXPECT_EQ(with([](auto& o) { o.learn = "r"; }), ErrorCode::kInvalidArgument);
}

TEST(ExpertOptions, PlansAndHistoriesThatAPolicyWouldIgnore) {
  ExpertOptions options;
  options.device = "emulated";
  options.policy = "lru";
  options.plan = "plan.json";
  EXPECT_EQ(code_of(options), ErrorCode::kInvalidArgument);
  options.policy = "plan+lru";
  EXPECT_NO_THROW(options.check());
  options.plan.clear();
  EXPECT_EQ(code_of(options), ErrorCode::kInvalidArgument);
  options.policy = "ema";
  options.learn = "yesterday";
  EXPECT_EQ(code_of(options), ErrorCode::kInvalidArgument);
  options.policy = "path";
  EXPECT_NO_THROW(options.check());
}

TEST(EmulatedFigures, OptionsChangeTheDefaults) {
  ExpertOptions options;
  options.device = "emulated";
  options.link_gb_s = 7.5;
  options.emulate_tflops = 33;
  const device::EmulatedOptions figures = emulated_options(options, 8);
  EXPECT_EQ(figures.link_gb_s, 7.5);
  EXPECT_EQ(figures.tflops, 33);
  EXPECT_EQ(figures.threads, 4);
  EXPECT_EQ(emulated_options(options, 1).threads, 1);
}

TEST(EmulatedFigures, ACardGivesThemAll) {
  ASSERT_FALSE(device::card_presets().empty());
  for (const device::CardPreset& card : device::card_presets()) {
    ExpertOptions options;
    options.device = "emulated";
    options.card = card.name;
    EXPECT_NO_THROW(options.check());
    const device::EmulatedOptions figures = emulated_options(options, 2);
    EXPECT_EQ(figures.link_gb_s, card.link_gb_s);
    EXPECT_EQ(figures.tflops, card.int8_tops);
    EXPECT_EQ(figures.memory_gb_s, card.memory_gb_s);
    EXPECT_EQ(figures.memory_bytes, static_cast<std::size_t>(card.memory_gib * 1024 * 1024 * 1024));
    EXPECT_THAT(figures.name, HasSubstr("emulated"));
    options.link_gb_s = 3;
    EXPECT_EQ(emulated_options(options, 2).link_gb_s, 3);
  }
}

TEST(ResidentExperts, EveryFormOfBudget) {
  std::vector<std::string> notices;
  const SlotMemory memory = slots_of(kMiB);
  EXPECT_EQ(resident_experts("0", kShape, memory, notices), 0);
  EXPECT_EQ(resident_experts("all", kShape, memory, notices), 64);
  EXPECT_EQ(resident_experts("25%", kShape, memory, notices), 16);
  EXPECT_EQ(resident_experts("7x", kShape, memory, notices), 7);
  EXPECT_EQ(resident_experts("5.5MiB", kShape, memory, notices), 5);
  EXPECT_THAT(notices, testing::IsEmpty());
}

TEST(ResidentExperts, BelowOneExpertIsRefusedAndBelowTopKIsSaid) {
  std::vector<std::string> notices;
  const SlotMemory memory = slots_of(kMiB);
  EXPECT_THROW(resident_experts("1%", kShape, memory, notices), Error);
  EXPECT_THROW(resident_experts("1000KiB", kShape, memory, notices), Error);
  EXPECT_EQ(resident_experts("1x", kShape, memory, notices), 1);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0], HasSubstr("fewer than the 2"));
}

TEST(ResidentExperts, AllIsCutToTheCardAndAnythingElseIsRefused) {
  std::vector<std::string> notices;
  SlotMemory memory = slots_of(kMiB);
  memory.device_bytes = 20 * kMiB;
  memory.staging = 4;
  EXPECT_EQ(resident_experts("all", kShape, memory, notices), 16);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0], HasSubstr("16 of 64 experts"));
  EXPECT_EQ(resident_experts("25%", kShape, memory, notices), 16);
  try {
    resident_experts("17x", kShape, memory, notices);
    FAIL() << "17 experts and 4 more slots do not fit 20 MiB";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
    EXPECT_THAT(error.what(), HasSubstr("17 experts of 1.0 MiB"));
    EXPECT_THAT(error.what(), HasSubstr("a card"));
  }
  memory.device_bytes = 4 * kMiB;
  EXPECT_THROW(resident_experts("all", kShape, memory, notices), Error);
}

TEST(ResidentExperts, EmulatedSlotsLeaveTheHostSomeMemory) {
  std::vector<std::string> notices;
  SlotMemory memory = slots_of(kMiB);
  memory.host_bytes = 40 * kMiB;
  EXPECT_EQ(resident_experts("all", kShape, memory, notices), 32);
  ASSERT_EQ(notices.size(), 1U);
  EXPECT_THAT(notices[0], HasSubstr("free memory"));
  EXPECT_THROW(resident_experts("33x", kShape, memory, notices), Error);
}

TEST(PinnedExperts, TheMostValuableOnesThatFit) {
  experts::Plan plan;
  plan.shape = kShape;
  plan.pinned = {{3, 15, 1}, {0, 2, 1}, {1, 0, 2}};
  std::vector<std::string> notices;
  EXPECT_THAT(pinned_experts(plan, kShape, 64, notices), testing::ElementsAre(63, 2, 16));
  EXPECT_THAT(notices, testing::IsEmpty());
  EXPECT_THAT(pinned_experts(plan, kShape, 2, notices), testing::ElementsAre(63, 2));
  EXPECT_EQ(notices.size(), 1U);
}

}  // namespace
}  // namespace haq::session
