// SPDX-License-Identifier: GPL-3.0-or-later
// Any bytes as a safetensors file: either an Error, or a header that keeps its promises.
#include <cstdlib>

#include "engine/base/error.h"
#include "engine/model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using haq::model::SafetensorsHeader;
  try {
    const auto header =
        SafetensorsHeader::parse({reinterpret_cast<const std::byte*>(data), size}, "input");
    std::size_t covered = header.data_start;
    for (const auto& [name, tensor] : header.tensors) {
      if (tensor.begin > tensor.end || tensor.end > size - header.data_start) std::abort();
      covered += tensor.bytes();
    }
    if (covered != size) std::abort();
  } catch (const haq::Error&) {
    // refused, as most inputs should be
  }
  return 0;
}
