// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/session/bench.h"

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--synthetic", Kind::kText, "SHAPE", "",
     "random weights of a published shape instead of a folder: mixtral-8x7b, olmoe-1b-7b or "
     "qwen3-30b-a3b, each with an optional :layers=N"},
    {"--precision", Kind::kChoice, "P", "16bit", "weights of --synthetic", "16bit|w8a8"},
    {"--prefill", Kind::kText, "N,N", "512", "prompt lengths to measure"},
    {"--decode", Kind::kInteger, "N", "64", "tokens to decode per repeat", "", 0, 1000000},
    {"--depth", Kind::kInteger, "N", "0", "tokens in the cache before each measurement", "", 0,
     100000000},
    {"--batch", Kind::kInteger, "N", "1", "sequences decoded together", "", 1, 256},
    {"--repeat", Kind::kInteger, "R", "5", "measured repeats, after one that is left out", "", 1,
     1000},
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
  json["options"] = {{"prefill", options.prefill},
                     {"decode", options.decode},
                     {"depth", options.depth},
                     {"batch", options.batch},
                     {"repeat", options.repeat}};
  json["complete"] = !result.cancelled;
  json["synthetic"] = model.checkpoint().is_synthetic();
  json["model"] = model_json(model);
  return json;
}

void print_plain(const Json& json) {
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
  print(text);
}

int run(const Arguments& arguments) {
  const session::BenchOptions options = bench_options(arguments);
  session::LoadOptions load;
  if (arguments.given("--synthetic")) {
    if (arguments.given("MODEL")) {
      throw UsageError("both MODEL and --synthetic are given", "give one of them");
    }
    load = load_options(arguments);
    load.folder.clear();
    load.synthetic = arguments.text("--synthetic");
    load.synthetic_quantized = arguments.text("--precision") == "w8a8";
  } else {
    if (arguments.given("--precision")) {
      throw UsageError("--precision needs --synthetic", "a folder has the precision it has");
    }
    load = load_options(arguments);
  }
  const std::shared_ptr<session::Model> model = load_model(arguments, load);
  session::BenchResult result;
  {
    ProgressDisplay progress(arguments.flag("--quiet"));
    result = session::bench(*model, options, progress.callback(), interrupt_token());
  }
  const Json json = result_json(*model, options, result);
  if (arguments.flag("--json")) {
    print_json(json);
  } else {
    print_plain(json);
  }
  return result.cancelled ? kExitInterrupted : kExitDone;
}

}  // namespace

Command bench_command() {
  return {"bench",
          "measure speed and memory",
          "Measures how fast prompts are read and tokens are written, and compares with what the "
          "machine "
          "reaches on a plain read of memory and on the library's own matrix products of the same "
          "shapes (weights that fit the caches can pass 100 % of the former). Speeds are means "
          "over the "
          "repeats with their standard deviation.",
          {model_positional()},
          {kOptions, run_options()},
          {{"haq bench --json", "the demo model"},
           {"haq bench --synthetic olmoe-1b-7b:layers=4 --prefill 128,512",
            "random weights of a real shape"}},
          run};
}

}  // namespace haq::cli
