// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/error.h"
#include "engine/quant/report/report.h"

namespace haq::quant {

const char* to_string(Method method) {
  switch (method) {
    case Method::kHaq:
      return "haq";
    case Method::kGptq:
      return "gptq";
    case Method::kSmoothQuant:
      return "smoothquant";
    case Method::kRtn:
      break;
  }
  return "rtn";
}

Method parse_method(const std::string& name) {
  for (const Method method : {Method::kHaq, Method::kGptq, Method::kSmoothQuant, Method::kRtn}) {
    if (name == to_string(method)) return method;
  }
  fail(ErrorCode::kInvalidArgument, "method \"{}\": expected haq, gptq, smoothquant or rtn", name);
}

const char* to_string(RotateMode mode) {
  switch (mode) {
    case RotateMode::kAuto:
      return "auto";
    case RotateMode::kOn:
      return "on";
    case RotateMode::kOff:
      break;
  }
  return "off";
}

}  // namespace haq::quant
