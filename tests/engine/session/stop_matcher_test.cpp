// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/stop_matcher.h"

#include <gtest/gtest.h>

#include <random>

#include "engine/base/error.h"

namespace haq::session {
namespace {

TEST(StopMatcher, WithoutStopStringsNothingIsHeld) {
  StopMatcher matcher({});
  EXPECT_EQ(matcher.push("abc"), "abc");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, FindsAStopStringAcrossPieces) {
  StopMatcher matcher({"\nUser:"});
  EXPECT_EQ(matcher.push("Hello\n"), "Hello");
  EXPECT_EQ(matcher.push("Us"), "");
  EXPECT_EQ(matcher.push("er: more"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("later"), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, ReleasesAFalseStart) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("aE"), "a");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("ENx"), "ENENx");
  EXPECT_EQ(matcher.push("E"), "");
  EXPECT_EQ(matcher.flush(), "E");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, TheEarliestOfSeveralWins) {
  StopMatcher matcher({"world", "lo w"});
  EXPECT_EQ(matcher.push("hello world"), "hel");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, RefusesAnEmptyStopString) {
  EXPECT_THROW(StopMatcher({"a", ""}), Error);
}

TEST(StopMatcher, EqualsASearchInTheWholeTextHoweverItIsCut) {
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 24; ++i) text += static_cast<char>('a' + random() % 2);
    std::vector<std::string> stops;
    for (int s = 0; s < 2; ++s) {
      std::string stop;
      for (unsigned n = 2 + random() % 5; n > 0; --n) stop += static_cast<char>('a' + random() % 2);
      stops.push_back(stop);
    }
    StopMatcher matcher(stops);
    std::string shown;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t n = std::min<std::size_t>(1 + random() % 4, text.size() - at);
      shown += matcher.push(std::string_view(text).substr(at, n));
      at += n;
      // Nothing of a stop string may be on the screen at any moment.
      for (const std::string& stop : stops) ASSERT_EQ(shown.find(stop), std::string::npos);
    }
    shown += matcher.flush();
    // The first stop string that is complete ends the text; with several ending at the same piece
    // the earliest start wins.
    if (!matcher.matched()) {
      ASSERT_EQ(shown, text);
    } else {
      ASSERT_TRUE(text.starts_with(shown));
      ASSERT_TRUE(text.substr(shown.size()).starts_with(stops[0]) ||
                  text.substr(shown.size()).starts_with(stops[1]));
    }
  }
}

}  // namespace
}  // namespace haq::session
