// SPDX-License-Identifier: GPL-3.0-or-later
// Any template over fixed messages: it renders or fails with one Error, within its limits, and the
// pieces are valid UTF-8 that never claims a message's text for the template.
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/error.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"

using namespace haq::text::jinja;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string source(reinterpret_cast<const char*>(data), size);
  try {
    (void)nlohmann::json(source).dump();
  } catch (const nlohmann::json::exception&) {
    return 0;  // not UTF-8: refused before it gets here
  }
  Limits limits;
  limits.max_steps = 200'000;
  limits.max_time = std::chrono::milliseconds(500);
  limits.max_string = std::size_t{1} << 20;
  limits.max_memory = std::size_t{32} << 20;
  const Budget budget(limits);
  try {
    const auto program = parse_template(source);
    // U+E000 stands for user data: no template text may turn into it, and it must stay marked.
    const auto messages = nlohmann::ordered_json::parse(
        R"([{"role":"\ue000","content":"\ue000 a\ue000B\n12","tool_calls":[{"k":[1,2.5,null,true]}]},
            {"role":"\ue000","content":""}])");
    Interpreter interpreter({{"messages", from_json(messages, Origin::kUser)},
                             {"x", make_string("Template text")},
                             {"n", Value(std::int64_t{3})}},
                            [] { return std::chrono::system_clock::time_point(); });
    StrBuilder out;
    interpreter.run(program, out);
    (void)nlohmann::json(std::string(out.view())).dump();
    if (source.find('\\') == std::string::npos && source.find("\ue000") == std::string::npos &&
        source.find('%') == std::string::npos && source.find("format") == std::string::npos) {
      std::size_t begin = 0;
      for (const Run& run : out.runs()) {
        const auto piece = out.view().substr(begin, run.end - begin);
        if (run.origin == Origin::kTemplate && piece.find("\ue000") != std::string_view::npos) {
          std::abort();
        }
        begin = run.end;
      }
    }
  } catch (const haq::Error&) {
  }
  return 0;
}
