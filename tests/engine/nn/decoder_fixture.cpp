// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/engine/nn/decoder_fixture.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "engine/device/emulated/emulated_device.h"
#include "engine/device/host/host_device.h"

namespace haq::test {
namespace {

device::Isa isa_of(const std::string& name) {
  for (const device::Isa isa : {device::Isa::kScalar, device::Isa::kAvx2, device::Isa::kAvxVnni,
                                device::Isa::kAvx512, device::Isa::kNative}) {
    if (name == device::to_string(isa)) return isa;
  }
  throw std::runtime_error("no instruction set " + name);
}

}  // namespace

std::unique_ptr<nn::Decoder> load_decoder(const std::filesystem::path& folder,
                                          const LoadSettings& settings) {
  std::shared_ptr<device::Device> device;
  if (settings.emulated) {
    device::EmulatedOptions emulated;
    emulated.threads = settings.threads;
    emulated.max_isa = isa_of(settings.isa);
    device = device::make_emulated_device(emulated);
  } else {
    device::HostOptions host;
    host.threads = settings.threads;
    host.max_isa = isa_of(settings.isa);
    device = device::make_host_device(host);
  }
  nn::DecoderOptions options;
  options.compute = settings.compute;
  options.prefill_chunk = settings.prefill_chunk;
  return nn::Decoder::load(model::Checkpoint::open(folder), std::move(device), options);
}

std::vector<float> append(nn::Decoder& decoder, nn::Sequence& sequence,
                          std::span<const std::int32_t> ids, std::size_t chunk) {
  sequence.set_planned_length(sequence.length() + static_cast<std::int64_t>(ids.size()));
  std::vector<float> logits;
  for (std::size_t begin = 0; begin < ids.size(); begin += chunk) {
    const nn::Segment segment{&sequence, ids.subspan(begin, std::min(chunk, ids.size() - begin)),
                              nn::Segment::Logits::kAll};
    const std::span<const float> rows = decoder.forward(std::span(&segment, 1));
    logits.insert(logits.end(), rows.begin(), rows.end());
  }
  return logits;
}

std::vector<float> run_prompt(nn::Decoder& decoder, std::span<const std::int32_t> ids,
                              std::size_t chunk) {
  const std::unique_ptr<nn::Sequence> sequence = decoder.new_sequence();
  return append(decoder, *sequence, ids, chunk);
}

std::vector<std::int32_t> continue_greedily(nn::Decoder& decoder,
                                            std::span<const std::int32_t> prompt,
                                            std::size_t count) {
  const std::unique_ptr<nn::Sequence> sequence = decoder.new_sequence();
  std::vector<std::int32_t> result;
  std::vector<std::int32_t> next(prompt.begin(), prompt.end());
  while (result.size() < count) {
    const nn::Segment segment{sequence.get(), next, nn::Segment::Logits::kLast};
    next = {argmax(decoder.forward(std::span(&segment, 1)))};
    result.push_back(next.front());
  }
  return result;
}

std::int32_t argmax(std::span<const float> values) {
  return static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Deviation deviation(std::span<const float> values, std::span<const float> expected) {
  if (values.size() != expected.size() || values.empty()) {
    throw std::runtime_error("deviation of " + std::to_string(values.size()) + " and " +
                             std::to_string(expected.size()) + " values");
  }
  Deviation result;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double difference = std::abs(static_cast<double>(values[i]) - expected[i]);
    // Written so that a NaN is the largest deviation.
    if (!(difference <= result.max)) result.max = difference;
    result.rms += difference * difference;
  }
  result.rms = std::sqrt(result.rms / static_cast<double>(values.size()));
  return result;
}

bool same_bits(std::span<const float> left, std::span<const float> right) {
  return left.size() == right.size() &&
         std::memcmp(left.data(), right.data(), left.size() * sizeof(float)) == 0;
}

}  // namespace haq::test
