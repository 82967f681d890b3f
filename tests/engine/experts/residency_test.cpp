// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/residency.h"

#include <gtest/gtest.h>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

constexpr ExpertShape kShape{2, 4, 2};

TEST(Residency, FillsTheLowestSlotsFirstAndCountsUploads) {
  Residency residency(kShape, 3);
  residency.keep_changes(true);
  residency.admit(5);
  residency.admit(0);
  EXPECT_EQ(residency.slot_of(5), 0);
  EXPECT_EQ(residency.slot_of(0), 1);
  EXPECT_EQ(residency.used(), 2);
  EXPECT_EQ(residency.used_in_layer(0), 1);
  EXPECT_EQ(residency.used_in_layer(1), 1);
  EXPECT_EQ(residency.uploads(), 2);
  EXPECT_EQ(residency.evictions(), 0);
  ASSERT_EQ(residency.changes().size(), 2U);
  EXPECT_EQ(residency.changes()[1].expert, 0);
  EXPECT_EQ(residency.changes()[1].victim, -1);
}

TEST(Residency, ReplaceKeepsTheSlot) {
  Residency residency(kShape, 1);
  residency.admit(7);
  residency.keep_changes(true);
  residency.replace(7, 2);
  EXPECT_FALSE(residency.contains(7));
  EXPECT_EQ(residency.slot_of(2), 0);
  EXPECT_EQ(residency.occupant(0), 2);
  EXPECT_EQ(residency.used_in_layer(0), 1);
  EXPECT_EQ(residency.used_in_layer(1), 0);
  EXPECT_EQ(residency.evictions(), 1);
  ASSERT_EQ(residency.changes().size(), 1U);
  EXPECT_EQ(residency.changes()[0].victim, 7);
  EXPECT_EQ(residency.changes()[0].slot, 0);
  residency.reset_counts();
  EXPECT_EQ(residency.uploads(), 0);
  EXPECT_TRUE(residency.contains(2));
}

TEST(Residency, RefusesWhatCannotBe) {
  EXPECT_THROW(Residency(kShape, 9), Error);
  EXPECT_THROW(Residency(kShape, -1), Error);
  Residency residency(kShape, 1);
  residency.admit(3);
  EXPECT_THROW(residency.admit(4), Error);       // full
  EXPECT_THROW(residency.replace(4, 5), Error);  // not there
  EXPECT_THROW(residency.replace(3, 3), Error);  // there already
}

TEST(Shape, QuotasAddUpToTheCapacity) {
  const ExpertShape shape{5, 8, 2};
  for (int capacity = 0; capacity <= shape.total(); ++capacity) {
    int sum = 0;
    for (int layer = 0; layer < shape.layers; ++layer) sum += layer_quota(shape, capacity, layer);
    EXPECT_EQ(sum, capacity);
  }
  EXPECT_EQ(layer_quota(shape, 7, 1), 2);
  EXPECT_EQ(layer_quota(shape, 7, 2), 1);
}

}  // namespace
}  // namespace haq::experts
