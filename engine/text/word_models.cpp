// SPDX-License-Identifier: GPL-3.0-or-later
#include <utility>

#include "engine/base/error.h"
#include "engine/text/model.h"
#include "engine/text/trie.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

[[noreturn]] void missing_unknown(const std::string& token) {
  fail(ErrorCode::kCorrupt, "the tokenizer's unk_token \"{}\" is not in its vocabulary", token);
}

/// Greedy longest match from the left; a word that does not come out even is unknown as a whole.
class WordPiece final : public Model {
 public:
  WordPiece(const TokenizerFile& file, const Fields& fields, std::string_view what) {
    fields.allow({"type", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word"});
    unk_token_ = fields.optional_text("unk_token").value_or("[UNK]");
    prefix_ = fields.optional_text("continuing_subword_prefix").value_or("##");
    max_chars_ =
        static_cast<std::size_t>(fields.number("max_input_chars_per_word", 0, 1'000'000, 100));
    read_vocab(file, what);
    unk_ = vocab_.find(unk_token_).value_or(-1);
    for (const TokenizerFile::Token& token : file.vocab) {
      if (!trie_.add(file.piece(token), static_cast<TokenId>(token.id))) {
        fail(ErrorCode::kLimit, "{}: model.vocab: too large", what);
      }
    }
    inner_ = trie_.walk(Trie::kRoot, prefix_);
  }

  std::unique_ptr<Encoder> encoder(const IdSet* excluded) const override {
    return std::make_unique<Matcher>(*this, excluded);
  }

 private:
  class Matcher final : public Encoder {
   public:
    Matcher(const WordPiece& model, const IdSet* excluded) : model_(model), excluded_(excluded) {}

    void encode(std::string_view piece, std::vector<TokenId>& out) override {
      const std::size_t before = out.size();
      bool good = count_chars(piece) <= model_.max_chars_;
      for (std::size_t begin = 0; good && begin < piece.size();) {
        const auto [end, id] = longest(piece, begin);
        good = id >= 0;
        if (good) out.push_back(id);
        begin = end;
      }
      if (good) return;
      if (model_.unk_ < 0) missing_unknown(model_.unk_token_);
      out.resize(before);
      out.push_back(model_.unk_);
    }

   private:
    std::pair<std::size_t, TokenId> longest(std::string_view piece, std::size_t begin) const {
      std::pair<std::size_t, TokenId> best{begin, -1};
      Trie::Node node = begin == 0 ? Trie::kRoot : model_.inner_;
      for (std::size_t end = begin; node != Trie::kNone && end < piece.size();) {
        node = model_.trie_.step(node, piece[end++]);
        if (node == Trie::kNone) break;
        const TokenId id = model_.trie_.value(node);
        if (id >= 0 && (excluded_ == nullptr || !excluded_->contains(id))) best = {end, id};
      }
      return best;
    }

    const WordPiece& model_;
    const IdSet* excluded_;
  };

  Trie trie_;
  Trie::Node inner_ = Trie::kNone;  ///< where the pieces inside of a word begin
  std::string unk_token_;
  std::string prefix_;
  std::size_t max_chars_ = 0;
};

/// One token per piece.
class WordLevel final : public Model {
 public:
  WordLevel(const TokenizerFile& file, const Fields& fields, std::string_view what) {
    fields.allow({"type", "unk_token"});
    unk_token_ = fields.optional_text("unk_token").value_or("<unk>");
    read_vocab(file, what);
    unk_ = vocab_.find(unk_token_).value_or(-1);
  }

  std::unique_ptr<Encoder> encoder(const IdSet* excluded) const override {
    return std::make_unique<Lookup>(*this, excluded);
  }

 private:
  class Lookup final : public Encoder {
   public:
    Lookup(const WordLevel& model, const IdSet* excluded) : model_(model), excluded_(excluded) {}
    void encode(std::string_view piece, std::vector<TokenId>& out) override {
      const auto id = model_.vocab_.find(piece);
      if (id && (excluded_ == nullptr || !excluded_->contains(*id))) {
        out.push_back(*id);
        return;
      }
      if (model_.unk_ < 0) missing_unknown(model_.unk_token_);
      out.push_back(model_.unk_);
    }

   private:
    const WordLevel& model_;
    const IdSet* excluded_;
  };

  std::string unk_token_;
};

}  // namespace

std::unique_ptr<const Model> make_wordpiece(const TokenizerFile& file, const Fields& fields,
                                            std::string_view what) {
  return std::make_unique<WordPiece>(file, fields, what);
}

std::unique_ptr<const Model> make_wordlevel(const TokenizerFile& file, const Fields& fields,
                                            std::string_view what) {
  return std::make_unique<WordLevel>(file, fields, what);
}

}  // namespace haq::text
