// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench.h"

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/expert_options.h"
#include "app/cli/model_options.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--synthetic", Kind::kText, "SHAPE", "",
     "random weights of a published shape instead of a folder: mixtral-8x7b, olmoe-1b-7b or "
     "qwen3-30b-a3b, each with an optional :layers=N"},
    {"--precision", Kind::kChoice, "P", "16bit",
     "weights of --synthetic; both measures one after the other, then decodes by turns with the "
     "two in memory",
     "16bit|w8a8|both"},
    {"--prefill", Kind::kText, "N,N", "512", "prompt lengths to measure"},
    {"--decode", Kind::kInteger, "N", "64", "tokens to decode per repeat", "", 0, 1000000},
    {"--depth", Kind::kInteger, "N", "0", "tokens in the cache before each measurement", "", 0,
     100000000},
    {"--batch", Kind::kInteger, "N", "1", "sequences decoded together", "", 1, 256},
    {"--all-logits", Kind::kFlag, "", "",
     "decode computes every logit, as for a digest, not only those that decide the next token"},
    {"--repeat", Kind::kInteger, "R", "5", "measured repeats, after one that is left out", "", 1,
     1000},
    {"--costs", Kind::kFlag, "", "",
     "also what one expert costs for growing numbers of tokens: measured here, or, with --device, "
     "the table that the run decided by"},
};

session::BenchOptions bench_options(const Arguments& arguments) {
  session::BenchOptions options;
  options.prefill.clear();
  for (const std::int32_t length : parse_ids(arguments.text("--prefill"), "--prefill")) {
    if (length > 0) options.prefill.push_back(length);  // 0: no prefill measurement
  }
  options.decode = static_cast<int>(arguments.integer("--decode"));
  options.depth = static_cast<int>(arguments.integer("--depth"));
  options.batch = static_cast<int>(arguments.integer("--batch"));
  options.all_logits = arguments.flag("--all-logits");
  options.repeat = static_cast<int>(arguments.integer("--repeat"));
  return options;
}

/// null for a figure that could not be measured.
Json known(double value) {
  return value > 0 ? Json(value) : Json();
}

Json speed_json(const session::MeanStd& speed) {
  return {{"mean", speed.mean}, {"std", speed.std}};
}

Json result_json(session::Model& model, const session::BenchOptions& options,
                 const session::BenchResult& result) {
  Json json;
  const Json none;
  json["prefill_tokens_per_s"] =
      result.prefill.empty() ? none : Json(result.prefill.back().tokens_per_s.mean);
  json["prefill"] = Json::array();
  for (const session::PrefillSpeed& speed : result.prefill) {
    json["prefill"].push_back({{"tokens", speed.tokens},
                               {"tokens_per_s", speed_json(speed.tokens_per_s)},
                               {"gops", speed.gops},
                               {"gemm_share", known(speed.share)}});
  }
  json["decode_tokens_per_s"] = speed_json(result.decode_tokens_per_s);
  json["weight_bytes_per_token"] = result.weight_bytes_per_token;
  json["head_bytes_per_token"] = result.head_bytes_per_token;
  json["weight_gb_per_s"] = known(result.weight_gb_per_s);
  json["read_gb_per_s"] = known(result.read_gb_per_s);
  json["decode_share"] = known(result.decode_share);
  json["roofline"] = Json::array();
  for (const session::RooflineRow& row : result.roofline) {
    json["roofline"].push_back({{"kernel", row.kernel},
                                {"unit", row.unit},
                                {"reached", row.reached},
                                {"peak", row.peak},
                                {"share", row.share}});
  }
  json["memory"] = {{"mapped_bytes", result.mapped_bytes},
                    {"packed_bytes", result.packed_bytes},
                    {"owned_bytes", result.owned_bytes},
                    {"kv_bytes", result.kv_bytes}};
  json["peak_rss_bytes"] = result.peak_rss_bytes;
  json["options"] = {{"prefill", options.prefill},       {"decode", options.decode},
                     {"depth", options.depth},           {"batch", options.batch},
                     {"all_logits", options.all_logits}, {"repeat", options.repeat}};
  json["complete"] = !result.cancelled;
  json["synthetic"] = model.checkpoint().is_synthetic();
  json["model"] = model_json(model);
  return json;
}

/// The frozen table of a run with a device, else a fresh one of this CPU. Null for a dense model.
Json costs_json(const Arguments& arguments, session::Model& model,
                session::ExpertSession* experts) {
  if (experts == nullptr) return nullptr;
  if (experts->device().kind != "cpu") {
    return to_json(experts->runtime().options().policy_options.costs);
  }
  ProgressDisplay progress(arguments.flag("--quiet"));
  Json json = to_json(experts::measure_costs(model.decoder(), nullptr, model.prefill_chunk(),
                                             progress.callback(), interrupt_token()));
  for (const char* field : {"device_us", "upload_fixed_us", "link_gb_s"}) json[field] = nullptr;
  return json;
}

std::string costs_text(const Json& costs) {
  std::string text =
      "an expert of " +
      session::format_bytes(static_cast<std::uint64_t>(costs["expert_bytes"].get<double>())) +
      ", us by tokens (" + costs["source"].get<std::string>() + ")\n";
  const auto row = [&](const char* name, const Json& knots) {
    text += fmt::format("  {:<8}", name);
    for (const Json& knot : knots) {
      text += fmt::format("  {:.0f}: {:.1f}", knot[0].get<double>(), knot[1].get<double>());
    }
    text += '\n';
  };
  row("CPU", costs["cpu_us"]);
  if (!costs["device_us"].is_null()) {
    row("device", costs["device_us"]);
    text += fmt::format("  copy      {:.1f} us + its bytes at {:.1f} GB/s\n",
                        costs["upload_fixed_us"].get<double>(), costs["link_gb_s"].get<double>());
  }
  return text;
}

std::string plain_text(const Json& json) {
  std::string text;
  const auto speed = [](const Json& value) {
    return fmt::format("{:10.1f} +- {:.1f} tokens/s", value["mean"].get<double>(),
                       value["std"].get<double>());
  };
  for (const Json& row : json["prefill"]) {
    text +=
        fmt::format("prefill {:<6}  {}\n", row["tokens"].get<int>(), speed(row["tokens_per_s"]));
  }
  if (json["decode_tokens_per_s"]["mean"] > 0) {
    text += fmt::format("decode          {}\n", speed(json["decode_tokens_per_s"]));
  }
  for (const Json& row : json["roofline"]) {
    text +=
        fmt::format("  {:<40}{:10.1f} of {:.1f} {}, {:3.0f} %\n", row["kernel"].get<std::string>(),
                    row["reached"].get<double>(), row["peak"].get<double>(),
                    row["unit"].get<std::string>(), 100 * row["share"].get<double>());
  }
  const auto bytes = [](const Json& value) {
    return session::format_bytes(value.get<std::uint64_t>());
  };
  const Json& memory = json["memory"];
  text += fmt::format(
      "memory          {} at most (weights mapped {}, packed {}, owned {}, KV cache {})\n",
      bytes(json["peak_rss_bytes"]), bytes(memory["mapped_bytes"]), bytes(memory["packed_bytes"]),
      bytes(memory["owned_bytes"]), bytes(memory["kv_bytes"]));
  if (json.contains("costs") && !json["costs"].is_null()) text += costs_text(json["costs"]);
  return text;
}

/// How much faster W8A8 reads prompts; null where one of the two was not measured.
Json prefill_ratio(const Json& w8a8, const Json& wide) {
  const Json &fast = w8a8["prefill_tokens_per_s"], &slow = wide["prefill_tokens_per_s"];
  const bool both = fast.is_number() && slow.is_number() && slow > 0 && fast > 0;
  return both ? Json(fast.get<double>() / slow.get<double>()) : Json();
}

std::string ratio_text(const Json& ratio) {
  const std::string none = "not measured";
  const Json &prefill = ratio["prefill"], &decode = ratio["decode"];
  return fmt::format(
      "W8A8 over 16-bit: prefill {}, decode {}\n",
      prefill.is_number() ? fmt::format("{:.2f} times", prefill.get<double>()) : none,
      decode.is_number() ? fmt::format("{:.2f} +- {:.2f} times (by turns)", decode.get<double>(),
                                       ratio["decode_std"].get<double>())
                         : none);
}

struct Loaded {
  std::shared_ptr<session::Model> model;
  std::unique_ptr<session::ExpertSession> experts;
};

Loaded load_with_experts(const Arguments& arguments, const session::LoadOptions& load,
                         const session::ExpertOptions& expert_options) {
  Loaded loaded{load_model(arguments, load), nullptr};
  loaded.experts = attach_experts(arguments, loaded.model, expert_options);
  if (loaded.experts) loaded.experts->begin_prompt();
  return loaded;
}

Json measure(const Arguments& arguments, const Loaded& loaded,
             const session::BenchOptions& options) {
  session::ExpertSession* experts = loaded.experts.get();
  session::BenchResult result;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    result = session::bench(*loaded.model, options, progress.callback(), interrupt_token());
  }
  Json json = result_json(*loaded.model, options, result);
  if (experts != nullptr) {
    json["experts"] = finish_experts(arguments, *experts, result.work_seconds);
    note_experts(arguments, experts);
  }
  if (arguments.flag("--costs") && !result.cancelled) {
    json["costs"] = costs_json(arguments, *loaded.model, experts);
  }
  return json;
}

/// Each precision alone, then decode by turns with both in memory.
Json measure_both(const Arguments& arguments, session::LoadOptions load,
                  const session::BenchOptions& options,
                  const session::ExpertOptions& expert_options) {
  Json json = measure(arguments, load_with_experts(arguments, load, expert_options), options);
  if (!json["complete"]) return json;
  load.synthetic_quantized = false;
  const Loaded wide = load_with_experts(arguments, load, expert_options);
  json["16bit"] = measure(arguments, wide, options);
  json["complete"] = json["16bit"]["complete"];
  json["ratio"] = {{"prefill", prefill_ratio(json, json["16bit"])},
                   {"decode", nullptr},
                   {"decode_std", nullptr}};
  if (!json["complete"] || options.decode == 0) return json;
  load.synthetic_quantized = true;
  try {
    const Loaded w8a8 = load_with_experts(arguments, load, expert_options);
    ProgressDisplay progress(arguments.flag("--quiet"));
    const session::MeanStd ratio = session::compare_decode(*w8a8.model, *wide.model, options,
                                                           progress.callback(), interrupt_token());
    json["ratio"]["decode"] = ratio.mean;
    json["ratio"]["decode_std"] = ratio.std;
  } catch (const Error& error) {
    if (error.code() == ErrorCode::kOutOfMemory) {
      note(arguments, std::string("no decode by turns: ") + error.what());
    } else if (error.code() == ErrorCode::kCancelled) {
      json["complete"] = false;
    } else {
      throw;
    }
  }
  return json;
}

int finish(const Arguments& arguments, const Json& json) {
  if (arguments.flag("--json")) {
    print_json(json);
  } else if (json.contains("16bit")) {
    print("W8A8\n" + plain_text(json) + "\n16-bit\n" + plain_text(json["16bit"]) + "\n" +
          ratio_text(json["ratio"]));
  } else {
    print(plain_text(json));
  }
  return json["complete"].get<bool>() ? kExitDone : kExitInterrupted;
}

int run(const Arguments& arguments) {
  const session::BenchOptions options = bench_options(arguments);
  session::LoadOptions load = load_options(arguments);
  const session::ExpertOptions experts = expert_options_from(arguments);
  if (!arguments.given("--synthetic")) {
    if (arguments.given("--precision")) {
      throw UsageError("--precision needs --synthetic", "a folder has the precision it has");
    }
    return finish(arguments,
                  measure(arguments, load_with_experts(arguments, load, experts), options));
  }
  if (arguments.given("MODEL")) {
    throw UsageError("both MODEL and --synthetic are given", "give one of them");
  }
  load.folder.clear();
  load.synthetic = arguments.text("--synthetic");
  const std::string precision = arguments.text("--precision");
  if (precision == "both" && arguments.given("--record")) {
    throw UsageError("--record with --precision both would record two models",
                     "measure one precision at a time");
  }
  load.synthetic_quantized = precision != "16bit";
  if (precision == "both") {
    return finish(arguments, measure_both(arguments, load, options, experts));
  }
  return finish(arguments,
                measure(arguments, load_with_experts(arguments, load, experts), options));
}

}  // namespace

Command bench_command() {
  return {"bench",
          "measure speed and memory",
          "Measures how fast prompts are read and tokens are written, and compares with what the "
          "machine reaches on a plain read of memory (the share of a decode) and on oneDNN's own "
          "matrix products of the same shapes in the same precision, weights in cache (the share "
          "of a prompt: all its time against its linear layers alone). Weights that fit the caches "
          "can pass 100 % of a plain read. Speeds are means over the repeats with their standard "
          "deviation. Figures repeat on an idle machine with more layers than the caches hold: the "
          "second and third example give those of a W8A8 model.",
          {model_positional()},
          {kOptions, run_options(), expert_options(), record_option()},
          {{"haq bench --json", "the demo model"},
           {"haq bench --synthetic olmoe-1b-7b:layers=8 --precision both --prefill 512",
            "random weights of a real shape, W8A8 against 16-bit"},
           {"haq bench --synthetic mixtral-8x7b:layers=1 --precision both --prefill 512",
            "fewer and larger experts"},
           {"haq bench --synthetic mixtral-8x7b:layers=1 --precision w8a8 --device emulated --vram "
            "50%",
            "half of the experts on an emulated device; its times are modelled"}},
          run};
}

}  // namespace haq::cli
