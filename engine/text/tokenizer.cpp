// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/tokenizer.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/file.h"
#include "engine/text/added_tokens.h"
#include "engine/text/decoder.h"
#include "engine/text/fields.h"
#include "engine/text/loader.h"
#include "engine/text/model.h"
#include "engine/text/normalizer.h"
#include "engine/text/post_processor.h"
#include "engine/text/pre_tokenizer.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

class HfTokenizer final : public Tokenizer, public std::enable_shared_from_this<HfTokenizer> {
 public:
  HfTokenizer(const TokenizerFile& file, std::string_view what) {
    const Fields fields(file.rest, std::string(what));
    // Truncation and padding are settings of a training pipeline; a prompt is never cut or filled.
    fields.allow({"version", "truncation", "padding", "added_tokens", "normalizer", "pre_tokenizer",
                  "post_processor", "decoder", "model"});
    if (fields.optional_text("version").value_or("1.0") != "1.0") fields.wrong("version", "1.0");
    if (fields.has("normalizer")) normalizer_ = Normalizer::parse(fields.child("normalizer"));
    if (fields.has("pre_tokenizer")) {
      pre_tokenizer_ = PreTokenizer::parse(fields.child("pre_tokenizer"));
    }
    if (fields.has("post_processor")) {
      post_processor_ = PostProcessor::parse(fields.child("post_processor"));
    }
    std::optional<Fields> decoder;
    if (fields.has("decoder")) decoder = fields.child("decoder");
    decoder_ = Decoder::parse(decoder ? &*decoder : nullptr);
    model_ = Model::parse(file, fields.child("model"), what);
    added_ = AddedTokens::parse(fields, model_->vocab(), normalizer_.get());
    end_id_ = std::max(model_->vocab().end_id(), added_.end_id());
    for (const TokenId id : post_processor_.special_ids()) {
      if (!spelling(id)) {
        fail(ErrorCode::kCorrupt, "{}: post_processor: no token has the id {}", what, id);
      }
    }
  }

  std::vector<TokenId> encode(std::string_view text, const EncodeOptions& options) const override {
    require_utf8(text);
    Pieces pieces = cut(text, options.parse_special);
    if (pre_tokenizer_) pre_tokenizer_->apply(pieces);
    std::vector<TokenId> ids;
    ids.reserve(text.size() / 3);
    const auto encoder = model_->encoder(options.parse_special ? nullptr : &added_.special_ids());
    for (const Piece& piece : pieces.list) {
      if (piece.is_token()) {
        ids.push_back(piece.token);
      } else {
        encoder->encode(pieces.view(piece), ids);
      }
    }
    return post_processor_.apply(std::move(ids), options.add_special);
  }

  std::vector<SpecialMatch> find_special(std::string_view text) const override {
    require_utf8(text);
    return added_.find_special(text);
  }

  std::string decode(std::span<const TokenId> ids, bool skip_special) const override {
    const auto run = decoder_.start(false);
    std::string out;
    for (const TokenId id : ids) {
      const std::string_view token = shown(id);
      if (!skip_special || !is_special(id)) out += run->push(token);
    }
    return out + run->finish();
  }

  std::string piece(TokenId id) const override { return std::string(known(id)); }

  std::optional<TokenId> id_of(std::string_view piece) const override {
    if (const auto id = added_.id_of(piece)) return id;
    return model_->vocab().find(piece);
  }

  bool is_special(TokenId id) const override { return added_.is_special(id); }
  std::optional<TokenId> unknown_id() const override {
    return model_->unknown() < 0 ? std::nullopt : std::optional(model_->unknown());
  }
  TokenId size() const override { return end_id_; }

  std::unique_ptr<Stream> stream(std::span<const TokenId> prompt, bool skip_special) const override;

 private:
  class TextStream;

  static void require_utf8(std::string_view text) {
    if (!is_valid_utf8(text)) {
      fail(ErrorCode::kInvalidArgument, "the text to tokenize is not valid UTF-8");
    }
  }

  /// Added tokens out of the raw text, then normalization, then added tokens out of the result.
  Pieces cut(std::string_view text, bool specials) const {
    Pieces pieces;
    pieces.text.reserve(text.size() + text.size() / 4);
    for (const AddedTokens::Cut& raw : added_.cut(text, false, specials)) {
      if (raw.id >= 0) {
        pieces.list.push_back({0, 0, 0, raw.id});
        continue;
      }
      Normalized part{std::string(text.substr(raw.begin, raw.end - raw.begin)), 0};
      if (raw.begin == 0) part.lead = char_length(part.text[0]);
      if (normalizer_) normalizer_->apply(part);
      const Piece whole{pieces.text.size(), pieces.text.size() + part.text.size(), part.lead, -1};
      for (const AddedTokens::Cut& inner : added_.cut(part.text, true, specials)) {
        if (inner.id >= 0) {
          pieces.list.push_back({0, 0, 0, inner.id});
        } else {
          pieces.list.push_back(whole.slice(inner.begin, inner.end));
        }
      }
      pieces.text += part.text;
    }
    return pieces;
  }

  std::optional<std::string_view> spelling(TokenId id) const {
    if (const AddedTokens::Token* token = added_.token(id)) return token->content;
    return model_->vocab().piece(id);
  }

  /// What goes into the decoder for an id.
  std::string_view shown(TokenId id) const {
    const AddedTokens::Token* token = added_.token(id);
    return token != nullptr ? std::string_view(token->shown) : known(id);
  }

  std::string_view known(TokenId id) const {
    const auto found = spelling(id);
    if (!found) {
      fail(ErrorCode::kInvalidArgument, "no token has the id {} (the vocabulary ends before {}{})",
           id, end_id_, id >= 0 && id < end_id_ ? " and has a hole there" : "");
    }
    return *found;
  }

  std::unique_ptr<const Normalizer> normalizer_;
  std::unique_ptr<const PreTokenizer> pre_tokenizer_;
  PostProcessor post_processor_;
  Decoder decoder_;
  std::unique_ptr<const Model> model_;
  AddedTokens added_;
  TokenId end_id_ = 0;
};

class HfTokenizer::TextStream final : public Stream {
 public:
  TextStream(std::shared_ptr<const HfTokenizer> tokenizer, std::span<const TokenId> prompt,
             bool skip_special)
      : tokenizer_(std::move(tokenizer)),
        skip_special_(skip_special),
        run_(tokenizer_->decoder_.start(true)) {
    for (const TokenId id : prompt) push(id);
  }
  std::string push(TokenId id) override {
    const std::string_view token = tokenizer_->shown(id);
    if (skip_special_ && tokenizer_->is_special(id)) return {};
    return run_->push(token);
  }
  std::string flush() override { return run_->finish(); }

 private:
  std::shared_ptr<const HfTokenizer> tokenizer_;
  bool skip_special_;
  std::unique_ptr<Decoder::Run> run_;
};

std::unique_ptr<Tokenizer::Stream> HfTokenizer::stream(std::span<const TokenId> prompt,
                                                       bool skip_special) const {
  return std::make_unique<TextStream>(shared_from_this(), prompt, skip_special);
}

}  // namespace

std::shared_ptr<const Tokenizer> Tokenizer::parse(std::string_view tokenizer_json,
                                                  std::string_view what) {
  const TokenizerFile file = read_tokenizer_file(tokenizer_json, what);
  return std::make_shared<HfTokenizer>(file, what);
}

std::shared_ptr<const Tokenizer> Tokenizer::load(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "tokenizer.json";
  return parse(read_text_file(path, kMaxTokenizerFileBytes), path.string());
}

}  // namespace haq::text
