// SPDX-License-Identifier: GPL-3.0-or-later
#include <array>
#include <ctime>

#include "engine/text/jinja/builtins.h"

namespace haq::text::jinja {
namespace {

constexpr std::array<const char*, 7> kDays = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                              "Thursday", "Friday", "Saturday"};
constexpr std::array<const char*, 12> kMonths = {"January",   "February", "March",    "April",
                                                 "May",       "June",     "July",     "August",
                                                 "September", "October",  "November", "December"};

std::string short_name(const char* name) {
  return std::string(name).substr(0, 3);
}

/// Monday of ISO week 1 decides both the week's number and the year it belongs to.
void iso_week(const std::tm& t, int& year, int& week) {
  const int weekday = (t.tm_wday + 6) % 7;
  year = t.tm_year + 1900;
  week = (t.tm_yday - weekday + 10) / 7;
  const auto weeks_of = [&](int y) {
    const auto p = [](int x) { return (x + x / 4 - x / 100 + x / 400) % 7; };
    return p(y) == 4 || p(y - 1) == 3 ? 53 : 52;
  };
  if (week < 1) {
    --year;
    week = weeks_of(year);
  } else if (week > weeks_of(year)) {
    ++year;
    week = 1;
  }
}

}  // namespace

/// Written out rather than left to strftime: a chat's prompt must not depend on the locale that the
/// user interface has set.
std::string format_time(std::chrono::system_clock::time_point time, const std::string& format) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
                          time - std::chrono::system_clock::from_time_t(seconds))
                          .count();
  std::tm t{};
  localtime_r(&seconds, &t);
  const int hour12 = t.tm_hour % 12 == 0 ? 12 : t.tm_hour % 12;
  int iso_year = 0;
  int week = 0;
  iso_week(t, iso_year, week);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out += format[i];
      continue;
    }
    char code = format[++i];
    // glibc's flags: "-" leaves out the padding.
    const bool unpadded = code == '-' && i + 1 < format.size();
    if (unpadded) code = format[++i];
    const auto number = [&](int value, int width, char fill = '0') {
      std::string digits = std::to_string(value);
      while (!unpadded && static_cast<int>(digits.size()) < width) digits.insert(0, 1, fill);
      out += digits;
    };
    const auto again = [&](const char* pattern) { out += format_time(time, pattern); };
    switch (code) {
      case 'a':
        out += short_name(kDays[static_cast<std::size_t>(t.tm_wday)]);
        break;
      case 'A':
        out += kDays[static_cast<std::size_t>(t.tm_wday)];
        break;
      case 'b':
      case 'h':
        out += short_name(kMonths[static_cast<std::size_t>(t.tm_mon)]);
        break;
      case 'B':
        out += kMonths[static_cast<std::size_t>(t.tm_mon)];
        break;
      case 'c':
        again("%a %b %e %H:%M:%S %Y");
        break;
      case 'C':
        number((t.tm_year + 1900) / 100, 2);
        break;
      case 'd':
        number(t.tm_mday, 2);
        break;
      case 'D':
      case 'x':
        again("%m/%d/%y");
        break;
      case 'e':
        number(t.tm_mday, 2, ' ');
        break;
      case 'f':
        number(static_cast<int>(micros), 6);
        break;
      case 'F':
        again("%Y-%m-%d");
        break;
      case 'G':
        number(iso_year, 4);
        break;
      case 'H':
        number(t.tm_hour, 2);
        break;
      case 'I':
        number(hour12, 2);
        break;
      case 'j':
        number(t.tm_yday + 1, 3);
        break;
      case 'k':
        number(t.tm_hour, 2, ' ');
        break;
      case 'l':
        number(hour12, 2, ' ');
        break;
      case 'm':
        number(t.tm_mon + 1, 2);
        break;
      case 'M':
        number(t.tm_min, 2);
        break;
      case 'n':
        out += '\n';
        break;
      case 'p':
        out += t.tm_hour < 12 ? "AM" : "PM";
        break;
      case 'P':
        out += t.tm_hour < 12 ? "am" : "pm";
        break;
      case 'r':
        again("%I:%M:%S %p");
        break;
      case 'R':
        again("%H:%M");
        break;
      case 's':
        out += std::to_string(static_cast<long long>(seconds));
        break;
      case 'S':
        number(t.tm_sec, 2);
        break;
      case 't':
        out += '\t';
        break;
      case 'T':
      case 'X':
        again("%H:%M:%S");
        break;
      case 'u':
        number(t.tm_wday == 0 ? 7 : t.tm_wday, 1);
        break;
      case 'U':
        number((t.tm_yday + 7 - t.tm_wday) / 7, 2);
        break;
      case 'V':
        number(week, 2);
        break;
      case 'w':
        number(t.tm_wday, 1);
        break;
      case 'W':
        number((t.tm_yday + 7 - (t.tm_wday + 6) % 7) / 7, 2);
        break;
      case 'y':
        number(t.tm_year % 100, 2);
        break;
      case 'Y':
        number(t.tm_year + 1900, 4);
        break;
      case 'z':
      case 'Z':
        break;  // datetime.now() knows no time zone
      case '%':
        out += '%';
        break;
      default:
        out += '%';
        if (unpadded) out += '-';
        out += code;
    }
  }
  return out;
}

}  // namespace haq::text::jinja
