#include "core/pytorch_tensors.h"

#include <algorithm>
#include <limits>
#include <span>

#include "core/pytorch_error.h"
#include "core/pytorch_globals.h"
#include "core/shape.h"

namespace atrous {
namespace {

using Kind = PickleValue::Kind;
using Role = PyTorchRole;
using Arguments = std::span<const PickleRef>;

constexpr size_t metadata_limit = 32;  // keys and values; PyTorch writes one or two
constexpr uint64_t largest = std::numeric_limits<int64_t>::max();

class Collector {
 public:
  Collector(const PickleTree& tree, const std::string& origin) : tree_(tree), origin_(origin) {}

  PyTorchTensors run() {
    for (PickleRef ref = 0; ref < tree_.values.size(); ++ref) {
      const PickleValue& value = tree_[ref];
      if (value.kind == Kind::persistent) storage_of_[ref] = add_storage(tree_[value.items[0]]);
      if (value.kind == Kind::call && role_of(value) != Role::other)
        found_.tensors[ref] = tensor(role_of(value), value.items, value.text);
    }
    return std::move(found_);
  }

 private:
  // ("storage", torch.FloatStorage, key, device, number of elements[, view])
  size_t add_storage(const PickleValue& id) {
    const auto part = [&](size_t i) -> const PickleValue& { return tree_[id.items[i]]; };
    const bool known = id.kind == Kind::tuple && (id.items.size() == 5 || id.items.size() == 6) &&
                       part(0).kind == Kind::text && part(0).text == "storage" &&
                       part(1).kind == Kind::global && role_of(part(1)) == Role::storage &&
                       part(2).kind == Kind::text && part(4).kind == Kind::integer && part(4).integer >= 0;
    if (!known)
      reject_pytorch(origin_,
                     "A storage is (\"storage\", its type, key, device, number of elements). Got {}.",
                     name_of(id.kind));
    if (id.items.size() == 6 && part(5).kind != Kind::none)
      fail(ErrorKind::checkpoint,
           "[pytorch {}] views of storages, of PyTorch before 0.4, are not read. Got one of storage \"{}\". "
           "Load and save the file with a current PyTorch.",
           origin_, shown(part(2).text));
    PyTorchStorage storage;
    storage.key = part(2).text;
    storage.element_bits = stored_type_of(part(1)).bits;
    if (__builtin_mul_overflow(static_cast<uint64_t>(part(4).integer), storage.element_bits / 8,
                               &storage.bytes) ||
        storage.bytes > largest)
      reject_pytorch(origin_, "The size of a storage must fit 64 bits. Storage \"{}\" has {} elements.",
                     shown(storage.key), part(4).integer);
    const auto [at, fresh] = number_of_key_.emplace(storage.key, found_.storages.size());
    if (fresh) {
      found_.storages.push_back(std::move(storage));
    } else if (const PyTorchStorage& other = found_.storages[at->second];
               other.bytes != storage.bytes || other.element_bits != storage.element_bits) {
      reject_pytorch(origin_, "A storage has one size and type. Storage \"{}\" has {} and {} bytes.",
                     shown(storage.key), other.bytes, storage.bytes);
    }
    return at->second;
  }

  PyTorchTensor tensor(Role role, Arguments arguments, const std::string& what) {
    switch (role) {
      case Role::tensor: return strided(arguments, nullptr, what);
      case Role::typed_tensor: {
        need(arguments.size() >= 7 && is_dtype(arguments[6]), "a dtype in seventh place", what);
        return strided(arguments, &stored_type_of(tree_[arguments[6]]), what);
      }
      case Role::parameter: {
        need(!arguments.empty() && found_.tensors.contains(arguments[0]), "a tensor in first place", what);
        return found_.tensors.at(arguments[0]);
      }
      case Role::subclass: return of_class(arguments, what);
      case Role::quantised: {
        need(arguments.size() >= 4 && storage_of_.contains(arguments[0]), "a storage in first place", what);
        PyTorchTensor t = odd("a quantised tensor: dequantize() it before saving");
        t.type = &stored_type_of(tree_[tree_[tree_[arguments[0]].items[0]].items[1]]);
        t.shape = sizes(arguments[2], what);
        return t;
      }
      case Role::without_data: {
        need(arguments.size() >= 2 && is_dtype(arguments[0]), "a dtype in first place", what);
        PyTorchTensor t = odd("a tensor of the device \"meta\", which has no values");
        t.type = &stored_type_of(tree_[arguments[0]]);
        t.shape = sizes(arguments[1], what);
        return t;
      }
      case Role::sparse: return odd("a sparse tensor: to_dense() it before saving");
      case Role::nested: return odd("a nested tensor: to_padded_tensor() it before saving");
      default: break;
    }
    reject_pytorch(origin_, "A tensor is made by a function of torch._utils. Got {}.", what);
  }

  // (function, class, arguments of the function, state): the state is dropped.
  PyTorchTensor of_class(Arguments arguments, const std::string& what) {
    need(arguments.size() >= 3, "three arguments", what);
    const PickleValue &function = tree_[arguments[0]], &type = tree_[arguments[1]],
                      &inner = tree_[arguments[2]];
    const Role role = role_of(function);
    need(function.kind == Kind::global && function.use == PickleUse::function && role != Role::other &&
             role != Role::subclass,
         "a function that makes a tensor", what);
    need(type.kind == Kind::global && role_of(type) == Role::tensor_class, "torch.Tensor or Parameter", what);
    need(inner.kind == Kind::tuple, "a tuple of arguments", what);
    return tensor(role, inner.items, function.text);
  }

  PyTorchTensor odd(const char* problem) const {
    PyTorchTensor t;
    t.type = &stored_type_of(DType::f32);
    t.problem = problem;
    return t;
  }

  // (storage, offset, size, strides, requires_grad, hooks[, dtype][, {"neg": True}])
  PyTorchTensor strided(Arguments arguments, const StoredType* type, const std::string& what) {
    need(arguments.size() >= 4 && storage_of_.contains(arguments[0]), "a storage in first place", what);
    PyTorchTensor t;
    t.storage = storage_of_.at(arguments[0]);
    t.type = type ? type : &stored_type_of(tree_[tree_[tree_[arguments[0]].items[0]].items[1]]);
    t.offset = size(arguments[1], what);
    t.shape = sizes(arguments[2], what);
    t.strides = sizes(arguments[3], what);
    check_extents(t);
    const size_t more = type ? 7 : 6;
    if (arguments.size() > more) {
      if (tree_[arguments[more]].items.size() > metadata_limit)
        reject_pytorch(origin_, "The metadata of a tensor have at most {} entries. Got more.",
                       metadata_limit / 2);
      for (const char* flag : {"neg", "conj"}) {
        const PickleValue* set = tree_.find(arguments[more], flag);
        if (set && set->kind == Kind::boolean && set->integer)
          t.problem = fmt::format("a lazy view: resolve_{}() it before saving", flag);
      }
    }
    if (!t.type->read_as) t.problem = fmt::format("of type {}, which atrous does not have", t.type->name);
    if (t.shape.size() > Shape::max_rank)
      t.problem =
          fmt::format("of {} dimensions; tensors have at most {}", t.shape.size(), int{Shape::max_rank});
    return t;
  }

  // The tensor lies in its storage, and no product of its sizes overflows.
  void check_extents(const PyTorchTensor& t) {
    const PyTorchStorage& s = found_.storages[t.storage];
    if (t.shape.size() != t.strides.size())
      reject_pytorch(origin_, "A tensor has as many strides as dimensions. Got {} and {}.", t.strides.size(),
                     t.shape.size());
    uint64_t product = 16, last = t.offset;  // 16: bytes of the widest element
    bool overflow = false, empty = false;
    for (size_t i = 0; i < t.shape.size(); ++i) {
      uint64_t reach = 0;
      empty |= t.shape[i] == 0;
      overflow |=
          __builtin_mul_overflow(product, std::max<uint64_t>(t.shape[i], 1), &product) || product > largest;
      if (t.shape[i] > 0)
        overflow |= __builtin_mul_overflow(t.shape[i] - 1, t.strides[i], &reach) ||
                    __builtin_add_overflow(last, reach, &last);
    }
    if (overflow)
      reject_pytorch(origin_, "Shape times element size must fit 64 bits. Got shape [{}], strides [{}].",
                     fmt::join(t.shape, ", "), fmt::join(t.strides, ", "));
    const uint64_t elements = s.bytes / (t.type->bits / 8);
    if (empty ? t.offset > elements : last >= elements)
      reject_pytorch(origin_,
                     "A tensor must lie in its storage. Got shape [{}], strides [{}] at offset {} in {} "
                     "elements of storage \"{}\".",
                     fmt::join(t.shape, ", "), fmt::join(t.strides, ", "), t.offset, elements, shown(s.key));
  }

  void need(bool holds, const char* wanted, const std::string& what) const {
    if (!holds) reject_pytorch(origin_, "{} takes {}. Got something else.", what, wanted);
  }

  bool is_dtype(PickleRef ref) const {
    return tree_[ref].kind == Kind::global && role_of(tree_[ref]) == Role::dtype &&
           stored_type_of(tree_[ref]).bits >= 8;
  }

  uint64_t size(PickleRef ref, const std::string& what) const {
    const PickleValue& v = tree_[ref];
    if (v.kind != Kind::integer || v.integer < 0)
      reject_pytorch(origin_, "Sizes, strides and offsets are integers of 0 or more. Got {} for {}.",
                     v.kind == Kind::integer ? std::to_string(v.integer) : name_of(v.kind), what);
    return static_cast<uint64_t>(v.integer);
  }

  std::vector<uint64_t> sizes(PickleRef ref, const std::string& what) const {
    need(tree_[ref].kind == Kind::tuple, "sizes and strides as tuples", what);
    if (tree_[ref].items.size() > 64)  // PyTorch's limit
      reject_pytorch(origin_, "A tensor has at most 64 dimensions. Got {}.", tree_[ref].items.size());
    std::vector<uint64_t> all;
    for (const PickleRef item : tree_[ref].items) all.push_back(size(item, what));
    return all;
  }

  const PickleTree& tree_;
  const std::string& origin_;
  PyTorchTensors found_;
  std::map<PickleRef, size_t> storage_of_;  // by persistent value
  std::map<std::string, size_t> number_of_key_;
};

}  // namespace

uint64_t PyTorchTensor::numel() const {
  uint64_t n = 1;
  for (const uint64_t extent : shape) n *= extent;
  return n;
}

bool PyTorchTensor::dense() const {
  uint64_t expected = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    if (shape[i] != 1 && strides[i] != expected) return false;
    expected *= shape[i];
  }
  return true;
}

PyTorchTensors collect_tensors(const PickleTree& tree, const std::string& origin) {
  return Collector(tree, origin).run();
}

}  // namespace atrous
