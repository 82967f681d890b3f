// SPDX-License-Identifier: GPL-3.0-or-later
#include <utf8proc.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/normalizer.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

std::string decode_base64(std::string_view text, const Fields& fields) {
  std::array<int, 256> value;
  value.fill(-1);
  constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < kAlphabet.size(); ++i) {
    value[static_cast<unsigned char>(kAlphabet[i])] = static_cast<int>(i);
  }
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  std::string out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int six = value[static_cast<unsigned char>(c)];
    if (six < 0) fields.wrong("precompiled_charsmap", "base64");
    bits = (bits << 6) | static_cast<std::uint32_t>(six);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<char>((bits >> count) & 0xFFu));
    }
  }
  return out;
}

/// A Darts double-array trie from byte strings to offsets into a pool of NUL-terminated
/// replacements, as SentencePiece stores its normalization rules.
class Precompiled final : public Normalizer {
 public:
  explicit Precompiled(const Fields& fields) {
    fields.allow({"type", "precompiled_charsmap"});
    const std::string blob = decode_base64(fields.text("precompiled_charsmap"), fields);
    if (blob.empty()) return;  // no rules
    std::uint32_t trie_bytes = 0;
    if (blob.size() >= 4) std::memcpy(&trie_bytes, blob.data(), 4);
    if (blob.size() < 4 || trie_bytes % 4 != 0 || trie_bytes > blob.size() - 4) {
      fail(ErrorCode::kCorrupt, "{}: precompiled_charsmap: a trie of {} bytes in a table of {}",
           fields.place(), trie_bytes, blob.size());
    }
    units_.resize(trie_bytes / 4);
    if (trie_bytes > 0) std::memcpy(units_.data(), blob.data() + 4, trie_bytes);
    replacements_ = blob.substr(4 + trie_bytes);
    if (!is_valid_utf8(replacements_)) {
      fail(ErrorCode::kCorrupt, "{}: precompiled_charsmap: replacements that are not UTF-8",
           fields.place());
    }
  }

  void apply(Normalized& text) const override {
    std::string out;
    out.reserve(text.text.size());
    std::size_t lead = 0;
    for (std::size_t begin = 0; begin < text.text.size();) {
      const std::size_t end = grapheme_end(text.text, begin);
      rewrite(std::string_view(text.text).substr(begin, end - begin),
              text.lead - std::min(text.lead, begin), out, lead);
      begin = end;
    }
    text.text = std::move(out);
    text.lead = lead;
  }

 private:
  static std::size_t grapheme_end(std::string_view text, std::size_t begin) {
    std::size_t pos = begin;
    char32_t previous = next_char(text, pos);
    utf8proc_int32_t state = 0;
    while (pos < text.size()) {
      std::size_t after = pos;
      const char32_t c = next_char(text, after);
      if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(previous),
                                           static_cast<utf8proc_int32_t>(c), &state)) {
        break;
      }
      previous = c;
      pos = after;
    }
    return pos;
  }

  /// Short grapheme clusters are looked up as a whole, everything else character by character.
  /// `input_lead`: bytes of the cluster that stem from the first character of the input.
  void rewrite(std::string_view cluster, std::size_t input_lead, std::string& out,
               std::size_t& lead) const {
    if (cluster.size() < 6) {
      if (const auto found = lookup(cluster)) {
        out += *found;
        if (input_lead > 0) lead = out.size();
        return;
      }
    }
    for (std::size_t pos = 0; pos < cluster.size();) {
      const std::size_t begin = pos;
      next_char(cluster, pos);
      const std::string_view one = cluster.substr(begin, pos - begin);
      out += lookup(one).value_or(one);
      if (begin < input_lead) lead = out.size();
    }
  }

  /// The replacement of the *shortest* prefix that has a rule: what the trained models were fed.
  std::optional<std::string_view> lookup(std::string_view key) const {
    std::size_t node = 0;
    if (units_.empty()) return std::nullopt;
    node ^= offset(units_[0]);
    for (const char byte : key) {
      const auto c = static_cast<unsigned char>(byte);
      if (c == 0) return std::nullopt;
      node ^= c;
      if (node >= units_.size()) return std::nullopt;
      const std::uint32_t unit = units_[node];
      if ((unit & 0x800000FFu) != c) return std::nullopt;
      node ^= offset(unit);
      if (node >= units_.size()) return std::nullopt;
      if (((unit >> 8) & 1u) != 0) {
        const std::size_t at = units_[node] & 0x7FFFFFFFu;
        if (at > replacements_.size() ||
            (at < replacements_.size() &&
             (static_cast<unsigned char>(replacements_[at]) & 0xC0u) == 0x80u)) {
          return std::nullopt;
        }
        return std::string_view(replacements_.c_str() + at);
      }
    }
    return std::nullopt;
  }

  static std::size_t offset(std::uint32_t unit) {
    return static_cast<std::size_t>(unit >> 10) << ((unit & (1u << 9)) >> 6);
  }

  std::vector<std::uint32_t> units_;
  std::string replacements_;
};

}  // namespace

std::unique_ptr<const Normalizer> make_precompiled_normalizer(const Fields& fields) {
  return std::make_unique<Precompiled>(fields);
}

}  // namespace haq::text
