// SPDX-License-Identifier: GPL-3.0-or-later
#include <cstdint>

#include "engine/device/numerics.h"

#define HAQ_INLINE [[gnu::always_inline]] inline

namespace haq::device::host {
namespace {

using IntLanes = std::int32_t;
struct ByteLanes {
  const std::int8_t* p;
  int n;
};
constexpr int kStep = 64, kIntRows = 2, kIntCols = 2;
constexpr std::uint32_t kWeightOffset = 0;

HAQ_INLINE IntLanes int_zero() {
  return 0;
}
HAQ_INLINE ByteLanes load_x(const std::int8_t* p) {
  return {p, kStep};
}
HAQ_INLINE ByteLanes load_w(const std::int8_t* p) {
  return {p, kStep};
}
HAQ_INLINE ByteLanes load_w_n(const std::int8_t* p, int n) {
  return {p, n};
}
HAQ_INLINE IntLanes int_dot(IntLanes acc, ByteLanes w, ByteLanes x) {
  for (int i = 0; i < w.n; ++i) acc += static_cast<std::int32_t>(w.p[i]) * x.p[i];
  return acc;
}
HAQ_INLINE IntLanes int_add(IntLanes a, IntLanes b) {
  return a + b;
}
HAQ_INLINE std::int32_t int_join(IntLanes a) {
  return a;
}

}  // namespace
}  // namespace haq::device::host

#include "engine/device/host/kernels_int8.h"

namespace haq::device::host {

const Int8Table& scalar_int8() {
  static constexpr Int8Table kInt8{"scalar", int8_gemm, kIntRows};
  return kInt8;
}

}  // namespace haq::device::host
