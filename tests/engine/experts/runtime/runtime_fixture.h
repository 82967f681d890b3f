// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/experts/runtime/runtime.h"
#include "engine/experts/trace.h"
#include "tests/engine/nn/decoder_fixture.h"
#include "tests/support/golden.h"
#include "tests/support/paths.h"

namespace haq::test {

/// A reference model of tests/golden with a prompt.
class TestMoe {
 public:
  /// `int8`: plainly rounded to it, else in the checking mode. Both promise equal bits.
  TestMoe(const std::string& model, bool int8);

  nn::Decoder& decoder() const { return *decoder_; }
  const std::vector<std::int32_t>& ids() const { return ids_; }
  experts::ExpertShape shape() const { return experts::shape_of(*decoder_); }

  /// Reads the prompt in chunks but for its last `decoded` ids, which are fed one by one as an
  /// answer's are. Returns the logits of all rows. `seen`, when given, gets the paths.
  std::vector<float> run(std::size_t chunk, std::size_t decoded,
                         experts::Trace* seen = nullptr) const;

 private:
  TempDir folder_;
  std::unique_ptr<nn::Decoder> decoder_;
  std::vector<std::int32_t> ids_;
};

class Int8Moe : public TestMoe {
 public:
  explicit Int8Moe(const std::string& model) : TestMoe(model, true) {}
};

/// Times that make every lane worth its while: CPU 100 us and 4 more per token, device 10, copy 60.
experts::CostTable some_costs();

/// An emulated device that does not wait for its modelled link; memory 0: no limit.
std::shared_ptr<device::SlotDevice> quick_device(std::size_t memory_bytes = 0);

/// A runtime attached to a decoder while the object lives.
class Attached {
 public:
  Attached(nn::Decoder& decoder, std::shared_ptr<device::SlotDevice> device,
           const experts::RuntimeOptions& options)
      : decoder_(decoder),
        runtime_(experts::ExpertRuntime::make(decoder, std::move(device), options)) {
    decoder_.set_expert_runner(runtime_);
  }
  ~Attached() { decoder_.set_expert_runner(nullptr); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  experts::ExpertRuntime* operator->() const { return runtime_.get(); }

 private:
  nn::Decoder& decoder_;
  std::shared_ptr<experts::ExpertRuntime> runtime_;
};

/// Options with some_costs(), a plan of the first `capacity` / 2 experts and, for the policies that
/// learn, no history.
experts::RuntimeOptions runtime_options(const experts::ExpertShape& shape,
                                        const std::string& policy, int capacity,
                                        experts::MissMode miss);

/// 0, one expert, one less than a token uses in a layer, a quarter, all.
std::vector<int> some_capacities(const experts::ExpertShape& shape);

inline constexpr experts::MissMode kMissModes[] = {
    experts::MissMode::kCpu, experts::MissMode::kUpload, experts::MissMode::kAuto};

}  // namespace haq::test
