// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

/// The memory of an emulated device: how much of it is in use, and its addresses.
namespace haq::device::emulated {

/// Counts bytes against a limit. Thread-safe.
class Budget : public std::enable_shared_from_this<Budget> {
 public:
  /// limit 0: none.
  Budget(std::string device, std::size_t limit) : device_(std::move(device)), limit_(limit) {}

  /// Bytes in use until the charge ends. A charge of 0 bytes owns nothing.
  class Charge {
   public:
    Charge() = default;
    Charge(std::shared_ptr<Budget> budget, std::size_t bytes)
        : budget_(std::move(budget)), bytes_(bytes) {}
    Charge(Charge&& other) noexcept
        : budget_(std::move(other.budget_)), bytes_(std::exchange(other.bytes_, 0)) {}
    Charge& operator=(Charge&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Charge() {
      if (budget_ != nullptr) budget_->give_back(bytes_);
    }

   private:
    std::shared_ptr<Budget> budget_;
    std::size_t bytes_ = 0;
  };

  /// Throws kOutOfMemory with the numbers, `what` being what the bytes are for.
  Charge take(std::size_t bytes, const std::string& what);
  std::size_t used() const;

 private:
  void give_back(std::size_t bytes);

  const std::string device_;
  const std::size_t limit_;
  mutable std::mutex mutex_;
  std::size_t used_ = 0;
};

/// Device addresses and the host memory that stands behind them. An address range is reserved and
/// never readable, so that host code that takes a device address for its own stops at once, and an
/// operation on memory of another device is found. Thread-safe.
class AddressSpace {
 public:
  /// Throws kOutOfMemory.
  void* add(std::byte* host, std::size_t bytes);
  void remove(void* address);
  /// The host memory behind [address, address + bytes); kInternal naming the operation when the
  /// range does not lie in one buffer of the device.
  std::byte* host(const void* address, std::size_t bytes, const char* operation) const;

 private:
  struct Range {
    std::byte* host;
    std::size_t bytes, reserved;
  };
  mutable std::mutex mutex_;
  std::map<std::uintptr_t, Range> ranges_;
};

}  // namespace haq::device::emulated
