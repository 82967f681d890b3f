// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <string>

#include "engine/text/chat_template.h"

namespace haq::text {
namespace {

constexpr Tokenizer::EncodeOptions kWithSpecials{.add_special = false, .parse_special = true};
constexpr Tokenizer::EncodeOptions kPlain{.add_special = false, .parse_special = false};

/// The whole prompt and the byte ranges of it, ascending, that the template wrote.
struct Prompt {
  struct Range {
    std::size_t begin;
    std::size_t end;
  };
  std::string text;
  std::vector<Range> template_ranges;

  explicit Prompt(const std::vector<PromptPiece>& pieces) {
    for (const PromptPiece& piece : pieces) {
      const std::size_t begin = text.size();
      text += piece.text;
      if (piece.from_message || piece.text.empty()) continue;
      if (!template_ranges.empty() && template_ranges.back().end == begin) {
        template_ranges.back().end = text.size();
      } else {
        template_ranges.push_back({begin, text.size()});
      }
    }
  }

  bool from_template(std::size_t begin, std::size_t end) const {
    const auto range = std::upper_bound(template_ranges.begin(), template_ranges.end(), begin,
                                        [](std::size_t at, const Range& r) { return at < r.end; });
    return range != template_ranges.end() && range->begin <= begin && end <= range->end;
  }
};

/// Whether the template itself spells the token of this match. The blanks that a token swallows may
/// come from a message: they spell nothing.
bool written_by_template(const Tokenizer& tokenizer, const Prompt& prompt,
                         const Tokenizer::SpecialMatch& match) {
  const std::string content = tokenizer.piece(match.id);
  const auto matched = std::string_view(prompt.text).substr(match.begin, match.end - match.begin);
  const std::size_t at = matched.find(content);
  if (at == std::string_view::npos) return prompt.from_template(match.begin, match.end);
  const std::size_t begin = match.begin + at;
  return prompt.from_template(begin, begin + content.size());
}

std::vector<TokenId> specials_in(const Tokenizer& tokenizer, const std::vector<TokenId>& ids) {
  std::vector<TokenId> specials;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(specials),
               [&](TokenId id) { return tokenizer.is_special(id); });
  return specials;
}

/// Encodes text that follows special tokens, as it would be encoded there: some tokenizers mark
/// only the start of the whole text, which a stretch encoded by itself would wrongly be.
class Continuation {
 public:
  Continuation(const Tokenizer& tokenizer, TokenId before) : tokenizer_(tokenizer) {
    const std::vector<TokenId> after =
        tokenizer.encode(tokenizer.piece(before) + "a", kWithSpecials);
    const std::vector<TokenId> alone = tokenizer.encode("a", kPlain);
    starts_marked_ = !after.empty() && after.front() == before &&
                     !std::equal(after.begin() + 1, after.end(), alone.begin(), alone.end());
    if (starts_marked_) anchor_ = tokenizer.encode("\n", kPlain);
  }

  std::vector<TokenId> encode(const std::string& text) const {
    if (starts_marked_) {
      std::vector<TokenId> ids = tokenizer_.encode("\n" + text, kPlain);
      if (ids.size() >= anchor_.size() && std::equal(anchor_.begin(), anchor_.end(), ids.begin())) {
        ids.erase(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(anchor_.size()));
        return ids;
      }
    }
    return tokenizer_.encode(text, kPlain);
  }

 private:
  const Tokenizer& tokenizer_;
  bool starts_marked_ = false;
  std::vector<TokenId> anchor_;
};

/// Encodes with the template's special tokens as the only ones: they are cut out, everything
/// between them is plain text.
std::vector<TokenId> encode_cut(const Tokenizer& tokenizer, const Prompt& prompt) {
  std::vector<TokenId> ids;
  std::optional<TokenId> last;  // the special token before the stretch
  std::map<TokenId, Continuation> continuations;
  std::size_t done = 0;
  const auto plain_until = [&](std::size_t end) {
    if (done >= end) return;
    const std::string stretch = prompt.text.substr(done, end - done);
    const std::vector<TokenId> more =
        last ? Continuation(tokenizer, *last).encode(stretch) : tokenizer.encode(stretch, kPlain);
    ids.insert(ids.end(), more.begin(), more.end());
  };
  for (const Prompt::Range& range : prompt.template_ranges) {
    // Each stretch of the template by itself: what a message spells beside it must not hide a
    // token.
    const auto own = std::string_view(prompt.text).substr(range.begin, range.end - range.begin);
    for (const Tokenizer::SpecialMatch& match : tokenizer.find_special(own)) {
      plain_until(range.begin + match.begin);
      ids.push_back(match.id);
      last = match.id;
      done = range.begin + match.end;
    }
  }
  plain_until(prompt.text.size());
  return ids;
}

}  // namespace

std::vector<TokenId> encode_prompt(const Tokenizer& tokenizer,
                                   const std::vector<PromptPiece>& pieces, bool parse_special) {
  const Prompt prompt(pieces);
  std::vector<TokenId> ids = tokenizer.encode(prompt.text, kWithSpecials);
  const auto& ranges = prompt.template_ranges;
  const bool all_template = prompt.text.empty() || (ranges.size() == 1 && ranges[0].begin == 0 &&
                                                    ranges[0].end == prompt.text.size());
  if (parse_special || all_template) return ids;

  std::vector<TokenId> expected;
  for (const Tokenizer::SpecialMatch& match : tokenizer.find_special(prompt.text)) {
    if (!written_by_template(tokenizer, prompt, match)) return encode_cut(tokenizer, prompt);
    expected.push_back(match.id);
  }
  std::vector<TokenId> produced = specials_in(tokenizer, ids);
  if (produced == expected) return ids;
  // More came out than was spelled: by normalization (a message may write "<EoS>" where "<eos>" is
  // sought), or the model's own token for unknown text, which plain encoding gives just as well.
  const std::vector<TokenId> harmless =
      specials_in(tokenizer, tokenizer.encode(prompt.text, kPlain));
  const auto is_harmless = [&](TokenId id) {
    return std::find(harmless.begin(), harmless.end(), id) != harmless.end();
  };
  std::erase_if(produced, is_harmless);
  std::erase_if(expected, is_harmless);
  return produced == expected ? ids : encode_cut(tokenizer, prompt);
}

}  // namespace haq::text
