#include "layers/state_dict.h"

#include <algorithm>
#include <map>
#include <set>

#include "core/parallel.h"

namespace atrous::layers {
namespace {

// Swaps axes 1..3 of a rank-4 tensor as a matrix transpose of [outer][rows][columns].
Tensor transpose_inner(const Tensor& t, int64_t rows, int64_t columns, const Shape& shape) {
  const Tensor from = t.contiguous_copy_if_needed();
  const Tensor to = Tensor::empty(shape, t.dtype());
  const auto size = static_cast<int64_t>(size_of(t.dtype()));
  parallel_for(t.dim(0), std::max<int64_t>(1, (1 << 16) / std::max<int64_t>(1, rows * columns)),
               [&](int64_t begin, int64_t end) {
                 for (int64_t k = begin; k < end; ++k) {
                   const std::byte* f = from.raw() + k * rows * columns * size;
                   std::byte* o = to.raw() + k * rows * columns * size;
                   for (int64_t i = 0; i < rows; ++i) {
                     for (int64_t j = 0; j < columns; ++j)
                       std::copy_n(f + (i * columns + j) * size, size, o + (j * rows + i) * size);
                   }
                 }
               });
  return to;
}

Shape file_shape(const Shape& s) {
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s;
}

constexpr const char* wrapper_prefixes[] = {"module.", "model.", "net.", "network.", "_orig_mod."};

// Channel c of the model takes channel c mod C' of the file, times C'/C.
Tensor fold_channels(const Tensor& file, int64_t channels) {
  const Tensor source = file.to(DType::f32).contiguous_copy_if_needed();  // [K,R,S,C']
  const int64_t from = source.channels();
  const Tensor folded = Tensor::empty(source.shape().with(-1, channels));
  const float factor = static_cast<float>(from) / static_cast<float>(channels);
  for (int64_t p = 0; p < source.pixels(); ++p) {
    for (int64_t c = 0; c < channels; ++c)
      folded.data<float>()[p * channels + c] = factor * source.data<float>()[p * from + c % from];
  }
  return folded;
}

bool ends_with(const std::string& name, const char* end) {
  return name.ends_with(end);
}

constexpr size_t names_shown = 12;

// Names, shortened: up to a dozen, then how many more.
std::string list_names(const std::vector<std::string>& names) {
  std::string s;
  for (size_t i = 0; i < std::min(names_shown, names.size()); ++i) s += (i ? ", " : " ") + names[i];
  if (names.size() > names_shown) s += fmt::format(" and {} more", names.size() - names_shown);
  return s;
}

void load_one(const std::string& name, const Tensor& target, const Tensor& in_file, bool may_fold,
              LoadReport& report) {
  if (in_file.shape() == file_shape(target.shape())) {
    target.copy_from(from_file_layout(in_file));
    report.loaded.push_back(name);
    return;
  }
  const Shape wanted = file_shape(target.shape());
  const bool only_channels_differ = wanted.rank() == 4 && in_file.rank() == 4 && in_file.dim(1) > 0 &&
                                    in_file.shape().with(1, wanted[1]) == wanted;
  if (may_fold && only_channels_differ) {
    target.copy_from(fold_channels(from_file_layout(in_file), wanted[1]));
    report.folded.push_back(name);
    return;
  }
  report.misshaped.push_back({name, in_file.shape(), wanted});
}

// A frozen batch norm counts no batches; a file of an ordinary one holds the number that it has seen.
bool counts_for_frozen_norm(const std::string& name, const std::set<std::string>& model_names) {
  const std::string counter = ".num_batches_tracked";
  return name.ends_with(counter) &&
         model_names.count(name.substr(0, name.size() - counter.size()) + ".running_var");
}

}  // namespace

Tensor to_file_layout(const Tensor& t) {
  const Tensor host = t.to(Device::cpu);
  return t.rank() == 4 ? transpose_inner(host, t.dim(1) * t.dim(2), t.dim(3), file_shape(t.shape())) : host;
}

Tensor from_file_layout(const Tensor& t) {
  if (t.rank() != 4) return t;
  return transpose_inner(t, t.dim(1), t.dim(2) * t.dim(3), {t.dim(0), t.dim(2), t.dim(3), t.dim(1)});
}

std::string wrapper_prefix(const TensorFile& file, const Module& module) {
  if (file.tensors.empty()) return "";
  std::string all;
  const auto wraps = [&](const std::string& prefix) {
    const bool in_file = std::all_of(file.tensors.begin(), file.tensors.end(),
                                     [&](const auto& t) { return t.first.starts_with(all + prefix); });
    bool in_model = false;
    module.visit([&](const std::string& name, const Variable*, const Tensor*) {
      in_model |= name.starts_with(prefix);
    });
    return in_file && !in_model;
  };
  // Wrappers may be nested: DataParallel of a Lightning module gives "module.model.".
  for (bool found = true; found;) {
    found = false;
    for (const std::string prefix : wrapper_prefixes) {
      if (!wraps(prefix)) continue;
      all += prefix;
      found = true;
    }
  }
  return all;
}

NamedTensors state_dict(const Module& module) {
  NamedTensors all;
  module.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    const Tensor& t = parameter ? parameter->value() : *buffer;
    const Tensor stored = to_file_layout(t);
    all.emplace_back(name, stored.shares_memory_with(t) ? stored.clone() : stored);
  });
  return all;
}

namespace {

// Matches the names of a module with those of a file.
struct Matched {
  std::vector<std::pair<std::string, Tensor>> targets;
  std::map<std::string, const Tensor*> in_file;  // without the wrapper's prefix
  std::string first_convolution;
  LoadReport report;  // stripped_prefix and unexpected

  Matched(const Module& module, const TensorFile& file) {
    std::set<std::string> model_names;
    module.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
      targets.emplace_back(name, parameter ? parameter->value() : *buffer);
      model_names.insert(name);
      if (parameter && parameter->value().rank() == 4 && first_convolution.empty()) first_convolution = name;
    });
    report.stripped_prefix = wrapper_prefix(file, module);
    for (const auto& [name, t] : file.tensors) {
      const std::string stripped = name.substr(report.stripped_prefix.size());
      in_file[stripped] = &t;
      if (!model_names.count(stripped) && !counts_for_frozen_norm(stripped, model_names))
        report.unexpected.push_back(stripped);
    }
    for (const auto& [name, reason] : file.unread) {
      if (!name.starts_with(report.stripped_prefix)) continue;
      const std::string stripped = name.substr(report.stripped_prefix.size());
      if (model_names.count(stripped) && !in_file.contains(stripped))
        report.unreadable.emplace_back(stripped, reason);
    }
  }
};

}  // namespace

LoadReport compare_state_dict(const Module& module, const TensorFile& file) {
  Matched m(module, file);
  for (const auto& [name, target] : m.targets) {
    const auto found = m.in_file.find(name);
    if (found == m.in_file.end()) {
      if (!ends_with(name, "num_batches_tracked")) m.report.missing.push_back(name);
    } else if (found->second->shape() != file_shape(target.shape())) {
      m.report.misshaped.push_back({name, found->second->shape(), file_shape(target.shape())});
    }
  }
  return std::move(m.report);
}

LoadReport load_state_dict(const Module& module, const TensorFile& file, const LoadOptions& options) {
  // A strict load changes either everything or nothing.
  if (options.strict) {
    const LoadReport fit = compare_state_dict(module, file);
    ATROUS_CHECK(fit.complete(), ErrorKind::checkpoint,
                 "[weights {}] the file must fit the network exactly. Got:\n{}\nCheck model.name, "
                 "num_classes, in_channels and backbone, or set model.weights in the config to load what "
                 "fits.",
                 file.origin, fit.str(LoadReport::Outcome::refused));
  }
  Matched m(module, file);
  LoadReport& report = m.report;
  for (const auto& [name, target] : m.targets) {
    const auto found = m.in_file.find(name);
    if (found != m.in_file.end()) {
      const bool may_fold = !options.strict && options.fold_input_channels && name == m.first_convolution;
      load_one(name, target, *found->second, may_fold, report);
    } else if (!options.strict && !ends_with(name, "num_batches_tracked")) {
      report.missing.push_back(name);
    }
  }
  return std::move(report);
}

std::string LoadReport::str(Outcome outcome) const {
  const bool refused = outcome == Outcome::refused;
  const char* kept = refused ? "" : ", kept as initialised";
  std::string s = refused ? "" : fmt::format("\n  loaded      {}", loaded.size());
  if (!stripped_prefix.empty() && !refused) s += fmt::format(" (without the prefix \"{}\")", stripped_prefix);
  if (!folded.empty())
    s += fmt::format("\n  folded      {} to other input channels:{}", folded.size(), list_names(folded));
  if (!misshaped.empty()) {
    s += fmt::format("\n  other shape {}{}:", misshaped.size(), kept);
    const size_t shown = refused ? std::min(names_shown, misshaped.size()) : misshaped.size();
    for (size_t i = 0; i < shown; ++i) {
      const MisShaped& m = misshaped[i];
      s += fmt::format("\n    {}: {} in the file, {} in the network", m.name, m.in_file.str(),
                       m.in_model.str());
    }
    if (shown < misshaped.size()) s += fmt::format("\n    and {} more", misshaped.size() - shown);
  }
  if (!missing.empty())
    s += fmt::format("\n  missing     {}{}:{}", missing.size(), kept, list_names(missing));
  for (const auto& [name, reason] : unreadable) s += fmt::format("\n  unreadable  {} is {}", name, reason);
  if (!unexpected.empty())
    s += fmt::format("\n  not needed  {}:{}", unexpected.size(), list_names(unexpected));
  return s.empty() ? s : s.substr(1);
}

}  // namespace atrous::layers
