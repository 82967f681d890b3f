// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/budget.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <string_view>

#include "engine/base/error.h"

namespace haq::experts {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw Error(
      ErrorCode::kInvalidArgument, fmt::format("budget \"{}\" is not understood", text),
      "Use 0, all, 96x (experts), 25% (of all experts), or bytes with a unit: 8GiB, 512MiB.");
}

double bytes_per(std::string_view unit) {
  if (unit == "B") return 1;
  if (unit == "KiB") return 1024;
  if (unit == "MiB") return 1024.0 * 1024;
  if (unit == "GiB") return 1024.0 * 1024 * 1024;
  return 0;
}

}  // namespace

int parse_budget(const std::string& text, int total, double expert_bytes) {
  if (text == "0") return 0;
  if (text == "all") return total;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) refuse(text);
  const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
  double experts = 0;
  if (unit == "x") {
    if (number != std::floor(number)) refuse(text);
    experts = number;
    if (experts > total) {
      fail(ErrorCode::kInvalidArgument, "budget \"{}\": the model has {} experts", text, total);
    }
  } else if (unit == "%") {
    if (number > 100) refuse(text);
    experts = std::floor(number / 100 * total);
  } else if (const double bytes = bytes_per(unit); bytes > 0) {
    if (expert_bytes <= 0) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("budget \"{}\": the bytes of an expert are not known", text),
                  "Say them, or give the budget in experts (96x) or percent.");
    }
    experts = std::floor(number * bytes / expert_bytes);
  } else {
    refuse(text);
  }
  if (experts < 1 && number > 0) {
    fail(ErrorCode::kInvalidArgument, "budget \"{}\" buys no expert: one of {} is needed", text,
         unit == "%" ? fmt::format("{}", total) : fmt::format("{:.0f} bytes", expert_bytes));
  }
  return static_cast<int>(std::min<double>(experts, total));
}

}  // namespace haq::experts
