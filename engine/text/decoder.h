// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/text/fields.h"

namespace haq::text {

/// One step on the way from tokens to text, at work on one sequence of tokens.
class DecodeStep {
 public:
  using Sink = std::function<void(std::string&&)>;
  virtual ~DecodeStep() = default;
  /// Takes the next token (or, behind a step that joins them, the next bit of the only token).
  virtual void push(std::string&& token, const Sink& next) = 0;
  /// The sequence is complete: hands on what was held back.
  virtual void finish(const Sink& /*next*/) {}
};

/// The decoder of a tokenizer.json. Immutable, thread-safe; work happens in a Run.
class Decoder {
 public:
  /// `fields` null: tokens are joined with blanks. Throws kUnsupported for a type it does not know.
  static Decoder parse(const Fields* fields);

  /// One sequence of tokens on its way to text; one per thread.
  class Run {
   public:
    /// The text that this token completes.
    std::string push(std::string_view token);
    std::string finish();

   private:
    friend class Decoder;
    void feed(std::size_t step, std::string&& token);
    std::vector<std::unique_ptr<DecodeStep>> steps_;
    std::vector<DecodeStep::Sink> sinks_;
    std::string out_;
  };
  /// `streaming`: text comes out as early as it is certain not to be taken back; a run of byte
  /// tokens that is not UTF-8 then loses only its invalid parts. Otherwise the result is exactly
  /// the reference's, and most of it may come at the end.
  std::unique_ptr<Run> start(bool streaming) const;

  /// How one step behaves; `chunked` makes a variant that accepts a single token bit by bit.
  struct Step {
    std::function<std::unique_ptr<DecodeStep>(bool streaming)> make;
    std::function<std::unique_ptr<DecodeStep>()> make_chunked;  ///< empty: there is none
    bool joins = false;                                         ///< hands on one token, bit by bit
  };

 private:
  void add(const Fields& fields, int depth);
  std::vector<Step> steps_;
};

}  // namespace haq::text
