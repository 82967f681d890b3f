// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/experts/expert_setup.h"

#include <algorithm>

#include "engine/experts/budget.h"

namespace haq::session {

namespace {

constexpr double kGiB = 1024.0 * 1024 * 1024;
/// Share of the free host memory that emulated slots may take; the rest is for the conversation.
constexpr double kHostShare = 0.8;

/// Experts for which there is memory, and what limits them.
struct Room {
  std::int64_t experts = 0;
  std::string what;
};

std::int64_t experts_in(double bytes, const SlotMemory& memory) {
  const double slots = bytes / static_cast<double>(std::max<std::size_t>(memory.slot_bytes, 1));
  return std::max<std::int64_t>(static_cast<std::int64_t>(slots) - memory.staging, 0);
}

Room room_for(const experts::ExpertShape& shape, const SlotMemory& memory) {
  Room room{shape.total(), ""};
  if (memory.device_bytes > 0) {
    const std::int64_t fits = experts_in(static_cast<double>(memory.device_bytes), memory);
    if (fits < room.experts) {
      room = {fits, fmt::format("{} of {}", format_bytes(memory.device_bytes), memory.device)};
    }
  }
  if (memory.host_bytes > 0) {
    const double usable = kHostShare * static_cast<double>(memory.host_bytes);
    const std::int64_t fits = experts_in(usable, memory);
    if (fits < room.experts) {
      room = {fits, fmt::format("{} of free memory that {} may use here",
                                format_bytes(static_cast<std::uint64_t>(usable)), memory.device)};
    }
  }
  return room;
}

}  // namespace

device::EmulatedOptions emulated_options(const ExpertOptions& options, int threads) {
  device::EmulatedOptions figures;
  if (!options.card.empty()) {
    const device::CardPreset& card = device::card_preset(options.card);
    figures.name = fmt::format("{} (emulated)", card.title);
    figures.memory_bytes = static_cast<std::size_t>(card.memory_gib * kGiB);
    figures.memory_gb_s = card.memory_gb_s;
    figures.tflops = card.int8_tops;
    figures.link_gb_s = card.link_gb_s;
  }
  const auto take = [](const char* name, const std::optional<double>& given, double& figure) {
    if (!given) return;
    if (!(*given >= 1e-3 && *given <= 1e6)) {
      throw Error(ErrorCode::kInvalidArgument, fmt::format("{} is {}", name, *given),
                  "use a value from 0.001 to 1000000");
    }
    figure = *given;
  };
  take("--link", options.link_gb_s, figures.link_gb_s);
  take("--emulate-gpu-tflops", options.emulate_tflops, figures.tflops);
  if (options.slot_type == "16bit") figures.hold = DType::kBF16;
  // The decoder's own threads compute at the same time.
  figures.threads = std::max(1, threads / 2);
  figures.max_isa = device::isa_limit_from_environment();
  return figures;
}

int resident_experts(const std::string& budget, const experts::ExpertShape& shape,
                     const SlotMemory& memory, std::vector<std::string>& notices) {
  int capacity = 0;
  try {
    capacity = experts::parse_budget(budget, shape.total(), static_cast<double>(memory.slot_bytes));
  } catch (const Error& error) {
    throw Error(error.code(), fmt::format("--vram: {}", error.what()), error.hint());
  }
  const Room room = room_for(shape, memory);
  if (capacity > room.experts) {
    const auto bytes = [&](std::int64_t experts) {
      return format_bytes(static_cast<std::uint64_t>(experts) * memory.slot_bytes);
    };
    if (budget != "all") {
      throw Error(
          ErrorCode::kOutOfMemory,
          fmt::format("--vram {} is {} experts of {}, together {}, beside {} slots for copies "
                      "under way, and {} holds {}",
                      budget, capacity, format_bytes(memory.slot_bytes), bytes(capacity),
                      memory.staging, room.what, room.experts),
          "choose a smaller budget, or all for as many as fit");
    }
    if (room.experts == 0) {
      fail(ErrorCode::kOutOfMemory, "no expert of {} fits into {}", format_bytes(memory.slot_bytes),
           room.what);
    }
    notices.push_back(fmt::format(
        "{} of {} experts ({} of {}) are kept resident: more do not fit into {}.", room.experts,
        shape.total(), bytes(room.experts), bytes(shape.total()), room.what));
    capacity = static_cast<int>(room.experts);
  }
  if (capacity > 0 && capacity < shape.top_k) {
    notices.push_back(fmt::format(
        "The budget holds {} experts, fewer than the {} that a token uses in one layer: "
        "few of them will be there when they are needed.",
        capacity, shape.top_k));
  }
  return capacity;
}

std::vector<experts::ExpertIndex> pinned_experts(const experts::Plan& plan,
                                                 const experts::ExpertShape& shape, int capacity,
                                                 std::vector<std::string>& notices) {
  const std::size_t fits = std::min(plan.pinned.size(), static_cast<std::size_t>(capacity));
  if (fits < plan.pinned.size()) {
    notices.push_back(fmt::format("The plan names {} experts; the budget keeps its first {}.",
                                  plan.pinned.size(), fits));
  }
  std::vector<experts::ExpertIndex> pinned;
  for (std::size_t i = 0; i < fits; ++i) {
    pinned.push_back(shape.index(plan.pinned[i].layer, plan.pinned[i].expert));
  }
  return pinned;
}

}  // namespace haq::session
