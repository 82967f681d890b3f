// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

namespace haq::device::host {

struct FreeDeleter {
  void operator()(void* p) const { std::free(p); }  // NOLINT(cppcoreguidelines-no-malloc)
};

/// 64-byte aligned, uninitialised. Throws std::bad_alloc.
inline std::unique_ptr<std::byte, FreeDeleter> allocate_aligned(std::size_t bytes) {
  const std::size_t rounded = (bytes + 63) / 64 * 64;
  auto* p = static_cast<std::byte*>(std::aligned_alloc(64, rounded == 0 ? 64 : rounded));
  if (p == nullptr) throw std::bad_alloc();
  return std::unique_ptr<std::byte, FreeDeleter>(p);
}

/// Memory that only grows and is reused from call to call; contents do not survive growth.
class Scratch {
 public:
  template <class T>
  T* get(std::size_t count) {
    const std::size_t bytes = count * sizeof(T);
    if (bytes > capacity_) {
      memory_.reset();
      capacity_ = 0;
      const std::size_t grown = bytes + bytes / 4;
      memory_ = allocate_aligned(grown);
      capacity_ = grown;
    }
    return reinterpret_cast<T*>(memory_.get());
  }

 private:
  std::unique_ptr<std::byte, FreeDeleter> memory_;
  std::size_t capacity_ = 0;
};

}  // namespace haq::device::host
