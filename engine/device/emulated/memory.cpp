// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/emulated/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "engine/base/error.h"

namespace haq::device::emulated {

Budget::Charge Budget::take(std::size_t bytes, const std::string& what) {
  std::lock_guard lock(mutex_);
  if (limit_ > 0 && (used_ > limit_ || bytes > limit_ - used_)) {
    throw Error(ErrorCode::kOutOfMemory,
                fmt::format("{}: {} needs {} bytes, but {} of the device's {} bytes are in use.",
                            device_, what, bytes, used_, limit_),
                "ask for fewer experts on the device, or for a device with more memory");
  }
  used_ += bytes;
  return {shared_from_this(), bytes};
}

std::size_t Budget::used() const {
  std::lock_guard lock(mutex_);
  return used_;
}

void Budget::give_back(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  used_ -= bytes;
}

void* AddressSpace::add(std::byte* host, std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t reserved = (std::max<std::size_t>(bytes, 1) + page - 1) / page * page;
  void* address =
      mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) {
    fail(ErrorCode::kOutOfMemory, "No addresses for a buffer of {} bytes on an emulated device.",
         bytes);
  }
  std::lock_guard lock(mutex_);
  ranges_[reinterpret_cast<std::uintptr_t>(address)] = {host, bytes, reserved};
  return address;
}

void AddressSpace::remove(void* address) {
  std::size_t reserved = 0;
  {
    std::lock_guard lock(mutex_);
    const auto found = ranges_.find(reinterpret_cast<std::uintptr_t>(address));
    if (found == ranges_.end()) return;
    reserved = found->second.reserved;
    ranges_.erase(found);
  }
  munmap(address, reserved);
}

std::byte* AddressSpace::host(const void* address, std::size_t bytes, const char* operation) const {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  std::lock_guard lock(mutex_);
  auto range = ranges_.upper_bound(at);
  if (range != ranges_.begin()) {
    --range;
    const std::uintptr_t offset = at - range->first;
    if (offset <= range->second.bytes && bytes <= range->second.bytes - offset) {
      return range->second.host + offset;
    }
  }
  fail(ErrorCode::kInternal, "{}: {} bytes that are not memory of the emulated device.", operation,
       bytes);
}

}  // namespace haq::device::emulated
