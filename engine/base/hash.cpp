// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/base/hash.h"

#include <fmt/format.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace haq {

struct Hash128::State {
  XXH3_state_t value;
};

Hash128::Hash128() : state_(std::make_unique<State>()) { XXH3_128bits_reset(&state_->value); }
Hash128::Hash128(const Hash128& other) : state_(std::make_unique<State>()) {
  XXH3_copyState(&state_->value, &other.state_->value);
}
Hash128& Hash128::operator=(const Hash128& other) {
  XXH3_copyState(&state_->value, &other.state_->value);
  return *this;
}
Hash128::~Hash128() = default;

void Hash128::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(&state_->value, bytes.data(), bytes.size());
}

void Hash128::update(const std::string& text) {
  update(std::as_bytes(std::span<const char>(text.data(), text.size())));
}

std::string Hash128::hex() const {
  const XXH128_hash_t value = XXH3_128bits_digest(&state_->value);
  return fmt::format("{:016x}{:016x}", value.high64, value.low64);
}

}  // namespace haq
