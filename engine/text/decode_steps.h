// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <optional>

#include "engine/text/decoder.h"
#include "engine/text/fields.h"

namespace haq::text {

/// The step that `fields` describes, or nothing for a type that is not known.
std::optional<Decoder::Step> parse_decode_step(const Fields& fields);

/// Joins tokens with blanks: what happens without a decoder.
Decoder::Step join_with_blanks();

/// Collects the bits of one token and hands it on whole at the end.
std::unique_ptr<DecodeStep> make_gather();

}  // namespace haq::text
