// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/rotation_choice.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/base/error.h"

namespace haq::quant {

namespace {

constexpr const char* kStateKey = "rotation";
constexpr std::size_t kTrialSequences = 8, kTrialLength = 256;

/// The beginnings of sequences, up to about as many ids as kTrialSequences full ones.
std::vector<std::vector<std::int32_t>> trial_sequences(
    std::span<const std::vector<std::int32_t>> sequences) {
  std::vector<std::vector<std::int32_t>> pieces;
  std::size_t left = kTrialSequences * kTrialLength;
  for (const auto& sequence : sequences) {
    const std::size_t length = std::min({sequence.size(), kTrialLength, left});
    if (length < 2) break;
    pieces.emplace_back(sequence.begin(), sequence.begin() + static_cast<std::ptrdiff_t>(length));
    left -= length;
  }
  return pieces;
}

nlohmann::ordered_json to_state(const RotationChoice& choice) {
  nlohmann::ordered_json state;
  state["seed"] =
      choice.rotation ? nlohmann::ordered_json(choice.rotation->seed()) : nlohmann::ordered_json();
  state["reason"] = choice.reason;
  state["notices"] = choice.notices;
  state["trials"] = nlohmann::ordered_json::array();
  for (const RotationTrial& trial : choice.trials) {
    state["trials"].push_back(
        {{"rotated", trial.rotated}, {"seed", trial.seed}, {"kld", trial.kld}});
  }
  return state;
}

/// Empty when the file says something else than to_state() writes: the search is then made again.
std::optional<RotationChoice> from_state(const nlohmann::json& state,
                                         const model::ModelConfig& config) {
  try {
    RotationChoice choice;
    choice.reason = state.at("reason").get<std::string>();
    choice.notices = state.at("notices").get<std::vector<std::string>>();
    for (const auto& trial : state.at("trials")) {
      choice.trials.push_back({trial.at("rotated").get<bool>(),
                               trial.at("seed").get<std::uint64_t>(),
                               trial.at("kld").get<double>()});
    }
    if (!state.at("seed").is_null()) {
      choice.rotation =
          std::make_shared<const Rotation>(config, state.at("seed").get<std::uint64_t>());
    }
    return choice;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

/// Decided without a trial, if it can be.
std::optional<RotationChoice> without_trial(const RotationRequest& request,
                                            const model::ModelConfig& config) {
  RotationChoice none;
  if (request.method != Method::kHaq) {
    none.reason = fmt::format("the method {} does not rotate", to_string(request.method));
    return none;
  }
  if (request.mode == RotateMode::kOff) {
    none.reason = "switched off";
    return none;
  }
  const std::optional<std::string> obstacle = Rotation::obstacle(config);
  if (obstacle && request.mode == RotateMode::kOn) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{} cannot be rotated: {}", config.architecture, *obstacle),
                "leave the choice to the program (rotate auto), or switch rotation off");
  }
  if (obstacle) {
    none.reason = *obstacle;
    return none;
  }
  if (request.seeds < 1) {
    fail(ErrorCode::kInvalidArgument, "{} rotations are to be tried, expected 1 or more",
         request.seeds);
  }
  return std::nullopt;
}

}  // namespace

RotationChoice choose_rotation(const RotationRequest& request,
                               const std::shared_ptr<const model::Checkpoint>& source,
                               const std::shared_ptr<device::Device>& device, ThreadPool& pool,
                               std::span<const std::vector<std::int32_t>> sequences,
                               const PipelineOptions& options, WorkFolder& work,
                               const ProgressCallback& progress, const CancelToken& cancel) {
  if (auto decided = without_trial(request, source->config())) return std::move(*decided);
  if (const auto state = work.load_state(kStateKey)) {
    if (auto decided = from_state(*state, source->config())) return std::move(*decided);
  }
  std::vector<std::uint64_t> seeds;
  for (int i = 0; i < request.seeds; ++i) {
    seeds.push_back(request.first_seed + static_cast<std::uint64_t>(i));
  }
  RotationSearch search =
      search_rotation(source, device, pool, trial_sequences(sequences),
                      LayerRecipe::quick(request.method, source->config()), seeds,
                      request.mode == RotateMode::kAuto, options, progress, cancel);
  if (!search.best && request.mode == RotateMode::kOn) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: no rotation leaves the model's results unchanged{}{}",
                            source->name(), search.notices.empty() ? "" : ": ",
                            search.notices.empty() ? "" : search.notices.front()),
                "switch rotation off");
  }
  RotationChoice choice{search.best, {}, std::move(search.trials), std::move(search.notices)};
  if (!choice.rotation) choice.reason = "no rotation was better in the trials";
  work.save_state(kStateKey, to_state(choice));
  return choice;
}

}  // namespace haq::quant
