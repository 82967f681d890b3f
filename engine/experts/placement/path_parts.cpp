// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/placement/path_parts.h"

#include <algorithm>
#include <map>
#include <random>

namespace haq::experts {
namespace {

std::vector<PathPart> by_prompt(std::span<const Trace* const> paths) {
  std::vector<PathPart> parts;
  for (const Trace* trace : paths) {
    std::map<std::int32_t, std::size_t> known;  // prompt -> part
    for (std::size_t i = 0; i < trace->batches.size(); ++i) {
      const Trace::Batch& batch = trace->batches[i];
      const auto [place, added] = known.try_emplace(batch.prompt, parts.size());
      if (added) parts.push_back({trace, {}, 0});
      PathPart& part = parts[place->second];
      part.tokens += batch.tokens;
      if (!part.batches.empty() && part.batches.back().second == i) {
        ++part.batches.back().second;
      } else {
        part.batches.emplace_back(i, i + 1);
      }
    }
  }
  return parts;
}

/// Blocks of at least `tokens` tokens; one that would cross two prompts ends with the first.
std::vector<PathPart> into_blocks(const std::vector<PathPart>& prompts, std::int64_t tokens) {
  std::vector<PathPart> blocks;
  for (const PathPart& prompt : prompts) {
    PathPart block{prompt.trace, {}, 0};
    for (const auto& [first, last] : prompt.batches) {
      std::size_t begin = first;
      for (std::size_t i = first; i < last; ++i) {
        block.tokens += prompt.trace->batches[i].tokens;
        if (block.tokens < tokens) continue;
        block.batches.emplace_back(begin, i + 1);
        blocks.push_back(std::move(block));
        block = {prompt.trace, {}, 0};
        begin = i + 1;
      }
      if (begin < last) block.batches.emplace_back(begin, last);
    }
    if (block.tokens > 0) blocks.push_back(std::move(block));
  }
  return blocks;
}

}  // namespace

std::vector<PathPart> path_parts(std::span<const Trace* const> paths) {
  std::vector<PathPart> prompts = by_prompt(paths);
  if (prompts.size() >= kFewPrompts) return prompts;
  std::int64_t tokens = 0;
  for (const PathPart& prompt : prompts) tokens += prompt.tokens;
  return into_blocks(prompts, (tokens + kPartsOfFew - 1) / kPartsOfFew);
}

PartAccesses count_accesses(const PathPart& part) {
  const Trace& trace = *part.trace;
  const ExpertShape& shape = trace.shape;
  std::vector<std::uint32_t> uses(static_cast<std::size_t>(shape.total()), 0);
  std::vector<std::int64_t> last_step(static_cast<std::size_t>(shape.experts), -1);
  std::int64_t step = 0;
  PartAccesses found;
  for (const auto& [first, last] : part.batches) {
    for (std::size_t i = first; i < last; ++i) {
      const Trace::Batch& batch = trace.batches[i];
      for (int layer = 0; layer < shape.layers; ++layer, ++step) {
        for (std::int64_t token = batch.first_token; token < batch.first_token + batch.tokens;
             ++token) {
          for (const std::uint16_t expert : trace.choices(token, layer)) {
            if (expert == Trace::kAbsent || last_step[expert] == step) continue;
            last_step[expert] = step;
            ++uses[static_cast<std::size_t>(shape.index(layer, expert))];
            ++found.total;
          }
        }
      }
    }
  }
  for (std::size_t i = 0; i < uses.size(); ++i) {
    if (uses[i] > 0) found.uses.emplace_back(static_cast<ExpertIndex>(i), uses[i]);
  }
  return found;
}

std::vector<std::vector<std::uint32_t>> resamples(std::size_t parts, int draws) {
  std::mt19937_64 random(20250810);  // a fixed seed: the same paths give the same interval
  std::vector<std::vector<std::uint32_t>> all(static_cast<std::size_t>(draws));
  for (std::vector<std::uint32_t>& draw : all) {
    draw.resize(parts);
    for (std::uint32_t& part : draw) part = static_cast<std::uint32_t>(random() % parts);
  }
  return all;
}

}  // namespace haq::experts
