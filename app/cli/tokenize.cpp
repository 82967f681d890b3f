// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/model_options.h"

namespace haq::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr Option kOptions[] = {
    {"--text", Kind::kText, "TEXT", "", "text to encode"},
    {"--file", Kind::kFile, "FILE", "", "UTF-8 file to encode"},
    {"--no-special", Kind::kFlag, "", "",
     "add no special tokens; with --decode, leave them out of the text"},
    {"--decode", Kind::kText, "IDS", "", "token ids to turn into text, for example 1,2,3"},
};

int run(const Arguments& arguments) {
  const int sources = static_cast<int>(arguments.given("--text")) +
                      static_cast<int>(arguments.given("--file")) +
                      static_cast<int>(arguments.given("--decode"));
  if (sources != 1) {
    throw UsageError("one of --text, --file and --decode is needed", "give exactly one of them");
  }
  const bool special = !arguments.flag("--no-special");
  const bool decode = arguments.given("--decode");
  std::vector<std::int32_t> ids;
  if (decode) ids = parse_ids(arguments.text("--decode"), "--decode");
  const auto tokenizer = text::Tokenizer::load(model_folder(arguments));
  if (!decode) {
    const std::string input = arguments.given("--text") ? arguments.text("--text")
                                                        : read_utf8_file(arguments.text("--file"));
    text::Tokenizer::EncodeOptions options;
    options.add_special = special;
    ids = tokenizer->encode(input, options);
  }
  const std::string text = tokenizer->decode(ids, decode && !special);
  if (arguments.flag("--json")) {
    Json pieces = Json::array();
    for (const std::int32_t id : ids) pieces.push_back(tokenizer->piece(id));
    print_json({{"ids", ids}, {"pieces", pieces}, {"text", text}});
  } else if (decode) {
    print(text + "\n");
  } else {
    std::string lines;
    for (const std::int32_t id : ids) lines += fmt::format("{:>8}  {}\n", id, tokenizer->piece(id));
    print(lines);
  }
  return kExitDone;
}

}  // namespace

Command tokenize_command() {
  return {"tokenize",
          "turn text into token ids and back",
          "Encodes text with the model's tokenizer.json and shows ids and pieces, or decodes ids.",
          {model_positional()},
          {kOptions},
          {{"haq tokenize --text \"Hello, world\" --json", "ids and pieces of a text"},
           {"haq tokenize --decode 1,2,3 --no-special", "text of three ids"}},
          run};
}

}  // namespace haq::cli
