// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

namespace haq {

/// Streaming 128-bit hash (XXH3-128), printed as 32 lower-case hex digits. Used for digests and
/// fingerprints, not for security. Copyable.
class Hash128 {
 public:
  Hash128();
  Hash128(const Hash128& other);
  Hash128& operator=(const Hash128& other);
  ~Hash128();
  void update(std::span<const std::byte> bytes);
  void update(const std::string& text);
  std::string hex() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace haq
