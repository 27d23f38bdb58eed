// `atrous weights show`: what a weights file holds, without loading its data. `atrous weights convert`: its
// tensors as safetensors.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/terminal.h"
#include "core/text.h"
#include "core/weights_file.h"
#include "nets/file_schemes.h"
#include "nets/published_weights.h"

namespace atrous::cli {
namespace {

using nlohmann::ordered_json;

struct Show {
  std::string file;
  Report report;
};

constexpr size_t longest_value = 100;  // of metadata, in the table

uint64_t elements_of(const StoredTensor& t) {
  uint64_t n = 1;
  for (const uint64_t extent : t.shape) n *= extent;
  return n;
}

// Names are untrusted: no control characters reach the terminal.
std::string printable(const std::string& text, size_t limit) {
  std::string s;
  for (const char c : text.substr(0, limit))
    s += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? std::string("?") : std::string(1, c);
  return text.size() > limit ? s + "..." : s;
}

std::string looks_like(const WeightsList& list) {
  if (list.metadata.contains("atrous.config")) return "a checkpoint of atrous (its config is in the file)";
  const std::string scheme = nets::describe_scheme(list.tensors);
  return scheme.empty() ? "no network that is known here" : scheme;
}

void print_table(const WeightsList& list, std::FILE* out) {
  std::string text =
      fmt::format("{}: {}, {}\n", list.path, list.container, bytes_text(static_cast<int64_t>(list.bytes)));
  text += fmt::format("looks like: {}\n", looks_like(list));
  if (list.names.size() > 1)
    text += fmt::format("dictionaries of tensors: {}\n",
                        printable(fmt::format("\"{}\"", fmt::join(list.names, "\", \"")), 1000));
  for (const auto& [key, value] : list.metadata)
    text += fmt::format("metadata {}: {}\n", printable(key, longest_value), printable(value, longest_value));
  size_t width = 4;
  for (const StoredTensor& t : list.tensors) width = std::max(width, std::min<size_t>(t.name.size(), 80));
  text += fmt::format("\n{:<{}}  {:<10}  shape\n", "name", width, "dtype");
  uint64_t elements = 0, bytes = 0;
  size_t tied = 0;
  for (const StoredTensor& t : list.tensors) {
    text +=
        fmt::format("{:<{}}  {:<10}  [{}]", printable(t.name, 200), width, t.dtype, fmt::join(t.shape, ", "));
    if (!t.same_as.empty()) text += fmt::format("  (the tensor {})", printable(t.same_as, 200));
    if (!t.problem.empty()) text += fmt::format("  (not read: {})", t.problem);
    text += "\n";
    tied += !t.same_as.empty();
    if (!t.same_as.empty() || !t.problem.empty()) continue;
    elements += elements_of(t);
    bytes += t.bytes;
  }
  text += fmt::format("\n{}, {} elements, {}", counted(static_cast<int64_t>(list.tensors.size()), "tensor"),
                      elements, bytes_text(static_cast<int64_t>(bytes)));
  text += tied > 0 ? fmt::format("; {} of another name's memory, counted once\n", tied) : "\n";
  for (const std::string& note : list.notes) text += fmt::format("note: {}\n", printable(note, 2000));
  write_text(out, text);
}

ordered_json to_json(const WeightsList& list) {
  ordered_json tensors = ordered_json::array();
  for (const StoredTensor& t : list.tensors) {
    ordered_json row = {{"name", t.name}, {"dtype", t.dtype}, {"shape", t.shape}, {"bytes", t.bytes}};
    row["same_as"] = t.same_as.empty() ? ordered_json(nullptr) : ordered_json(t.same_as);
    row["problem"] = t.problem.empty() ? ordered_json(nullptr) : ordered_json(t.problem);
    tensors.push_back(std::move(row));
  }
  return {{"path", list.path},          {"container", list.container},
          {"bytes", list.bytes},        {"dictionary", list.name},
          {"dictionaries", list.names}, {"looks_like", nets::describe_scheme(list.tensors)},
          {"metadata", list.metadata},  {"tensors", tensors},
          {"notes", list.notes}};
}

void show(const Show& o) {
  const WeightsList list = list_weights(nets::find_weights("weights show", o.file));
  print_table(list, o.report.table());
  o.report.write_json(to_json(list).dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

struct Convert {
  std::string input, output;
};

void convert(const Convert& o) {
  check_other_file("weights convert", o.input, o.output);
  const TensorFile file = read_weights(nets::find_weights("weights convert", o.input));
  for (const std::string& note : file.notes) print_to(stderr, "note: {}: {}\n", o.input, note);
  for (const auto& [name, why] : file.unread)
    print_to(stderr, "warning: not written: \"{}\" is {}\n", printable(name, 200), why);
  Metadata metadata = file.metadata;
  metadata["format"] = "pt";  // PyTorch's names and layout
  write_safetensors(o.output, file.tensors, metadata);
  int64_t bytes = 0;
  for (const auto& [name, t] : file.tensors) bytes += static_cast<int64_t>(t.bytes());
  print_to(stdout, "{}: {}, {}\n", o.output, counted(static_cast<int64_t>(file.tensors.size()), "tensor"),
           bytes_text(bytes));
}

void add_show(CLI::App& group) {
  CLI::App* command = group.add_subcommand(
      "show", "Lists the tensors of a weights file, and says what network it looks like");
  command->footer(
      "atrous weights show deeplabv3_resnet101.pth\natrous weights show checkpoint.pth#ema --json -");
  auto o = std::make_shared<Show>();
  command->add_option("FILE", o->file, "Weights: safetensors, or a PyTorch file (.pth, .pt, .bin, .ckpt)")
      ->required();
  o->report.add_option(*command);
  command->callback([o] { show(*o); });
}

void add_convert(CLI::App& group) {
  CLI::App* command = group.add_subcommand("convert", "Writes the tensors of a weights file as safetensors");
  command->footer("atrous weights convert --input resnet50.pth --output resnet50.safetensors");
  auto o = std::make_shared<Convert>();
  command
      ->add_option("--input", o->input,
                   "Weights: safetensors, or a PyTorch file; FILE#NAME takes one of several dictionaries")
      ->required();
  command->add_option("--output", o->output, "The safetensors file to write")->required();
  command->callback([o] { convert(*o); });
}

}  // namespace

void add_weights_command(CLI::App& app) {
  CLI::App* group = app.add_subcommand("weights", "Shows and converts weights files");
  group->footer("atrous weights show deeplabv3_resnet101.pth");
  group->require_subcommand(1);
  add_show(*group);
  add_convert(*group);
}

}  // namespace atrous::cli
