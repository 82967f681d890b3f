// SPDX-License-Identifier: GPL-3.0-or-later
// Any JSON as messages, tools and variables of a few real templates: all of it is user data.
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/text/chat_template.h"

namespace {

constexpr std::array kTemplates = {
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    "{% for m in messages %}{% if m.content is string %}{{ m.content.split('x')[-1].strip('\n') }}"
    "{% else %}{% for part in m.content %}{{ part.text | trim }}{% endfor %}{% endif %}"
    "{% for call in m.tool_calls %}{{ call.function.arguments | tojson(indent=2) }}{% endfor %}"
    "{{ m.reasoning_content }}{% endfor %}",
    "{{ tools | tojson }}{{ messages }}{{ messages | map(attribute='role') | join(',') }}"
    "{% for k, v in messages[0] | dictsort %}{{ k | upper }}{{ v | string | length }}{% endfor %}"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    auto messages = haq::parse_ordered_json(
        std::string_view(reinterpret_cast<const char*>(data), size), "messages");
    nlohmann::ordered_json tools = messages;
    nlohmann::ordered_json extra = {{"extra", messages}};
    haq::text::TemplateInput input;
    input.messages = &messages;
    input.tools = &tools;
    input.extra = &extra;
    for (const char* source : kTemplates) {
      try {
        haq::text::ChatTemplate::parse(source, "fuzz")->render(input);
      } catch (const haq::Error&) {
      }
    }
  } catch (const haq::Error&) {
  }
  return 0;
}
