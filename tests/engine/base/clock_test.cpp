// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/clock.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace haq {
namespace {

constexpr std::int64_t kLeapDay = 1709251199999;  ///< the last millisecond of 2024-02-29, UTC

/// The time zone of the process for as long as it lives.
class Zone {
 public:
  explicit Zone(const char* name) {
    if (const char* old = std::getenv("TZ")) old_ = old;
    set(name);
  }
  ~Zone() { set(old_.c_str()); }
  Zone(const Zone&) = delete;
  Zone& operator=(const Zone&) = delete;

 private:
  static void set(const char* name) {
    if (*name != '\0') {
      ::setenv("TZ", name, 1);
    } else {
      ::unsetenv("TZ");
    }
    ::tzset();
  }
  std::string old_;
};

TEST(Clock, TextsInUtcDoNotDependOnTheZone) {
  for (const char* name : {"UTC0", "HERE-5:30", "THERE8"}) {
    const Zone zone(name);
    EXPECT_EQ(utc_text(0), "1970-01-01T00:00:00Z") << name;
    EXPECT_EQ(utc_text(kLeapDay), "2024-02-29T23:59:59Z") << name;
    EXPECT_EQ(utc_file_text(kLeapDay), "20240229-235959") << name;
  }
}

TEST(Clock, LocalTextsFollowTheZone) {
  {
    const Zone zone("UTC0");
    EXPECT_EQ(local_text(kLeapDay), "2024-02-29 23:59");
  }
  {
    const Zone zone("HERE-5:30");
    EXPECT_EQ(local_text(kLeapDay), "2024-03-01 05:29");
  }
  {
    // An hour more from the last Sunday of March on.
    const Zone zone("CET-1CEST,M3.5.0,M10.5.0/3");
    EXPECT_EQ(local_text(kLeapDay), "2024-03-01 00:59");
    EXPECT_EQ(local_text(1711846800000), "2024-03-31 03:00");
  }
}

TEST(Clock, NowIsMilliseconds) {
  const auto before = static_cast<std::int64_t>(std::time(nullptr));
  const std::int64_t now = now_ms();
  const auto after = static_cast<std::int64_t>(std::time(nullptr));
  EXPECT_GE(now / 1000, before);
  EXPECT_LE(now / 1000, after + 1);  // time() may lag behind by a tick
}

}  // namespace
}  // namespace haq
