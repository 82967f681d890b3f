// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/run_progress.h"

#include <gtest/gtest.h>

#include <vector>

namespace haq::quant {
namespace {

using Clock = RunProgress::Clock;

struct Seen {
  std::vector<std::uint64_t> done;
  std::string stage;
  ProgressCallback callback() {
    return [this](const Progress& progress) {
      EXPECT_EQ(progress.total, 1000U);
      if (!done.empty()) {
        EXPECT_GE(progress.done, done.back());
      }
      done.push_back(progress.done);
      stage = progress.stage;
    };
  }
};

RunProgress::Expected some_seconds() {
  RunProgress::Expected expected;
  expected.layers = 4;
  expected.reading = 1;
  expected.rotation = 2;
  expected.layer = 3;
  expected.skipped_layer = 0.3;
  expected.writing = 1;
  return expected;
}

TEST(RunProgress, GrowsAndEndsOnlyAtTheEnd) {
  Seen seen;
  RunProgress progress(seen.callback(), [] { return Clock::duration{}; });
  progress.expect(some_seconds());
  progress.begin_reading();
  progress.report("reading", 0);
  progress.report("reading", 1);
  progress.begin_rotation();
  progress.part()({"trying", 3, 4, "trials"});
  EXPECT_EQ(seen.stage, "trying");
  for (int layer = 0; layer < 4; ++layer) {
    progress.begin_layer(layer, layer == 0);
    progress.part("layer: ")({"solving", 1, 2, "modules"});
    progress.report("back", 0.1);
    progress.report("over", 7);
  }
  progress.begin_writing();
  progress.report("writing", 1);
  EXPECT_LT(seen.done.back(), 1000U);
  progress.finish();
  EXPECT_EQ(seen.done.back(), 1000U);
}

TEST(RunProgress, APauseIsNoWork) {
  Seen working, halted;
  // As if a run had been halted since long before it began: no time is left for work.
  RunProgress run(working.callback(), [] { return Clock::duration{}; });
  RunProgress pause(halted.callback(), [start = Clock::now()] { return Clock::now() - start; });
  for (RunProgress* progress : {&run, &pause}) {
    RunProgress::Expected expected = some_seconds();
    expected.reading = expected.rotation = expected.layer = expected.writing = 1e-9;
    progress->expect(expected);
    progress->begin_writing();
  }
  while (working.done.empty() || working.done.back() < 900) run.report("writing", 0.1);
  pause.report("writing", 0.1);
  EXPECT_LT(halted.done.back(), working.done.back());
}

TEST(RunProgress, WithoutAListenerNothingIsCalled) {
  RunProgress progress({}, [] { return Clock::duration{}; });
  progress.begin_reading();
  progress.report("reading", 0.5);
  EXPECT_FALSE(progress.part());
  progress.finish();
}

}  // namespace
}  // namespace haq::quant
