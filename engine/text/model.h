// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/text/fields.h"
#include "engine/text/loader.h"
#include "engine/text/tokenizer.h"
#include "engine/text/vocab.h"

namespace haq::text {

/// A sorted set of ids.
class IdSet {
 public:
  IdSet() = default;
  explicit IdSet(std::vector<TokenId> ids);
  bool contains(TokenId id) const;
  bool empty() const { return ids_.empty(); }

 private:
  std::vector<TokenId> ids_;
};

/// The part of a tokenizer that turns one piece of text into ids. Immutable, thread-safe.
class Model {
 public:
  virtual ~Model() = default;

  /// The working memory of one encode call: caches and queues. One per thread.
  class Encoder {
   public:
    virtual ~Encoder() = default;
    /// Appends the ids of a piece (not empty). The bytes of `piece` must outlive the encoder.
    virtual void encode(std::string_view piece, std::vector<TokenId>& out) = 0;
  };
  /// Tokens in `excluded` (may be null) are treated as if the vocabulary did not spell them. Both
  /// references must outlive the encoder.
  virtual std::unique_ptr<Encoder> encoder(const IdSet* excluded) const = 0;

  const Vocab& vocab() const { return vocab_; }
  /// The id that stands for text outside the vocabulary; -1: there is none.
  TokenId unknown() const { return unk_; }

  /// Builds the model that a file describes. Throws kUnsupported for a type or setting it does not
  /// know, kCorrupt for contradictions. `what` names the file.
  static std::unique_ptr<const Model> parse(const TokenizerFile& file, const Fields& fields,
                                            std::string_view what);

 protected:
  /// Fills the vocabulary of an object {"token": id}.
  void read_vocab(const TokenizerFile& file, std::string_view what);
  Vocab vocab_;
  TokenId unk_ = -1;
};

std::unique_ptr<const Model> make_bpe(const TokenizerFile& file, const Fields& fields,
                                      std::string_view what);
std::unique_ptr<const Model> make_unigram(const TokenizerFile& file, const Fields& fields,
                                          std::string_view what);
std::unique_ptr<const Model> make_wordpiece(const TokenizerFile& file, const Fields& fields,
                                            std::string_view what);
std::unique_ptr<const Model> make_wordlevel(const TokenizerFile& file, const Fields& fields,
                                            std::string_view what);

/// "<0x0A>": the token of a byte under byte fallback.
std::string byte_token(unsigned char byte);
/// The byte of such a token.
std::optional<unsigned char> byte_of_token(std::string_view piece);

}  // namespace haq::text
