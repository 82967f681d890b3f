// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/base/error.h"
#include "engine/text/model.h"
#include "engine/text/trie.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

/// An unknown character costs this much more than the least likely token (SentencePiece).
constexpr double kUnknownPenalty = 10.0;

class Unigram final : public Model {
 public:
  Unigram(const TokenizerFile& file, const Fields& fields, std::string_view what) {
    fields.allow({"type", "unk_id", "byte_fallback"});
    if (!file.has_vocab || !file.vocab_is_list) {
      fail(ErrorCode::kCorrupt, "{}: model.vocab: expected a list of tokens and scores", what);
    }
    read_scores(file, what);
    byte_fallback_ = fields.flag("byte_fallback", false);
    if (fields.has("unk_id")) {
      const auto last = static_cast<std::int64_t>(scores_.size()) - 1;
      unk_ = static_cast<TokenId>(fields.number("unk_id", 0, std::max<std::int64_t>(last, 0)));
    }
    for (unsigned b = 0; b < 256; ++b) {
      byte_ids_[b] = vocab_.find(byte_token(static_cast<unsigned char>(b))).value_or(-1);
    }
  }

  std::unique_ptr<Encoder> encoder(const IdSet* excluded) const override;

 private:
  class Lattice;

  void read_scores(const TokenizerFile& file, std::string_view what) {
    if (static_cast<std::int64_t>(file.vocab.size()) > kMaxTokenId) {
      fail(ErrorCode::kLimit, "{}: model.vocab: {} tokens, more than the limit of {}", what,
           file.vocab.size(), kMaxTokenId);
    }
    vocab_.reserve(file.vocab.size(), file.strings.size());
    double lowest = std::numeric_limits<double>::infinity();
    for (const TokenizerFile::Token& token : file.vocab) {
      const std::string_view piece = file.piece(token);
      const auto id = static_cast<TokenId>(scores_.size());
      if (piece.size() > kMaxTokenBytes) {
        fail(ErrorCode::kLimit, "{}: model.vocab: a token of {} bytes, longer than the limit of {}",
             what, piece.size(), kMaxTokenBytes);
      }
      if (!std::isfinite(token.score)) {
        fail(ErrorCode::kCorrupt, "{}: model.vocab: the score of \"{}\" is not finite", what,
             piece.substr(0, 100));
      }
      if (!vocab_.add(piece, id)) {
        fail(ErrorCode::kCorrupt, "{}: model.vocab: the token \"{}\" occurs twice", what,
             piece.substr(0, 100));
      }
      if (!piece.empty() && !trie_.add(piece, id)) {
        fail(ErrorCode::kLimit, "{}: model.vocab: too large", what);
      }
      scores_.push_back(token.score);
      lowest = std::min(lowest, token.score);
    }
    unknown_score_ = (scores_.empty() ? 0.0 : lowest) - kUnknownPenalty;
    vocab_.finish();
  }

  Trie trie_;
  std::vector<double> scores_;
  std::array<TokenId, 256> byte_ids_{};
  double unknown_score_ = 0;
  bool byte_fallback_ = false;
};

/// Viterbi search for the most likely sequence of tokens.
class Unigram::Lattice final : public Encoder {
 public:
  Lattice(const Unigram& model, const IdSet* excluded) : model_(model), excluded_(excluded) {}

  void encode(std::string_view piece, std::vector<TokenId>& out) override {
    search(piece);
    // Backwards from the end; a run of unknown characters is one stretch.
    stretches_.clear();
    for (std::size_t end = piece.size(); end > 0;) {
      const Best& best = best_[end];
      const bool unknown = best.id == model_.unk_;
      if (unknown && !stretches_.empty() && stretches_.back().unknown) {
        stretches_.back().begin = best.begin;
      } else {
        stretches_.push_back({best.begin, end, best.id, unknown});
      }
      end = best.begin;
    }
    for (auto it = stretches_.rbegin(); it != stretches_.rend(); ++it) emit(piece, *it, out);
  }

 private:
  struct Best {
    double score = 0;
    std::size_t begin = kUnreached;
    TokenId id = -1;
  };
  struct Stretch {
    std::size_t begin;
    std::size_t end;
    TokenId id;
    bool unknown;
  };
  static constexpr std::size_t kUnreached = ~std::size_t{0};

  void search(std::string_view piece) {
    best_.assign(piece.size() + 1, Best{});
    const auto offer = [&](std::size_t begin, std::size_t end, double score, TokenId id) {
      Best& best = best_[end];
      if (best.begin == kUnreached || score > best.score) best = {score, begin, id};
    };
    for (std::size_t begin = 0; begin < piece.size();) {
      const double here = best_[begin].score;
      const std::size_t one = begin + char_length(piece[begin]);
      bool single = false;
      Trie::Node node = Trie::kRoot;
      for (std::size_t end = begin; end < piece.size();) {
        node = model_.trie_.step(node, piece[end++]);
        if (node == Trie::kNone) break;
        const TokenId id = model_.trie_.value(node);
        if (id < 0 || (excluded_ != nullptr && excluded_->contains(id))) continue;
        offer(begin, end, here + model_.scores_[static_cast<std::size_t>(id)], id);
        single = single || end == one;
      }
      if (!single) {
        if (model_.unk_ < 0) {
          fail(ErrorCode::kCorrupt,
               "the tokenizer has no unk_id, and its vocabulary lacks a character of the text");
        }
        offer(begin, one, here + model_.unknown_score_, model_.unk_);
      }
      begin = one;
    }
  }

  void emit(std::string_view piece, const Stretch& stretch, std::vector<TokenId>& out) const {
    if (!stretch.unknown) {
      out.push_back(stretch.id);
      return;
    }
    const std::string_view text = piece.substr(stretch.begin, stretch.end - stretch.begin);
    if (const auto id = model_.vocab_.find(text);
        id && (excluded_ == nullptr || !excluded_->contains(*id))) {
      out.push_back(*id);
      return;
    }
    const auto byte_id = [&](char byte) {
      return model_.byte_ids_[static_cast<unsigned char>(byte)];
    };
    if (model_.byte_fallback_ &&
        std::all_of(text.begin(), text.end(), [&](char byte) { return byte_id(byte) >= 0; })) {
      for (const char byte : text) out.push_back(byte_id(byte));
    } else {
      out.push_back(model_.unk_);
    }
  }

  const Unigram& model_;
  const IdSet* excluded_;
  std::vector<Best> best_;  ///< per byte offset: the best path that ends there
  std::vector<Stretch> stretches_;
};

std::unique_ptr<Model::Encoder> Unigram::encoder(const IdSet* excluded) const {
  return std::make_unique<Lattice>(*this, excluded);
}

}  // namespace

std::unique_ptr<const Model> make_unigram(const TokenizerFile& file, const Fields& fields,
                                          std::string_view what) {
  return std::make_unique<Unigram>(file, fields, what);
}

}  // namespace haq::text
