// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/decoder.h"

#include <algorithm>
#include <utility>

#include "engine/base/error.h"
#include "engine/text/decode_steps.h"

namespace haq::text {
namespace {

constexpr int kMaxDepth = 8;
constexpr std::size_t kMaxSteps = 64;

}  // namespace

Decoder Decoder::parse(const Fields* fields) {
  Decoder out;
  if (fields == nullptr) {
    out.steps_.push_back(join_with_blanks());
  } else {
    out.add(*fields, 0);
  }
  return out;
}

void Decoder::add(const Fields& fields, int depth) {
  if (fields.type() == "Sequence") {
    fields.allow({"type", "decoders"});
    if (depth >= kMaxDepth) fail(ErrorCode::kLimit, "{}: nested too deeply", fields.place());
    for (const Fields& step : fields.children("decoders")) add(step, depth + 1);
    return;
  }
  auto step = parse_decode_step(fields);
  if (!step) fields.refuse_type("decoder");
  if (steps_.size() >= kMaxSteps) fail(ErrorCode::kLimit, "{}: too many decoders", fields.place());
  steps_.push_back(std::move(*step));
}

std::unique_ptr<Decoder::Run> Decoder::start(bool streaming) const {
  auto run = std::make_unique<Run>();
  bool chunked = false;  // tokens have been joined: what comes is one token, bit by bit
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const bool in_bits =
        streaming && std::all_of(steps_.begin() + static_cast<std::ptrdiff_t>(i), steps_.end(),
                                 [](const Step& step) { return step.make_chunked != nullptr; });
    if (chunked && in_bits) {
      run->steps_.push_back(steps_[i].make_chunked());
      continue;
    }
    if (chunked) run->steps_.push_back(make_gather());
    run->steps_.push_back(steps_[i].make(streaming));
    chunked = steps_[i].joins;
  }
  for (std::size_t i = 0; i < run->steps_.size(); ++i) {
    run->sinks_.push_back(
        [self = run.get(), i](std::string&& token) { self->feed(i + 1, std::move(token)); });
  }
  return run;
}

void Decoder::Run::feed(std::size_t step, std::string&& token) {
  if (step == steps_.size()) {
    out_ += token;
  } else {
    steps_[step]->push(std::move(token), sinks_[step]);
  }
}

std::string Decoder::Run::push(std::string_view token) {
  feed(0, std::string(token));
  return std::exchange(out_, {});
}

std::string Decoder::Run::finish() {
  for (std::size_t i = 0; i < steps_.size(); ++i) steps_[i]->finish(sinks_[i]);
  return std::exchange(out_, {});
}

}  // namespace haq::text
