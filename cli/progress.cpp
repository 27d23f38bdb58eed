#include "cli/progress.h"

#include <cstdio>

#include "core/terminal.h"

namespace atrous::cli {
namespace {

double seconds_between(std::chrono::steady_clock::time_point a, std::chrono::steady_clock::time_point b) {
  return std::chrono::duration<double>(b - a).count();
}

}  // namespace

Progress::Progress(std::string what, std::string unit)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      terminal_(is_terminal(stderr)),
      start_(Clock::now()),
      shown_(start_) {}

Progress::~Progress() {
  clear_bar();
}

void Progress::update(int64_t done, int64_t total) {
  const auto now = Clock::now();
  if (seconds_between(shown_, now) < (terminal_ ? 0.1 : 10) && (!terminal_ || done < total)) return;
  shown_ = now;
  const double elapsed = seconds_between(start_, now);
  const double rate = elapsed > 0 ? static_cast<double>(done) / elapsed : 0;
  const double left = rate > 0 ? static_cast<double>(total - done) / rate : 0;
  const std::string text =
      fmt::format("{} {}/{} {}, {:.2f}/s, {:.0f} s left", what_, done, total, unit_, rate, left);
  if (!terminal_) {
    print_to(stderr, "{}\n", text);
    return;
  }
  constexpr int64_t width = 24;
  const auto filled = static_cast<size_t>(total > 0 ? width * done / total : 0);
  show_bar(fmt::format("[{}{}] {}", std::string(filled, '#'), std::string(width - filled, '.'), text));
}

}  // namespace atrous::cli
