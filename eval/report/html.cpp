#include "eval/report/html.h"

#include <fmt/format.h>

#include <cstdint>

namespace atrous::eval {
namespace {

constexpr const char* style = R"(
:root { color-scheme: light dark; --fg: #1d2733; --soft: #66727f; --bg: #ffffff; --card: #f5f7f9; --line: #dfe4e9; --good: #1b7f5c; --bad: #c0392b; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e9ee; --soft: #93a0ad; --bg: #14181d; --card: #1d232a; --line: #323b45; --good: #4fc79b; --bad: #ef7b6c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--fg); background: var(--bg); max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .7rem; }
.sub { color: var(--soft); margin: .2rem 0 1.2rem; }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; }
.card { background: var(--card); border-radius: 10px; padding: .7rem 1.1rem; min-width: 8rem; }
.card b { display: block; font-size: 1.45rem; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); font-size: .85rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); gap: 1rem; }
svg.chart { background: var(--card); border-radius: 10px; width: 100%; }
.chart text { fill: var(--soft); font: 11px system-ui, sans-serif; } .chart .title { fill: var(--fg); font-weight: 600; font-size: 13px; }
.chart .grid { stroke: var(--line); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; }
.swatch { display: inline-block; width: .9rem; height: .9rem; border-radius: .2rem; margin-right: .5rem; vertical-align: -.1rem; border: 1px solid var(--line); }
.meter { display: inline-block; width: 7rem; height: .55rem; border-radius: .3rem; background: var(--line); vertical-align: middle; margin-left: .6rem; text-align: left; }
.meter i { display: block; height: 100%; border-radius: .3rem; background: var(--good); }
figure { margin: 0 0 1.2rem; } figure img { width: 100%; border-radius: 8px; image-rendering: auto; } figcaption { color: var(--soft); font-size: .85rem; }
pre { background: var(--card); border-radius: 10px; padding: 1rem; overflow-x: auto; font-size: .85rem; }
.confusion-box { overflow: auto; max-height: 90vh; background: var(--card); border-radius: 10px; padding: .5rem; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
td.text, th.text { text-align: left; }
.quad { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 16rem), 1fr)); gap: .5rem; } .quad figure { margin: 0; }
)";

}  // namespace

std::string escape_html(const std::string& text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string base64(const std::string& bytes) {
  static const char* digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0u);
    for (size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? digits[(group >> (18 - 6 * k)) & 63u] : '=';
  }
  return out;
}

std::string page_head(const std::string& title, const std::string& sub) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width\"><title>{0}</title><style>{1}</style></head><body>\n<h1>{0}</h1>\n<p "
      "class=\"sub\">{2}</p>\n",
      escape_html(title), style, escape_html(sub));
}

std::string page_end() {
  return "</body></html>\n";
}

std::string card(const std::string& value, const std::string& label) {
  return fmt::format("<div class=\"card\"><b>{}</b><span>{}</span></div>\n", escape_html(value),
                     escape_html(label));
}

std::string inline_png(const std::string& bytes, const std::string& description) {
  return fmt::format("<img alt=\"{}\" src=\"data:image/png;base64,{}\">", escape_html(description),
                     base64(bytes));
}

}  // namespace atrous::eval
