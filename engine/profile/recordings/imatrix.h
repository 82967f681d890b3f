// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <filesystem>

#include "engine/profile/recordings/recording_import.h"

namespace haq::profile {

/// The counts per expert of an importance matrix of llama.cpp in its GGUF form: tensors
/// blk.N.ffn_{gate,up,down,gate_up}_exps.weight.counts, one value per expert: how many tokens of
/// the calibration text chose it. Errors as read_recording_file().
ImportedRecording read_imatrix(const std::filesystem::path& path, const TraceHints& hints);

/// Throws kUnsupported when the file is an importance matrix of the older, binary form: that one
/// was divided by its counts and does not hold them. Else does nothing.
void refuse_older_imatrix(const std::filesystem::path& path);

}  // namespace haq::profile
