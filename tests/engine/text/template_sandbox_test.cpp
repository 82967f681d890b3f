// SPDX-License-Identifier: GPL-3.0-or-later
// Hostile templates: every one ends with one clear error, soon and without eating the machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "engine/base/error.h"
#include "engine/text/chat_template.h"
#include "engine/text/jinja/interpreter.h"
#include "engine/text/jinja/parser.h"
#include "tests/support/paths.h"

namespace haq::text {
namespace {

using nlohmann::ordered_json;
using ::testing::HasSubstr;

std::string repeated(const std::string& part, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += part;
  return text;
}

std::string render(const std::string& source) {
  ordered_json messages = ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
  TemplateInput input;
  input.messages = &messages;
  return ChatTemplate::parse(source, "evil.jinja")->render_text(input);
}

struct Failure {
  ErrorCode code;
  std::string message;
};

Failure failure_of(const std::string& source) {
  try {
    const std::string text = render(source);
    ADD_FAILURE() << "rendered " << text.size() << " bytes";
    return {ErrorCode::kInternal, ""};
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("evil.jinja"));
    return {error.code(), error.what()};
  }
}

/// Runs a template with little time, so that the tests end soon.
void run_briefly(const std::string& source) {
  jinja::Limits limits;
  limits.max_time = std::chrono::milliseconds(100);
  const jinja::Budget budget(limits);
  const auto program = jinja::parse_template(source);
  jinja::Interpreter interpreter({}, [] { return std::chrono::system_clock::now(); });
  jinja::StrBuilder out;
  interpreter.run(program, out);
}

class Endless : public ::testing::TestWithParam<std::string> {};

TEST_P(Endless, EndsInTime) {
  try {
    run_briefly(GetParam());
    FAIL() << "it ended";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kLimit);
    EXPECT_THAT(error.what(), HasSubstr("runs longer than"));
  }
}

class Bomb : public ::testing::TestWithParam<std::string> {};

TEST_P(Bomb, EndsAtALimit) {
  EXPECT_EQ(failure_of(GetParam()).code, ErrorCode::kLimit);
}

INSTANTIATE_TEST_SUITE_P(
    Time, Endless,
    ::testing::Values(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% set x = range(99999) | sum %}{% endfor %}",
        "{% for a in range(99999) %}{% set x = range(99999) | map('string') | join %}{% endfor %}",
        "{% set s = 'ab' * 1000000 %}{% for a in range(99999) %}{% set x = 'ba' * 9 in s %}"
        "{% set y = s.upper() %}{% endfor %}",
        "{% set s = 'a' * 5000000 %}{% for a in range(99999) %}{% set x = s.split('b') %}"
        "{% set x = s.replace('a', 'b') %}{% endfor %}",
        "{% set s = 'é' * 5000000 %}{% for a in range(99999) %}{% set x = s[4999999] %}{% endfor "
        "%}",
        "{% macro f(n) %}{% if n > 0 %}{% set a = f(n - 1) %}{% set b = f(n - 1) %}{% endif %}"
        "{% endmacro %}{{ f(60) }}"));

INSTANTIATE_TEST_SUITE_P(
    Memory, Bomb,
    ::testing::Values(
        "{{ 'a' * 1000000000 }}", "{{ 'a' * 9223372036854775807 }}", "{{ [1] * 1000000000 }}",
        "{{ [[]] * 9223372036854775807 }}", "{{ '%1000000000d' % 1 }}",
        "{{ '{:1000000000}'.format(1) }}", "{{ '%.1000000000f' % 1.0 }}",
        "{{ 'a'.ljust(9223372036854775807) }}", "{{ 'a'.center(1000000000) }}",
        "{{ 'a' | center(1000000000) }}", "{{ '1'.zfill(1000000000) }}",
        "{{ '\\t'.expandtabs(1000000000) }}", "{{ 'a\\nb' | indent(1000000000) }}",
        "{{ [1] | batch(1000000000, 0) | list }}", "{{ [1] | slice(1000000000) | list }}",
        "{{ [1] | tojson(indent=1000000000) }}", "{{ range(1000000000) }}",
        "{{ range(0, 9223372036854775807, 1) }}",
        "{% set ns = namespace(s='a') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}"
        "{% endfor %}",
        "{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}"
        "{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}"
        "{% set ns.l = ns.l + ['a' * 1000000] %}{% endfor %}",
        "{% set ns = namespace(s='<') %}{% for i in range(99) %}{% set ns.s = ns.s | replace('<', "
        "'<<') %}{% endfor %}",
        "{% set ns = namespace(s='&') %}{% for i in range(99) %}{% set ns.s = (ns.s ~ ns.s) | e "
        "%}{% endfor %}",
        "{% set x %}{% for i in range(99999) %}{{ 'a' * 1000 }}{% endfor %}{% endset %}"));

INSTANTIATE_TEST_SUITE_P(
    Output, Bomb,
    ::testing::Values("{% for a in range(99999) %}{{ 'a' * 1000 }}{% endfor %}",
                      "{% set s = 'a' * 1000000 %}{% for a in range(99999) %}{{ s }}{% endfor %}"));

INSTANTIATE_TEST_SUITE_P(
    Depth, Bomb,
    ::testing::Values(
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(x) %}{{ [x] | map('string') | first }}{{ f(x) }}{% endmacro %}{{ f(1) }}",
        "{% macro f() %}{% call f() %}{{ caller() }}{% endcall %}{{ caller() }}{% endmacro %}"
        "{% call f() %}x{% endcall %}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor "
        "%}{{ ns.l }}",
        "{% set ns = namespace(d={}) %}{% for i in range(9999) %}{% set ns.d = {'k': ns.d} %}"
        "{% endfor %}{{ ns.d | tojson }}"));

INSTANTIATE_TEST_SUITE_P(
    Parser, Bomb,
    ::testing::Values(
        "{{ " + repeated("(", 100000) + "1" + repeated(")", 100000) + " }}",
        "{{ " + repeated("[", 100000) + repeated("]", 100000) + " }}",
        "{{ " + repeated("{1:", 100000) + "1" + repeated("}", 100000) + " }}",
        "{{ " + repeated("not ", 100000) + "1 }}", "{{ " + repeated("- ", 100000) + "1 }}",
        "{{ 1" + repeated(" + 1", 100000) + " }}", "{{ 1" + repeated(" ** 1", 100000) + " }}",
        "{{ x" + repeated(".a", 100000) + " }}", "{{ x" + repeated("[0]", 100000) + " }}",
        "{{ x" + repeated("()", 100000) + " }}", "{{ x" + repeated("|upper", 100000) + " }}",
        "{{ x" + repeated(" if x", 100000) + " }}",
        "{{ 1" + repeated(" if 1 else 1", 100000) + " }}",
        "{{ f" + repeated("(a=f", 100000) + repeated(")", 100000) + " }}",
        repeated("{% if 1 %}", 100000), repeated("{% for a in b %}", 100000),
        repeated("{% set a %}", 100000),
        "{% for " + repeated("(", 100000) + "a" + repeated(")", 100000) + " in b %}",
        "{% set x" + repeated("|upper", 100000) + "%}{% endset %}"));

INSTANTIATE_TEST_SUITE_P(
    Numbers, Bomb,
    ::testing::Values("{{ 9223372036854775807 + 1 }}", "{{ -9223372036854775807 - 2 }}",
                      "{{ 9223372036854775807 * 2 }}", "{{ 10 ** 1000 }}",
                      "{{ 2 ** 9223372036854775807 }}", "{{ (-9223372036854775807 - 1) // -1 }}",
                      "{{ -(-9223372036854775807 - 1) }}", "{{ 99999999999999999999 }}",
                      "{{ '99999999999999999999' | int }}", "{{ 1e30 | int }}"));

TEST(TemplateSandbox, LongFlatTemplatesAreFine) {
  EXPECT_EQ(render("{{ 1" + repeated(" ~ 1", 10000) + " }}").size(), 10001U);
  EXPECT_EQ(render("{{ 1" + repeated(" and 1", 10000) + " }}"), "1");
  EXPECT_EQ(render("{% if 0 %}" + repeated("{% elif 0 %}", 10000) + "{% else %}x{% endif %}"), "x");
  EXPECT_EQ(render(repeated("{{ 1 }}", 10000)).size(), 10000U);
}

TEST(TemplateSandbox, CirclesAreTakenApart) {
  EXPECT_EQ(render("{% set ns = namespace(n=1) %}{% set ns.me = ns %}{{ ns.me.me.n }}"), "1");
  EXPECT_EQ(failure_of("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns }}").code,
            ErrorCode::kLimit);
  EXPECT_EQ(render("{% macro m() %}{{ m }}{% endmacro %}{% set k = m %}{{ m() }}"), "<Macro 'm'>");
  // A chain far deeper than the stack could destroy recursively.
  EXPECT_EQ(render("{% set ns = namespace(head=0) %}{% for i in range(50000) %}"
                   "{% set next = namespace(head=ns.head) %}{% set ns.head = next %}{% endfor %}x"),
            "x");
  EXPECT_EQ(failure_of("{% set ns = namespace(head=0) %}{% for i in range(50000) %}"
                       "{% set next = namespace(head=ns.head) %}{% set ns.head = next %}"
                       "{% endfor %}{{ ns }}")
                .code,
            ErrorCode::kLimit);
}

TEST(TemplateSandbox, HidesInternals) {
  for (const char* source :
       {"{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ messages[0].update({}) }}",
        "{{ messages[0].pop('role') }}", "{{ range.__globals__.x }}",
        "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ namespace(_x=1) }}",
        "{{ '{0.__class__.__mro__}'.format('') }}", "{% include 'x' %}", "{% import 'x' as y %}",
        "{% from 'x' import y %}", "{% extends 'x' %}", "{{ [1] | random }}"}) {
    SCOPED_TRACE(source);
    EXPECT_EQ(failure_of(source).code, ErrorCode::kCorrupt);
  }
  EXPECT_EQ(render("{{ ''.__class__ }}{{ messages.append is defined }}"), "False");
  EXPECT_EQ(render("{{ lipsum is defined }}{{ open is defined }}{{ os is defined }}"),
            "FalseFalseFalse");
}

TEST(TemplateSandbox, ErrorsNameFileAndLine) {
  EXPECT_THAT(failure_of("a\nb\n{{ x.y }}").message,
              HasSubstr("evil.jinja: line 3: 'x' is undefined"));
  EXPECT_THAT(failure_of("a\n{% if %}").message, HasSubstr("evil.jinja: line 2: found"));
  EXPECT_THAT(failure_of("{{ 'a\xff' }}").message, HasSubstr("not valid UTF-8"));
}

TEST(TemplateSandbox, TheTemplatesOwnWordsAreKept) {
  ordered_json messages = ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
  TemplateInput input;
  input.messages = &messages;
  const auto chat = ChatTemplate::parse("{{ raise_exception('No ' ~ messages[0].role) }}", "x");
  try {
    chat->render(input);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    EXPECT_STREQ(error.what(), "No user");
  }
}

}  // namespace
}  // namespace haq::text
