#include "train/run_log.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <sstream>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/file.h"
#include "core/terminal.h"
#include "eval/report/run_report.h"
#include "train/config.h"

namespace atrous::train {
namespace {

using Clock = std::chrono::steady_clock;

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(std::max(0.0, seconds));
  if (s < 3600) return fmt::format("{}:{:02}", s / 60, s % 60);
  return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
}

std::string drop_lines_after(const std::string& path, int64_t step, int64_t validation) {
  std::string kept;
  for (const JsonValue& line : read_metrics(path)) {
    const JsonValue* at = line.find("step");
    if (at && at->integer <= (line.find("best") ? validation : step)) kept += to_text(line, -1) + "\n";
  }
  return kept;
}

}  // namespace

std::vector<JsonValue> read_metrics(const std::string& path) {
  std::vector<JsonValue> lines;
  std::istringstream in(read_file_if_present(path).value_or(""));
  in.exceptions(std::ios::badbit);  // no memory for a line is not the end of the file
  for (std::string text; std::getline(in, text);) {
    try {
      lines.push_back(parse_json(text, path));
    } catch (const Error&) {
      continue;
    }
  }
  return lines;
}

RunLog::RunLog(const std::string& folder, int64_t first_step, int64_t last_validation, int64_t total_steps,
               Device device)
    : folder_(folder),
      first_step_(first_step),
      total_steps_(total_steps),
      device_(device),
      events_(folder, first_step),
      terminal_(is_terminal(stderr)),
      start_(Clock::now()) {
  const std::string path = folder + "/metrics.jsonl";
  write_file_atomically(path, first_step > 0 ? drop_lines_after(path, first_step, last_validation) : "");
  metrics_ = std::fopen(path.c_str(), "ae");
  ATROUS_CHECK(metrics_, ErrorKind::io, "[metrics] \"{}\" must be writable. Got: {}. Choose another folder.",
               path, std::strerror(errno));
}

RunLog::~RunLog() {
  clear_bar();
  std::fclose(metrics_);
}

void RunLog::line(JsonValue& value) {
  value["device"] = JsonValue::of(std::string(name_of(device_)));
  const std::string text = to_text(value, -1) + "\n";
  // A lost line must not end a run; a full disk ends it at the next checkpoint.
  const bool whole =
      std::fwrite(text.data(), 1, text.size(), metrics_) == text.size() && std::fflush(metrics_) == 0;
  const int reason = errno;
  if (whole || write_failed_) return;
  write_failed_ = true;
  message(fmt::format("warning: metrics.jsonl cannot be written: {}. Lines are missing from here on",
                      std::strerror(reason)));
}

void RunLog::step(const StepRecord& r) {
  JsonValue out = JsonValue::make_object();
  out["step"] = JsonValue::of(r.step);
  out["epoch"] = JsonValue::of(std::round(r.epoch * 1000) / 1000);
  out["loss"] = JsonValue::of(r.loss);
  for (const auto& [name, value] : r.terms) out[name] = JsonValue::of(value);
  out["lr"] = JsonValue::of(r.lr);
  out["gradient_norm"] = JsonValue::of(r.gradient_norm);
  out["images_per_second"] = JsonValue::of(std::round(r.images_per_second * 100) / 100);
  out["data_wait_percent"] = JsonValue::of(std::round(r.data_wait * 1000) / 10);
  line(out);
  events_.scalar("train/loss", r.step, r.loss);
  for (const auto& [name, value] : r.terms) events_.scalar("train/" + name, r.step, value);
  events_.scalar("train/lr", r.step, r.lr);
  events_.scalar("train/gradient_norm", r.step, r.gradient_norm);
  events_.scalar("speed/images_per_second", r.step, r.images_per_second);
  events_.scalar("speed/data_wait_percent", r.step, 100 * r.data_wait);
  events_.flush();
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double left = elapsed / static_cast<double>(std::max<int64_t>(1, r.step - first_step_)) *
                      static_cast<double>(total_steps_ - r.step);
  const std::string hint =
      r.data_wait > 0.2 ? fmt::format("  waits for data {:.0f} % (raise data.workers)", 100 * r.data_wait)
                        : "";
  message(fmt::format("step {:>{}}/{}  epoch {:.2f}  loss {:.4f}  lr {:.3g}  {:.1f} images/s  left {}{}",
                      r.step, std::to_string(total_steps_).size(), total_steps_, r.epoch, r.loss, r.lr,
                      r.images_per_second, duration_text(left), hint));
}

void RunLog::validation(int64_t step, const Validation& v, bool is_best) {
  JsonValue out = JsonValue::make_object();
  out["step"] = JsonValue::of(step);
  for (const auto& [key, value] : v.line.object) out[key] = value;
  out["seconds"] = JsonValue::of(std::round(v.seconds * 100) / 100);
  out["best"] = JsonValue::of(is_best);
  line(out);
  for (const auto& [tag, value] : v.curves) events_.scalar(tag, step, value);
  events_.flush();
  message(fmt::format("validation at step {}: {}{}", step, v.text,
                      !v.scored ? "; the newest weights are kept as the best"
                      : is_best ? "  (best so far)"
                                : ""));
}

void RunLog::image(const std::string& tag, int64_t step, const std::string& png_path, int64_t height,
                   int64_t width) {
  events_.image(tag, step, read_file_if_present(png_path).value_or(""), height, width);
}

void RunLog::bar(const std::string& text) {
  if (!terminal_ || Clock::now() - last_bar_ < std::chrono::milliseconds(100)) return;
  last_bar_ = Clock::now();
  show_bar(text);
}

void RunLog::progress(int64_t step, double loss) {
  constexpr int64_t cells = 30;
  const int64_t full = cells * step / std::max<int64_t>(1, total_steps_);
  const double elapsed = std::chrono::duration<double>(Clock::now() - start_).count();
  const double rate = static_cast<double>(step - first_step_) / std::max(1e-9, elapsed);
  bar(fmt::format("[{}{}] {}/{}  loss {:.4f}  {:.2f} steps/s  left {}",
                  std::string(static_cast<size_t>(full), '='),
                  std::string(static_cast<size_t>(cells - full), ' '), step, total_steps_, loss, rate,
                  duration_text(static_cast<double>(total_steps_ - step) / std::max(1e-9, rate))));
}

void RunLog::validation_progress(int64_t done, int64_t total) {
  bar(fmt::format("validation {}/{}", done, total));
}

void RunLog::message(const std::string& text) {
  print_to(stderr, "{}\n", text);
}

void write_report(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const std::string config = read_file_if_present(path).value_or("");
  eval::write_run_report(
      folder, config.empty() ? "run" : nets::describe(parse_config(config, path, {}, ConfigFrom::run).model),
      read_metrics(folder + "/metrics.jsonl"));
}

}  // namespace atrous::train
