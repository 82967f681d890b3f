// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <array>
#include <bit>
#include <unordered_map>
#include <utility>

#include "engine/base/error.h"
#include "engine/text/model.h"
#include "engine/text/unicode.h"

namespace haq::text {
namespace {

struct MergeRule {
  std::uint32_t rank = 0;
  TokenId id = 0;  ///< of the merged token
};

/// Pairs of ids to rules: open addressing, since every symbol of a text looks up its neighbours.
class MergeTable {
 public:
  explicit MergeTable(std::size_t count)
      : slots_(std::bit_ceil(std::max<std::size_t>(16, count * 2))) {}

  /// A pair that occurs twice keeps its last rank, as in the reference implementation.
  void put(TokenId left, TokenId right, MergeRule rule) {
    Slot& slot = slots_[locate(left, right)];
    slot = {left, right, rule};
  }
  const MergeRule* find(TokenId left, TokenId right) const {
    const Slot& slot = slots_[locate(left, right)];
    return slot.left < 0 ? nullptr : &slot.rule;
  }

 private:
  struct Slot {
    TokenId left = -1;
    TokenId right = -1;
    MergeRule rule;
  };
  std::size_t locate(TokenId left, TokenId right) const {
    std::uint64_t key = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) |
                        static_cast<std::uint32_t>(right);
    key *= 0x9E3779B97F4A7C15u;
    key ^= key >> 32;
    const std::size_t mask = slots_.size() - 1;
    std::size_t at = key & mask;
    while (slots_[at].left >= 0 && (slots_[at].left != left || slots_[at].right != right)) {
      at = (at + 1) & mask;
    }
    return at;
  }
  std::vector<Slot> slots_;
};

class Bpe final : public Model {
 public:
  Bpe(const TokenizerFile& file, const Fields& fields, std::string_view what)
      : merges_(file.merges.size()) {
    fields.allow({"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
                  "fuse_unk", "byte_fallback", "ignore_merges"});
    if (fields.has("dropout") && fields.value("dropout") != 0.0) {
      fail(ErrorCode::kUnsupported, "{}: \"dropout\" is for training and must be null",
           fields.place());
    }
    prefix_ = fields.optional_text("continuing_subword_prefix").value_or("");
    suffix_ = fields.optional_text("end_of_word_suffix").value_or("");
    fuse_unk_ = fields.flag("fuse_unk", false);
    ignore_merges_ = fields.flag("ignore_merges", false);
    byte_fallback_ = fields.flag("byte_fallback", false);
    read_vocab(file, what);
    unk_token_ = fields.optional_text("unk_token").value_or("");
    if (!unk_token_.empty()) unk_ = vocab_.find(unk_token_).value_or(-1);
    for (unsigned b = 0; b < 256; ++b) {
      byte_ids_[b] = vocab_.find(byte_token(static_cast<unsigned char>(b))).value_or(-1);
    }
    read_merges(file, what);
  }

  std::unique_ptr<Encoder> encoder(const IdSet* excluded) const override;

 private:
  class WordEncoder;

  void read_merges(const TokenizerFile& file, std::string_view what) {
    if (!file.has_merges) {
      fail(ErrorCode::kCorrupt, "{}: model.merges: missing from a BPE model", what);
    }
    std::string merged;
    for (std::size_t i = 0; i < file.merges.size(); ++i) {
      const std::string_view left = file.left(file.merges[i]);
      const std::string_view right = file.right(file.merges[i]);
      const auto id_of = [&](std::string_view piece) {
        const auto id = vocab_.find(piece);
        if (!id) {
          fail(ErrorCode::kCorrupt,
               "{}: model.merges: entry {} needs the token \"{}\", which is not in model.vocab",
               what, i, piece.substr(0, 100));
        }
        return *id;
      };
      const TokenId left_id = id_of(left);
      const TokenId right_id = id_of(right);
      if (right.size() < prefix_.size()) {
        fail(ErrorCode::kCorrupt,
             "{}: model.merges: entry {}: \"{}\" is shorter than the continuing_subword_prefix",
             what, i, right);
      }
      merged.assign(left);
      merged += right.substr(prefix_.size());
      merges_.put(left_id, right_id, {static_cast<std::uint32_t>(i), id_of(merged)});
    }
  }

  MergeTable merges_;
  std::string prefix_;
  std::string suffix_;
  std::array<TokenId, 256> byte_ids_{};
  std::string unk_token_;  ///< empty: unknown characters vanish
  bool fuse_unk_ = false;
  bool ignore_merges_ = false;
  bool byte_fallback_ = false;
};

class Bpe::WordEncoder final : public Encoder {
 public:
  WordEncoder(const Bpe& model, const IdSet* excluded) : model_(model), excluded_(excluded) {}

  void encode(std::string_view piece, std::vector<TokenId>& out) override {
    if (model_.ignore_merges_) {
      if (const TokenId id = find(piece); id >= 0) {
        out.push_back(id);
        return;
      }
    }
    if (piece.size() > kCachedBytes) {
      merge(piece, out);
      return;
    }
    const auto [cached, fresh] =
        cache_.try_emplace(piece, std::pair<std::uint32_t, std::uint32_t>{});
    if (!fresh) {
      const auto [begin, count] = cached->second;
      out.insert(out.end(), pool_.begin() + begin, pool_.begin() + begin + count);
      return;
    }
    const std::size_t before = out.size();
    merge(piece, out);
    const auto begin = static_cast<std::uint32_t>(pool_.size());
    pool_.insert(pool_.end(), out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
    cached->second = {begin, static_cast<std::uint32_t>(pool_.size()) - begin};
  }

 private:
  static constexpr std::size_t kCachedBytes = 64;

  struct Symbol {
    TokenId id;
    std::int32_t previous;
    std::int32_t next;
    bool removed;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t position;
    TokenId id;
    /// For a heap whose top is the lowest rank, then the leftmost position.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : position > other.position;
    }
  };

  TokenId find(std::string_view piece) const {
    const TokenId id = model_.vocab_.find(piece).value_or(-1);
    return excluded_ != nullptr && excluded_->contains(id) ? -1 : id;
  }

  void add(TokenId id) {
    const auto position = static_cast<std::int32_t>(symbols_.size());
    symbols_.push_back({id, position - 1, position + 1, false});
  }

  /// One symbol per character: its token, else its bytes, else the unknown token.
  void split(std::string_view piece) {
    symbols_.clear();
    bool unknown_pending = false;
    std::string spelled;
    for (std::size_t pos = 0; pos < piece.size();) {
      const std::size_t begin = pos;
      pos += char_length(piece[pos]);
      std::string_view s = piece.substr(begin, pos - begin);
      const bool last = pos == piece.size();
      if ((begin > 0 && !model_.prefix_.empty()) || (last && !model_.suffix_.empty())) {
        spelled.assign(begin > 0 ? model_.prefix_ : "");
        spelled += s;
        if (last) spelled += model_.suffix_;
        s = spelled;
      }
      if (const TokenId id = find(s); id >= 0) {
        if (std::exchange(unknown_pending, false)) add(model_.unk_);
        add(id);
      } else if (model_.byte_fallback_ && has_bytes(s)) {
        // A pending unknown token stays behind the bytes: the reference's order.
        for (const char byte : s) add(model_.byte_ids_[static_cast<unsigned char>(byte)]);
      } else if (!model_.unk_token_.empty()) {
        if (model_.unk_ < 0) {
          fail(ErrorCode::kCorrupt, "the tokenizer's unk_token \"{}\" is not in its vocabulary",
               model_.unk_token_);
        }
        if (unknown_pending && !model_.fuse_unk_) add(model_.unk_);
        unknown_pending = true;
      }
    }
    if (unknown_pending) add(model_.unk_);
    if (!symbols_.empty()) symbols_.back().next = -1;
  }

  bool has_bytes(std::string_view s) const {
    return std::all_of(s.begin(), s.end(), [&](char byte) {
      return model_.byte_ids_[static_cast<unsigned char>(byte)] >= 0;
    });
  }

  const MergeRule* rule(TokenId left, TokenId right) const {
    const MergeRule* found = model_.merges_.find(left, right);
    return found != nullptr && excluded_ != nullptr && excluded_->contains(found->id) ? nullptr
                                                                                      : found;
  }

  void offer(std::int32_t left, std::int32_t right) {
    const MergeRule* found = rule(symbols_[static_cast<std::size_t>(left)].id,
                                  symbols_[static_cast<std::size_t>(right)].id);
    if (found == nullptr) return;
    queue_.push_back({found->rank, left, found->id});
    std::push_heap(queue_.begin(), queue_.end());
  }

  void merge(std::string_view piece, std::vector<TokenId>& out) {
    split(piece);
    queue_.clear();
    for (std::size_t i = 0; i + 1 < symbols_.size(); ++i) {
      if (const MergeRule* found = rule(symbols_[i].id, symbols_[i + 1].id)) {
        queue_.push_back({found->rank, static_cast<std::int32_t>(i), found->id});
      }
    }
    std::make_heap(queue_.begin(), queue_.end());
    while (!queue_.empty()) {
      std::pop_heap(queue_.begin(), queue_.end());
      const Candidate top = queue_.back();
      queue_.pop_back();
      Symbol& left = symbols_[static_cast<std::size_t>(top.position)];
      if (left.removed || left.next < 0) continue;
      Symbol& right = symbols_[static_cast<std::size_t>(left.next)];
      // The pair may have changed since; it still counts if it merges into the same token.
      const MergeRule* now = rule(left.id, right.id);
      if (now == nullptr || now->id != top.id) continue;
      left.id = top.id;
      left.next = right.next;
      right.removed = true;
      if (left.next >= 0) symbols_[static_cast<std::size_t>(left.next)].previous = top.position;
      if (left.previous >= 0) offer(left.previous, top.position);
      if (left.next >= 0) offer(top.position, left.next);
    }
    for (const Symbol& symbol : symbols_) {
      if (!symbol.removed) out.push_back(symbol.id);
    }
  }

  const Bpe& model_;
  const IdSet* excluded_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> queue_;
  /// Words repeat: their ids lie in pool_ at (begin, count).
  std::unordered_map<std::string_view, std::pair<std::uint32_t, std::uint32_t>> cache_;
  std::vector<TokenId> pool_;
};

std::unique_ptr<Model::Encoder> Bpe::encoder(const IdSet* excluded) const {
  return std::make_unique<WordEncoder>(*this, excluded);
}

}  // namespace

std::unique_ptr<const Model> make_bpe(const TokenizerFile& file, const Fields& fields,
                                      std::string_view what) {
  return std::make_unique<Bpe>(file, fields, what);
}

}  // namespace haq::text
