#include "core/state_dicts.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "core/pytorch_error.h"
#include "core/text.h"

namespace atrous {
namespace {

using Kind = PickleValue::Kind;

// Keys under which training scripts and hubs save weights.
constexpr const char* weight_keys[] = {
    "state_dict", "model_state_dict", "model_state",    "model",
    "net",        "network",          "module",         "weights",
    "ema",        "ema_state_dict",   "state_dict_ema", "model_ema",
    "params",     "params_ema",       "teacher",        "student",
};

constexpr int depth_limit = 4;
constexpr size_t names_shown = 12;
constexpr size_t candidate_limit = 1000;

struct Candidate {
  std::string name;
  std::string key;  // the last of its name
  PickleRef dict = 0;
};

class Search {
 public:
  Search(const PickleTree& tree, const PyTorchTensors& found, const std::string& origin)
      : tree_(tree), found_(found), origin_(origin) {}

  std::vector<Candidate> run() {
    visit(tree_.root, "", "", 0);
    return std::move(candidates_);
  }

 private:
  bool holds_tensors(const PickleValue& dict) const {
    size_t tensors = 0;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2)
      tensors += tree_[dict.items[i]].kind == Kind::text && found_.tensors.contains(dict.items[i + 1]);
    return 2 * tensors > dict.items.size() / 2;
  }

  void visit(PickleRef ref, const std::string& name, const std::string& key, int depth) {
    const PickleValue& dict = tree_[ref];
    if (dict.kind != Kind::dict || depth > depth_limit || !visited_.insert(ref).second) return;
    if (holds_tensors(dict)) candidates_.push_back({name, key, ref});
    if (candidates_.size() > candidate_limit)
      reject_pytorch(origin_, "A file may hold {} dictionaries of tensors. Got more.", candidate_limit);
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& k = tree_[dict.items[i]];
      if (tree_[dict.items[i + 1]].kind != Kind::dict) continue;
      if (k.kind != Kind::text || !is_utf8(k.text) || k.text.size() > 200) continue;
      visit(dict.items[i + 1], name.empty() ? k.text : name + "/" + k.text, k.text, depth + 1);
    }
  }

  const PickleTree& tree_;
  const PyTorchTensors& found_;
  const std::string& origin_;
  std::set<PickleRef> visited_;
  std::vector<Candidate> candidates_;
};

std::string list_of(const std::vector<std::string>& names) {
  std::string s;
  for (size_t i = 0; i < std::min(names.size(), names_shown); ++i)
    s += fmt::format("{}\"{}\"", i ? ", " : "", shown(names[i]));
  if (names.size() > names_shown) s += fmt::format(" and {} more", names.size() - names_shown);
  return s;
}

// What a file without weights holds.
std::string content_of(const PickleTree& tree, const PyTorchTensors& found) {
  const PickleValue& root = tree[tree.root];
  if (found.tensors.contains(tree.root)) return "a tensor";
  if (root.kind != Kind::dict) return name_of(root.kind);
  std::vector<std::string> keys;
  for (size_t i = 0; i + 1 < root.items.size(); i += 2) {
    const PickleValue& k = tree[root.items[i]];
    keys.push_back(k.kind == Kind::text ? k.text : name_of(k.kind));
  }
  return keys.empty() ? "an empty dict" : "a dict of " + list_of(keys);
}

const Candidate& choose(const std::vector<Candidate>& all, const std::vector<std::string>& names,
                        const std::string& wanted, const std::string& origin) {
  if (!wanted.empty()) {
    const auto named = std::find(names.begin(), names.end(), wanted);
    ATROUS_CHECK(
        named != names.end(), ErrorKind::checkpoint,
        "[pytorch {}] the name after # must be that of a dictionary of tensors in the file. Got \"{}\"; "
        "there are: {}. Use one of them.",
        origin, shown(wanted), list_of(names));
    return all[static_cast<size_t>(named - names.begin())];
  }
  if (all.size() == 1) return all[0];
  const auto is_weights = [](const Candidate& c) {
    return std::find(std::begin(weight_keys), std::end(weight_keys), c.key) != std::end(weight_keys);
  };
  const auto first = std::find_if(all.begin(), all.end(), is_weights);
  const auto known = std::count_if(all.begin(), all.end(), is_weights);
  if (known == 1) return *first;
  if (known == 0 && all[0].name.empty()) return all[0];
  // Any of them but the whole file, which a name cannot say, makes an example.
  const std::string& example = names[0].empty() ? names[1] : names[0];
  fail(
      ErrorKind::checkpoint,
      "[pytorch {}] which weights are meant must be clear. Got {} dictionaries of tensors: {}. Add # and the "
      "name of one to the file: {}#{}.",
      origin, all.size(), list_of(names), origin, shown(example));
}

}  // namespace

StateDict choose_state_dict(const PickleTree& tree, const PyTorchTensors& found, const std::string& wanted,
                            const std::string& origin) {
  const std::vector<Candidate> all = Search(tree, found, origin).run();
  ATROUS_CHECK(
      !all.empty(), ErrorKind::checkpoint,
      "[pytorch {}] a file of weights holds a dictionary of tensors. Got {}. Save model.state_dict() "
      "with torch.save.",
      origin, content_of(tree, found));
  StateDict chosen;
  for (const Candidate& c : all) chosen.names.push_back(c.name);
  const Candidate& candidate = choose(all, chosen.names, wanted, origin);
  chosen.name = candidate.name;
  std::vector<std::string> others, left_out;
  for (const std::string& name : chosen.names) {
    if (name != chosen.name) others.push_back(name);
  }
  if (!chosen.name.empty())
    chosen.notes.push_back(fmt::format("the weights are those under \"{}\"{}", shown(chosen.name),
                                       others.empty() ? "" : "; there are also " + list_of(others)));
  const PickleValue& dict = tree[candidate.dict];
  std::set<std::string> seen;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& key = tree[dict.items[i]];
    if (!found.tensors.contains(dict.items[i + 1]) || key.kind != Kind::text) {
      left_out.push_back(key.kind == Kind::text ? key.text : name_of(key.kind));
      continue;
    }
    if (!is_utf8(key.text))
      reject_pytorch(origin, "Names of tensors must be UTF-8. Got \"{}\".", shown(key.text));
    if (!seen.insert(key.text).second)
      reject_pytorch(origin, "Names of tensors must be unique. Duplicate name \"{}\".", shown(key.text));
    chosen.tensors.emplace_back(key.text, dict.items[i + 1]);
  }
  if (!left_out.empty()) chosen.notes.push_back(fmt::format("skipped, not a tensor: {}", list_of(left_out)));
  return chosen;
}

}  // namespace atrous
