// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "engine/base/progress.h"
#include "engine/session/session.h"

namespace haq::session {

struct LogitsOptions {
  bool hidden = false;  ///< also hidden states and routing
};

struct LogitsResult {
  std::int64_t tokens = 0;
  std::string digest;                ///< Hash128 over all rows of `logits`
  std::vector<std::string> tensors;  ///< names in the file
};

/// Runs `ids` (as they are, from an empty cache) and writes a safetensors file: `logits` [T, vocab]
/// F32; with `hidden` also `hidden.in`, `hidden.N`, `hidden.final` [T, hidden] F32 and, per layer
/// with experts, `router_logits.N` [T, experts] F32, `topk_ids.N` [T, top_k] I32, `topk_weights.N`
/// [T, top_k] F32. Logits go to the file chunk by chunk, hidden states are kept until the end. The
/// file appears only when it is complete. Throws kLimit for more ids than the context holds,
/// kInvalidArgument for ids outside the vocabulary, kIo / kNoSpace, kCancelled.
LogitsResult write_logits(Model& model, std::span<const std::int32_t> ids,
                          const std::filesystem::path& out, const LogitsOptions& options = {},
                          const ProgressCallback& progress = {}, const CancelToken& cancel = {});

}  // namespace haq::session
