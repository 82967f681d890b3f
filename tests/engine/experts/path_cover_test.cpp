// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/path_cover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "tests/engine/experts/random_paths.h"
#include "tests/support/traces.h"

namespace haq::experts {
namespace {

using test::trace_of;
using testing::ElementsAre;
using testing::IsEmpty;

PathPart whole(const Trace& trace) {
  return {&trace, {{0, trace.batches.size()}}, trace.tokens()};
}

PathSet paths_of(const Trace& trace, int run_layers) {
  const PathPart part = whole(trace);
  const std::vector<std::vector<double>> weights = {{1.0}};
  return {{&part, 1}, run_layers, weights};
}

double covered(const PathSet& paths, const std::vector<ExpertIndex>& chosen, double share) {
  double sum = 0;
  for (std::size_t path = 0; path < paths.size(); ++path) {
    double have = 0;
    for (const ExpertIndex e : paths.members(path)) {
      have += static_cast<double>(std::count(chosen.begin(), chosen.end(), e));
    }
    const double cap = share * static_cast<double>(paths.members(path).size());
    sum += paths.weight(0, path) * std::min(have, cap);
  }
  return sum;
}

TEST(PathSet, JoinsEqualSetsWhateverTheirOrder) {
  const Trace trace = trace_of({1, 4, 2}, {0, 1, 1, 0, 2, 3});
  const PathSet paths = paths_of(trace, 1);
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_THAT(paths.members(0), ElementsAre(0, 1));
  EXPECT_EQ(paths.weight(0, 0), 2);
  EXPECT_THAT(paths.members(1), ElementsAre(2, 3));
  EXPECT_EQ(paths.tokens(), 3);
}

TEST(PathSet, CutsRunsAtBothEndsSoThatLayersCountAlike) {
  const Trace trace = trace_of({3, 2, 1}, {0, 1, 0});
  const PathSet paths = paths_of(trace, 2);
  ASSERT_EQ(paths.size(), 4U);
  EXPECT_THAT(paths.members(0), ElementsAre(0));
  EXPECT_THAT(paths.members(1), ElementsAre(0, 3));
  EXPECT_THAT(paths.members(2), ElementsAre(3, 4));
  EXPECT_THAT(paths.members(3), ElementsAre(4));
}

TEST(PathSet, LeavesOutWhatWasNotRecorded) {
  const Trace trace =
      trace_of({1, 4, 2}, {Trace::kAbsent, Trace::kAbsent, 3, Trace::kAbsent, 1, 0});
  const PathSet paths = paths_of(trace, 1);
  ASSERT_EQ(paths.size(), 2U);
  EXPECT_THAT(paths.members(0), ElementsAre(0, 1));
  EXPECT_THAT(paths.members(1), ElementsAre(3));
}

TEST(GreedyCover, PrefersPathsThatAreNotCoveredYet) {
  // Two tokens in three choose {0, 1}, one {2, 3}. With half a path enough, 0 covers the first kind
  // and 1 adds nothing.
  const Trace trace = trace_of({1, 4, 2}, {0, 1, 0, 1, 2, 3});
  EXPECT_THAT(greedy_cover(paths_of(trace, 1), 0, 0.5, 4), ElementsAre(0, 2));
  EXPECT_THAT(greedy_cover(paths_of(trace, 1), 0, 1.0, 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(greedy_cover(paths_of(trace, 1), 0, 1.0, 3), ElementsAre(0, 1, 2));
  EXPECT_THAT(greedy_cover(paths_of(trace, 1), 0, 1.0, 0), IsEmpty());
}

TEST(GreedyCover, EqualsGreedyChoiceByTrialOfEveryExpert) {
  for (unsigned seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    const Trace trace = random_paths({3, 6, 2}, 4, 10, seed);
    const PathSet paths = paths_of(trace, 1 + static_cast<int>(seed % 3));
    const double share = seed % 2 == 0 ? 0.75 : 0.375;
    std::vector<ExpertIndex> chosen;
    while (chosen.size() < 10) {
      ExpertIndex best = -1;
      double most = covered(paths, chosen, share) + 1e-9;
      for (ExpertIndex e = 0; e < trace.shape.total(); ++e) {
        std::vector<ExpertIndex> with = chosen;
        if (std::find(with.begin(), with.end(), e) != with.end()) continue;
        with.push_back(e);
        if (covered(paths, with, share) > most + 1e-9) {
          most = covered(paths, with, share);
          best = e;
        }
      }
      if (best < 0) break;
      chosen.push_back(best);
    }
    EXPECT_EQ(greedy_cover(paths, 0, share, 10), chosen);
  }
}

TEST(GreedyCover, ReachesItsShareOfTheBestSet) {
  for (unsigned seed = 0; seed < 8; ++seed) {
    const Trace trace = random_paths({2, 6, 2}, 2, 12, seed);
    const PathSet paths = paths_of(trace, 2);
    double best = 0;
    for (unsigned set = 0; set < (1U << 12); ++set) {
      if (__builtin_popcount(set) != 4) continue;
      std::vector<ExpertIndex> chosen;
      for (ExpertIndex e = 0; e < 12; ++e) {
        if ((set >> e & 1U) != 0) chosen.push_back(e);
      }
      best = std::max(best, covered(paths, chosen, 0.75));
    }
    EXPECT_GE(covered(paths, greedy_cover(paths, 0, 0.75, 4), 0.75), (1 - std::exp(-1)) * best);
  }
}

TEST(PathParts, ArePromptsWhenThereAreEnough) {
  const Trace first = random_paths({2, 4, 1}, 7, 3, 1), second = random_paths({2, 4, 1}, 5, 2, 2);
  const Trace* both[] = {&first, &second};
  const std::vector<PathPart> parts = path_parts(both);
  ASSERT_EQ(parts.size(), 12U);
  EXPECT_EQ(parts[6].tokens, 3);
  EXPECT_EQ(parts[7].trace, &second);
  EXPECT_EQ(parts[7].tokens, 2);
}

TEST(PathParts, AreBlocksOfTokensWhenPromptsAreFew) {
  const Trace trace = random_paths({2, 4, 1}, 2, 50, 1);
  const Trace* one[] = {&trace};
  const std::vector<PathPart> parts = path_parts(one);
  EXPECT_EQ(parts.size(), 20U);
  std::int64_t tokens = 0;
  for (const PathPart& part : parts) tokens += part.tokens;
  EXPECT_EQ(tokens, 100);
}

TEST(PathParts, CountTheDistinctExpertsOfAStep) {
  Trace trace = trace_of({1, 4, 2}, {0, 1, 1, 2, 1, Trace::kAbsent});
  trace.batches = {{0, 2, 0, false}, {2, 1, 0, true}};
  const PartAccesses counted = count_accesses(whole(trace));
  EXPECT_EQ(counted.total, 4);
  EXPECT_THAT(counted.uses,
              ElementsAre(testing::Pair(0, 1U), testing::Pair(1, 2U), testing::Pair(2, 1U)));
}

}  // namespace
}  // namespace haq::experts
