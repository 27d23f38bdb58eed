#include "train/checkpoint.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <ostream>

#include "core/atomic_file.h"
#include "core/json_value.h"
#include "core/terminal.h"
#include "core/weights_file.h"
#include "layers/finite.h"
#include "layers/state_dict.h"
#include "nets/published_weights.h"
#include "nets/start_weights.h"
#include "train/crc32c.h"
#include "train/derived_config.h"
#include "train/hub_config.h"
#include "train/math.h"

namespace atrous::train {
namespace {

constexpr const char* format_version = "1";
constexpr const char* optimizer_prefix = "optimizer.";
constexpr const char* average_prefix = "average.";
constexpr const char* not_finite_advice = "They come from a run that diverged: use an earlier checkpoint.";

bool is_reserved(const std::string& name) {
  return name.starts_with(optimizer_prefix) || name.starts_with(average_prefix);
}

// Settings that change speed and length of a run, not its results: stored with their defaults in the file.
Config without_machine_settings(Config config) {
  config.data.workers = data::DataOptions{}.workers;
  config.data.cache_mb = data::DataOptions{}.cache_mb;
  config.train.max_minutes = 0;
  return config;
}

std::string state_to_text(const RunState& s) {
  JsonValue out = JsonValue::make_object();
  out["step"] = JsonValue::of(s.step);
  out["last_validation"] = JsonValue::of(s.last_validation);
  out["best_step"] = JsonValue::of(s.best_step);
  out["stale_validations"] = JsonValue::of(s.stale_validations);
  if (s.averaged_steps > 0) out["averaged_steps"] = JsonValue::of(s.averaged_steps);
  JsonValue& best = out["best"] = JsonValue::make_object();
  for (const auto& [name, value] : s.best) best[name] = JsonValue::of(value);
  out["class_weights"] = JsonValue::of(s.class_weights);
  out["loss_sum"] = JsonValue::of(s.loss_sum);
  out["loss_steps"] = JsonValue::of(s.loss_steps);
  JsonValue& terms = out["term_sums"] = JsonValue::make_object();
  for (const auto& [name, value] : s.term_sums) terms[name] = JsonValue::of(value);
  return to_text(out, -1);
}

const JsonValue& member(const JsonValue& object, const char* key, const std::string& origin) {
  const JsonValue* v = object.find(key);
  ATROUS_CHECK(v, ErrorKind::checkpoint,
               "[checkpoint] \"{}\" must hold the state of a run. Got none of \"{}\". Use another file.",
               origin, key);
  return *v;
}

RunState state_from_text(const std::string& text, const std::string& origin) {
  const JsonValue in = parse_json(text, origin);
  RunState s;
  s.step = member(in, "step", origin).integer;
  s.last_validation = member(in, "last_validation", origin).integer;
  s.best_step = member(in, "best_step", origin).integer;
  s.stale_validations = member(in, "stale_validations", origin).integer;
  for (const auto& [name, value] : member(in, "best", origin).object) s.best[name] = value.number;
  for (const JsonValue& w : member(in, "class_weights", origin).array) s.class_weights.push_back(w.number);
  if (const JsonValue* steps = in.find("averaged_steps")) s.averaged_steps = steps->integer;
  // Only the next line of the log needs these, so files without them are accepted.
  if (const JsonValue* sum = in.find("loss_sum")) s.loss_sum = sum->number;
  if (const JsonValue* steps = in.find("loss_steps")) s.loss_steps = steps->integer;
  if (const JsonValue* terms = in.find("term_sums")) {
    for (const auto& [name, value] : terms->object) s.term_sums[name] = value.number;
  }
  return s;
}

std::string classes_to_text(const std::vector<data::ClassInfo>& classes) {
  JsonValue out = JsonValue::of(std::vector<int64_t>{});
  for (const data::ClassInfo& c : classes) {
    JsonValue row = JsonValue::make_object();
    row["name"] = JsonValue::of(c.name);
    row["color"] = JsonValue::of(std::vector<int64_t>(c.color.begin(), c.color.end()));
    if (!c.set_name.empty()) row["set_name"] = JsonValue::of(c.set_name);
    out.array.push_back(std::move(row));
  }
  return to_text(out, -1);
}

// Independent of the order of tensors in the file.
std::string checksum_of(const NamedTensors& tensors, const Metadata& metadata) {
  std::vector<const std::pair<std::string, Tensor>*> sorted;
  for (const auto& entry : tensors) sorted.push_back(&entry);
  std::sort(sorted.begin(), sorted.end(), [](const auto* a, const auto* b) { return a->first < b->first; });
  uint32_t crc = 0;
  const auto add = [&crc](const std::string& text) {
    crc = crc32c(text.data(), text.size() + 1, crc);
  };  // with its final zero
  for (const auto& [key, value] : metadata) {
    if (key == "atrous.checksum") continue;
    add(key);
    add(value);
  }
  for (const auto* entry : sorted) {
    const Tensor dense = entry->second.contiguous_copy_if_needed();
    add(entry->first);
    add(dense.shape().str());
    crc = crc32c(dense.raw(), dense.bytes(), crc);
  }
  return fmt::format("{:08x}", crc);
}

// Copies stored tensors into live ones of the same names; all must be there, with the same shapes.
void restore_tensors(const TensorFile& file, const std::string& prefix, const NamedTensors& targets) {
  for (const auto& [name, target] : targets) {
    const Tensor* source = file.find(prefix + name);
    ATROUS_CHECK(
        source, ErrorKind::checkpoint,
        "[checkpoint] \"{}\" must hold \"{}{}\". Got a file without it. Was optimizer.name, "
        "train.ema_decay or train.average_last_steps changed? Start a new run with model.weights instead.",
        file.origin, prefix, name);
    const Tensor value = layers::from_file_layout(*source);
    ATROUS_CHECK(
        value.shape() == target.shape() && value.dtype() == target.dtype(), ErrorKind::checkpoint,
        "[checkpoint] \"{}{}\" in \"{}\" must fit the network. Got {} for {}. Use the config of that run.",
        prefix, name, file.origin, value.describe(), target.describe());
    target.copy_from(value);
  }
}

}  // namespace

std::vector<data::ClassInfo> classes_from_text(const std::string& text, const std::string& origin) {
  std::vector<data::ClassInfo> classes;
  for (const JsonValue& row : parse_json(text, origin).array) {
    data::ClassInfo& c = classes.emplace_back();
    c.name = member(row, "name", origin).string;
    if (const JsonValue* name = row.find("set_name")) c.set_name = name->string;
    const auto& color = member(row, "color", origin).array;
    for (size_t i = 0; i < std::min(color.size(), c.color.size()); ++i)
      c.color[i] = static_cast<uint8_t>(color[i].integer);
  }
  return classes;
}

void note_given_names(std::vector<data::ClassInfo>& classes, const std::vector<std::string>& class_names) {
  const auto has_set_name = [](const data::ClassInfo& c) { return !c.set_name.empty(); };
  if (!std::ranges::equal(classes, class_names, {}, &data::ClassInfo::name) ||
      std::ranges::any_of(classes, has_set_name))
    return;
  for (size_t k = 0; k < classes.size(); ++k) classes[k].set_name = fmt::format("class{}", k);
}

void save_checkpoint(const std::string& path, const CheckpointContent& content, const std::string& keep) {
  NamedTensors tensors = layers::state_dict(*content.model);
  if (content.optimizer) {
    for (const auto& [name, tensor] : content.optimizer->state()) {
      tensors.emplace_back(optimizer_prefix + name, layers::to_file_layout(tensor));
    }
  }
  if (content.average) {
    for (const auto& [name, tensor] : content.average->averages()) {
      tensors.emplace_back(average_prefix + name, layers::to_file_layout(tensor));
    }
  }
  Metadata metadata;
  metadata["format"] = "pt";  // PyTorch's loaders check this: names and layout are PyTorch's
  metadata["atrous.format"] = format_version;
  metadata["atrous.config"] = to_json(without_machine_settings(*content.config));
  metadata["atrous.classes"] = classes_to_text(*content.classes);
  if (content.state) metadata["atrous.state"] = state_to_text(*content.state);
  metadata["atrous.checksum"] = checksum_of(tensors, metadata);
  uint64_t bytes = 1 << 16;
  for (const auto& [name, tensor] : tensors) bytes += tensor.bytes() + name.size() + 128;
  write_file_atomically(
      path, [&](std::ostream& out) { write_safetensors(out, tensors, metadata); }, bytes, keep);
}

namespace {

// An error in the metadata of a file is an error of that file, not of the user's config.
template <class Read>
auto read_metadata(const std::string& path, Read&& read) {
  try {
    return read();
  } catch (const Error& e) {
    fail(ErrorKind::checkpoint,
         "[checkpoint] the metadata of \"{}\" must be readable. Got: {} Use the version of atrous that wrote "
         "it, or another checkpoint.",
         path, e.what());
  }
}

// The rest of a checkpoint, from its metadata.
StoredCheckpoint interpret(TensorFile file) {
  StoredCheckpoint stored;
  stored.file = std::move(file);
  const std::string& path = stored.file.origin;
  const Metadata& m = stored.file.metadata;
  const auto need = [&](const char* key) {
    const auto it = m.find(key);
    ATROUS_CHECK(it != m.end(), ErrorKind::checkpoint,
                 "[checkpoint] \"{}\" must be a checkpoint that atrous wrote. Got a file without \"{}\". For "
                 "weights of other tools give a config with --config.",
                 path, key);
    return it->second;
  };
  const std::string version = need("atrous.format");
  ATROUS_CHECK(
      version == format_version, ErrorKind::checkpoint,
      "[checkpoint] \"{}\" must have format {}. Got format {}. Use the version of atrous that wrote it.",
      path, format_version, version);
  const std::string expected = need("atrous.checksum");
  const std::string found = checksum_of(stored.file.tensors, m);
  ATROUS_CHECK(found == expected, ErrorKind::checkpoint,
               "[checkpoint] the content of \"{}\" must have its stored checksum. Got {} instead of {}: the "
               "file was damaged. Use another checkpoint.",
               path, found, expected);
  const std::string config = need("atrous.config"), classes = need("atrous.classes");
  stored.config = read_metadata(path, [&] { return parse_config(config, path, {}, ConfigFrom::run); });
  stored.classes = read_metadata(path, [&] { return classes_from_text(classes, path); });
  note_given_names(stored.classes, stored.config.data.class_names);
  if (m.contains("atrous.state"))
    stored.state = read_metadata(path, [&] { return state_from_text(m.at("atrous.state"), path); });
  return stored;
}

}  // namespace

StoredCheckpoint read_checkpoint(const std::string& path) {
  return interpret(read_safetensors(path));
}

std::optional<StoredCheckpoint> read_newest_checkpoint(
    const std::vector<std::string>& paths, const std::function<void(const std::string&)>& message) {
  std::string reason;
  for (const std::string& path : paths) {
    if (!std::filesystem::exists(path)) continue;
    try {
      StoredCheckpoint stored = read_checkpoint(path);
      if (!reason.empty())
        message(fmt::format("warning: continuing from the previous checkpoint, \"{}\", step {}", path,
                            stored.state.step));
      return stored;
    } catch (const Error& e) {
      if (e.kind() == ErrorKind::memory) throw;  // the file may be good
      reason = e.what();
      message("warning: " + reason);
    }
  }
  ATROUS_CHECK(reason.empty(), ErrorKind::checkpoint, "{}", reason);
  return std::nullopt;
}

void restore(const StoredCheckpoint& stored, layers::Module& model, Optimizer& optimizer,
             WeightAverage* average) {
  TensorFile weights;
  weights.origin = stored.file.origin;
  for (const auto& entry : stored.file.tensors) {
    if (!is_reserved(entry.first)) weights.tensors.push_back(entry);
  }
  layers::load_state_dict(model, weights);
  restore_tensors(stored.file, optimizer_prefix, optimizer.state());
  if (average) restore_tensors(stored.file, average_prefix, average->averages());
  optimizer.set_steps(stored.state.step);
}

namespace {

// A network that was trained in tf32 has its weights in f32, so the CPU, which lacks that arithmetic, can use
// it as well. A value that the user sets explicitly is refused there instead.
void use_stored_math(Config& config, const layers::Model& model, const std::vector<std::string>& overrides) {
  const bool asked_for =
      std::ranges::any_of(overrides, [](const std::string& set) { return set.starts_with("math="); });
  if (asked_for || config.math != MathMode::tf32 || model.device() != Device::cpu) return;
  print_to(stderr, "note: trained with math {}; the CPU computes in f32\n", config.math);
  config.math = MathMode::f32;
}

namespace fs = std::filesystem;

// The file itself, or for a run's folder the best weights of the run, and for that of a model hub its
// weights.
std::string weights_file(const std::string& given) {
  const std::string path = nets::find_weights("weights", given);
  std::error_code unknown;
  ATROUS_CHECK(fs::exists(split_weights_path(path).file, unknown), ErrorKind::checkpoint,
               "[weights] the file must exist. Got \"{}\". Check the path.", path);
  if (!fs::is_directory(path, unknown)) return path;
  const fs::path folder = fs::path(path).lexically_normal();
  for (const char* name :
       {"checkpoints/best.safetensors", "best.safetensors", "model.safetensors", "pytorch_model.bin"}) {
    if (fs::is_regular_file(folder / name, unknown)) return (folder / name).string();
  }
  const fs::path last = folder / "checkpoints/last.safetensors";
  fail(ErrorKind::checkpoint,
       "[weights] a file is wanted, or the folder of a run (checkpoints/best.safetensors) or of a model hub "
       "(model.safetensors). Got the folder \"{}\" without. {}",
       path,
       fs::is_regular_file(last, unknown) ? fmt::format("Its newest weights are \"{}\".", last.string())
                                          : "Give a weights file (safetensors, or PyTorch's).");
}

// The advice for weights that do not fit.
std::string advice(const layers::LoadReport& fit, const TensorFile& file, const Config& config,
                   const std::string& config_path) {
  std::string text;
  if (const std::string looks = nets::recognised(file); !looks.empty())
    text += fmt::format("The file looks like: {}. ", looks);
  for (const layers::MisShaped& m : fit.misshaped) {  // a tensor with a row per class
    if (m.in_model.rank() == 0 || m.in_file.rank() != m.in_model.rank() ||
        m.in_model[0] != config.model.num_classes || m.in_file != m.in_model.with(0, m.in_file[0]))
      continue;
    text += fmt::format("\"{}\" is of num_classes {}. ", m.name, m.in_file[0]);
    break;
  }
  const auto of_crf = [](const std::string& name) { return name.starts_with("crf."); };
  if (config.model.crf_as_rnn && !fit.missing.empty() && std::ranges::all_of(fit.missing, of_crf))
    text +=
        "It is of a network without CRF: `atrous import-weights --partial` puts one behind it, to be "
        "trained. ";
  const std::string beside = config_beside(file.origin);
  if (file.metadata.contains("atrous.config"))
    return text + fmt::format("It holds the config that it was trained with: leave out {}.",
                              config_path.empty() ? "the overrides of model (--set)" : "--config");
  if (!beside.empty() && beside != config_path)
    return text + fmt::format("Its run has a config: --config {}.", beside);
  return text +
         "Check model.name, num_classes, in_channels and backbone. `atrous import-weights` knows names of "
         "other programs.";
}

}  // namespace

LoadedNetwork load_network(const std::string& weights, const std::string& config_path,
                           const std::vector<std::string>& overrides) {
  const std::string weights_path = weights_file(weights);
  TensorFile file = read_weights(weights_path);
  for (const std::string& note : file.notes) print_to(stderr, "note: {}: {}\n", weights_path, note);
  LoadedNetwork loaded;
  loaded.weights = weights_path;
  if (file.metadata.contains("atrous.format")) {
    StoredCheckpoint stored = interpret(std::move(file));
    loaded.classes = std::move(stored.classes);
    file = std::move(stored.file);
  }
  const Metadata& m = file.metadata;
  bool derived = false;
  if (!config_path.empty()) {
    loaded.config = load_config(config_path, overrides);
  } else if (!m.contains("atrous.config")) {
    derived = true;
    DerivedConfig found = derive_config(file, weights_path, overrides);
    for (const std::string& note : found.notes) print_to(stderr, "note: {}\n", note);
    loaded.config = std::move(found.config);
    loaded.classes = std::move(found.classes);
  } else {
    const std::string& text = m.at("atrous.config");
    read_metadata(weights_path, [&] { return parse_config(text, weights_path, {}, ConfigFrom::run); });
    // Any error from here on comes from an override.
    loaded.config = parse_config(text, weights_path, overrides, ConfigFrom::run);
  }
  std::erase_if(file.tensors, [](const auto& entry) { return is_reserved(entry.first); });
  const nets::ModelOptions& model = loaded.config.model;
  loaded.model = nets::build_network(model);  // not initialised: every value comes from the file
  if (config_path.empty()) use_stored_math(loaded.config, *loaded.model, overrides);
  use_math(loaded.config, *loaded.model);
  if (derived) nets::use_current_names(file, *loaded.model);
  const layers::LoadReport fit = layers::compare_state_dict(*loaded.model, file);
  ATROUS_CHECK(fit.complete(), ErrorKind::checkpoint,
               "[weights {}] the file must fit the network exactly. Got:\n{}\n{}", weights_path,
               fit.str(layers::LoadReport::Outcome::refused), advice(fit, file, loaded.config, config_path));
  layers::load_state_dict(*loaded.model, file);
  layers::check_weights_finite(*loaded.model, "weights " + weights_path, not_finite_advice);
  loaded.model->eval();
  if (loaded.classes.size() != static_cast<size_t>(model.num_classes)) {
    loaded.classes.clear();
    const auto& names = loaded.config.data.class_names;
    for (size_t c = 0; c < static_cast<size_t>(model.num_classes); ++c) {
      data::ClassInfo info;
      info.name = c < names.size() ? names[c] : "class" + std::to_string(c);
      // The config's names are those of its data set, in that set's order: the weights have numbers alone.
      if (c < names.size()) info.set_name = "class" + std::to_string(c);
      loaded.classes.push_back(info);  // black: pictures use VOC's colours then
    }
  }
  return loaded;
}

LoadedModel load_model(const std::string& weights_path, const std::string& config_path,
                       const std::vector<std::string>& overrides) {
  LoadedNetwork any = load_network(weights_path, config_path, overrides);
  return {std::move(any.config), nets::as_segmentation(any.model), std::move(any.classes),
          std::move(any.weights)};
}

}  // namespace atrous::train
