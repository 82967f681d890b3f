// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace haq::text {

/// Rewrites a pattern written for Oniguruma (the engine that tokenizer.json files assume) so that
/// PCRE2 with UTF, UCP and MULTILINE means the same: \s, \w, \b and \h by the Unicode properties of
/// Oniguruma, (?m) as "dot matches newline", nested classes and && as look-aheads, scripts without
/// their extensions. Throws kUnsupported naming the construct it cannot express; `what` names the
/// place of the pattern.
std::string to_pcre2_syntax(std::string_view pattern, std::string_view what);

}  // namespace haq::text
