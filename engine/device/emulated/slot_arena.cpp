// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/emulated/slot_arena.h"

#include <cstring>
#include <new>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host/scratch.h"
#include "engine/device/numerics.h"

namespace haq::device::emulated {
namespace {

std::size_t arena_bytes(const SlotParts& parts, int slots) {
  if (slots <= 0 || parts.bytes == 0) {
    fail(ErrorCode::kInternal, "An arena of {} slots of {} bytes.", slots, parts.bytes);
  }
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(static_cast<std::size_t>(slots), parts.bytes, &bytes)) {
    fail(ErrorCode::kOutOfMemory, "{} slots of {} bytes exceed every memory.", slots, parts.bytes);
  }
  return bytes;
}

std::shared_ptr<std::byte> arena_memory(std::size_t bytes) {
  try {
    return host::allocate_aligned(bytes);
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::kOutOfMemory, "The host has no {} bytes for the slots of an emulated device.",
         bytes);
  }
}

/// w = q * scale, rounded to bfloat16.
void dequantize(const LinearWeights& source, std::uint16_t* to) {
  const auto* q = reinterpret_cast<const std::int8_t*>(source.weight.data);
  for (std::int64_t r = 0; r < source.out(); ++r) {
    const float scale = source.scale[static_cast<std::size_t>(r)];
    for (std::int64_t c = 0; c < source.in(); ++c) {
      const std::int64_t i = r * source.in() + c;
      to[i] = num::to_bf16_bits(num::mul(static_cast<float>(q[i]), scale));
    }
  }
}

std::vector<float> floats_at(const std::byte* from, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::memcpy(values.data(), from, values.size() * sizeof(float));
  return values;
}

}  // namespace

EmulatedArena::EmulatedArena(std::shared_ptr<EmulatedDevice> device, const SlotLayout& source,
                             int slots)
    : device_(std::move(device)),
      source_(source),
      layout_(device_->held_form(source)),
      parts_(slot_parts(layout_)),
      charge_(device_->budget().take(
          arena_bytes(parts_, slots),
          fmt::format("a cache of {} experts of {} bytes", slots, parts_.bytes))),
      memory_(arena_memory(arena_bytes(parts_, slots))),
      slots_(static_cast<std::size_t>(slots)) {}

EmulatedArena::~EmulatedArena() {
  device_->copies().cancel(this);
  device_->queue().drain();
}

EmulatedArena::Slot& EmulatedArena::at(int slot) {
  if (slot < 0 || slot >= slots()) {
    fail(ErrorCode::kInternal, "Slot {} of an arena of {}.", slot, slots());
  }
  return slots_[static_cast<std::size_t>(slot)];
}

void EmulatedArena::check_form(const ExpertWeights& source) const {
  SlotLayout form = slot_layout(source, source_.path, layout_.activation, layout_.limit);
  if (form == source_) return;
  form.path = layout_.path;
  if (form == layout_) return;
  fail(ErrorCode::kInternal, "{}: an expert of another form than the slots of its device.",
       source.up_name);
}

void EmulatedArena::upload(int slot, std::shared_ptr<const ExpertWeights> source) {
  Slot& s = at(slot);
  if (source == nullptr) fail(ErrorCode::kInternal, "No weights for slot {}.", slot);
  check_form(*source);
  std::uint64_t number = 0;
  {
    std::lock_guard lock(mutex_);
    number = ++s.ordered;
    s.ffn = {};
    s.error = nullptr;
  }
  Link::Copy copy;
  copy.owner = this;
  copy.bytes = parts_.bytes;
  copy.move = [this, slot, source = std::move(source)] {
    Slot& to = slots_[static_cast<std::size_t>(slot)];
    to.failure = nullptr;
    try {
      to.moved = fill(slot, *source);
    } catch (...) {
      to.moved = {};
      to.failure = std::current_exception();
    }
  };
  copy.arrive = [this, slot, number] { arrive(slot, number); };
  device_->copies().submit(std::move(copy));
}

void EmulatedArena::arrive(int slot, std::uint64_t number) {
  Slot& s = slots_[static_cast<std::size_t>(slot)];
  {
    std::lock_guard lock(mutex_);
    if (s.ordered != number) return;  // a later upload is on its way
    s.ffn = std::move(s.moved);
    s.error = s.failure;
    s.present = number;
  }
  arrival_.notify_all();
}

const FfnSpec& EmulatedArena::ffn(int slot) {
  Slot& s = at(slot);
  std::unique_lock lock(mutex_);
  if (s.ordered == 0) fail(ErrorCode::kInternal, "Nothing was ever copied into slot {}.", slot);
  arrival_.wait(lock, [&] { return s.present == s.ordered; });
  if (s.error != nullptr) std::rethrow_exception(s.error);
  return s.ffn;
}

bool EmulatedArena::arrived(int slot) const {
  const Slot& s = const_cast<EmulatedArena*>(this)->at(slot);
  std::lock_guard lock(mutex_);
  return s.ordered > 0 && s.present == s.ordered;
}

FfnSpec EmulatedArena::fill(int slot, const ExpertWeights& source) {
  std::byte* to = memory_.get() + static_cast<std::size_t>(slot) * parts_.bytes;
  FfnSpec ffn;
  ffn.activation = layout_.activation;
  ffn.limit = layout_.limit;
  if (layout_.gate) ffn.gate = place(source.gate, source.gate_name, parts_.gate, to);
  ffn.up = place(source.up, source.up_name, parts_.up, to);
  ffn.down = place(source.down, source.down_name, parts_.down, to);
  return ffn;
}

std::shared_ptr<const Linear> EmulatedArena::place(const LinearWeights& source,
                                                   const std::string& name,
                                                   const SlotParts::Matrix& part, std::byte* slot) {
  std::byte* weight = slot + part.weight;
  if (source.weight.dtype == layout_.dtype) {
    std::memcpy(weight, source.weight.data, source.weight.bytes());
  } else {
    dequantize(source, reinterpret_cast<std::uint16_t*>(weight));
  }
  const std::size_t row_floats = static_cast<std::size_t>(part.out) * sizeof(float);
  LinearWeights held;
  held.weight = {layout_.dtype, part.out, part.in, weight, memory_, false};
  if (layout_.dtype == DType::kI8) {
    std::memcpy(slot + part.scale, source.scale.data(), row_floats);
    held.scale = floats_at(slot + part.scale, part.out);
  }
  if (layout_.bias) {
    std::memcpy(slot + part.bias, source.bias.data(), row_floats);
    held.bias = floats_at(slot + part.bias, part.out);
  }
  return std::make_shared<EmulatedLinear>(device_->host().prepare(held, layout_.path, name),
                                          Budget::Charge());
}

}  // namespace haq::device::emulated
