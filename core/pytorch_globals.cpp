#include "core/pytorch_globals.h"

#include <algorithm>
#include <iterator>

#include "core/pytorch_error.h"

namespace atrous {
namespace {

using Role = PyTorchRole;

struct Row {
  const char* module;
  const char* name;
  PickleUse use;
  Role role = Role::other;
};

constexpr PickleUse constant = PickleUse::constant, function = PickleUse::function, data = PickleUse::data;

constexpr Row rows[] = {
    {"collections", "OrderedDict", PickleUse::dictionary},
    // Tensors.
    {"torch._utils", "_rebuild_tensor", function, Role::tensor},
    {"torch._utils", "_rebuild_tensor_v2", function, Role::tensor},
    {"torch._utils", "_rebuild_tensor_v3", function, Role::typed_tensor},
    {"torch._utils", "_rebuild_parameter", function, Role::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", function, Role::parameter},
    // A tensor with attributes, or of a subclass; the attributes are dropped, other subclasses are refused.
    {"torch._tensor", "_rebuild_from_type_v2", function, Role::subclass},
    {"torch", "Tensor", constant, Role::tensor_class},
    {"torch.nn.parameter", "Parameter", constant, Role::tensor_class},
    {"torch.nn.parameter", "Buffer", constant, Role::tensor_class},
    // Tensors that are not read; the file is refused only where one of them is needed.
    {"torch._utils", "_rebuild_qtensor", function, Role::quantised},
    {"torch._utils", "_rebuild_sparse_tensor", function, Role::sparse},
    {"torch._utils", "_rebuild_sparse_csr_tensor", function, Role::sparse},
    {"torch._utils", "_rebuild_nested_tensor", function, Role::nested},
    {"torch._utils", "_rebuild_meta_tensor_no_storage", function, Role::without_data},
    {"torch.serialization", "_get_layout", function},
    {"torch", "per_tensor_affine", constant},
    {"torch", "per_channel_affine", constant},
    {"torch", "per_channel_affine_float_qparams", constant},
    {"torch.storage", "UntypedStorage", constant, Role::storage},
    {"torch", "UntypedStorage", constant, Role::storage},
    // Plain data that training scripts save beside the weights. It is dropped unread.
    {"torch", "Size", data},
    {"torch", "device", data},
    {"collections", "Counter", data},
    {"collections", "defaultdict", data},
    {"argparse", "Namespace", data},
    {"_codecs", "encode", data},
    {"numpy", "dtype", data},
    {"numpy", "ndarray", constant},
    {"numpy.core.multiarray", "scalar", data},
    {"numpy.core.multiarray", "_reconstruct", data},
    {"numpy._core.multiarray", "scalar", data},
    {"numpy._core.multiarray", "_reconstruct", data},
};

// Plain types of Python, which Python 2 has in `__builtin__`.
constexpr Row builtins[] = {
    {"builtins", "set", data},       {"builtins", "frozenset", data}, {"builtins", "bytearray", data},
    {"builtins", "complex", data},   {"builtins", "list", constant},  {"builtins", "dict", constant},
    {"builtins", "int", constant},   {"builtins", "float", constant}, {"builtins", "str", constant},
    {"builtins", "tuple", constant}, {"builtins", "bool", constant},
};

// Modules whose functions an honest file has no use for.
constexpr const char* hostile[] = {
    "os", "posix", "nt", "subprocess", "_posixsubprocess", "sys", "builtins", "__builtin__", "runpy",
    "importlib", "imp", "pty", "shutil", "socket", "ctypes", "code", "codeop", "pickle", "_pickle", "marshal",
    "types", "operator", "_operator", "functools", "webbrowser", "timeit", "cProfile", "profile", "pdb",
    "bdb", "pip", "urllib", "http", "requests", "ftplib", "smtplib", "asyncio", "multiprocessing",
    "threading", "signal", "tempfile", "pathlib", "io", "_io", "glob", "linecache", "pydoc", "doctest",
    "platform", "uuid", "ssl", "venv", "ensurepip", "torch.hub",
    // Their names in Python 2, which protocol 2 writes.
    "commands", "cPickle", "copy_reg", "thread", "urllib2", "httplib"};

bool is_hostile(const std::string& module) {
  return std::any_of(std::begin(hostile), std::end(hostile), [&](const std::string& prefix) {
    return module == prefix || module.starts_with(prefix + ".");
  });
}

// The id of a global: its role, and the number of its type.
int64_t id_of(Role role, const StoredType* type = nullptr) {
  return static_cast<int64_t>(role) * 256 + (type ? number_of(*type) : 0);
}

[[noreturn]] void refuse(const std::string& origin, const std::string& module, const std::string& name) {
  const std::string what = shown(module + "." + name);
  ATROUS_CHECK(!is_hostile(module), ErrorKind::checkpoint,
               "[pytorch {}] only tensors and plain data are read; this file would run code: {}. Do not open "
               "it with Python either.",
               origin, what);
  fail(
      ErrorKind::checkpoint,
      "[pytorch {}] only tensors and plain data are read; this file would run code: {}. If you trust its "
      "source, save the weights alone: python3 -c \"import torch; f = torch.load('IN.pth', "
      "map_location='cpu', weights_only=False); torch.save(f['state_dict'], 'OUT.pth')\", with the name that "
      "the file has for 'state_dict'.",
      origin, what);
}

}  // namespace

PickleGlobal pytorch_global(const std::string& origin, const std::string& module, const std::string& name) {
  const auto find = [&](const Row* begin, const Row* end, const std::string& in) {
    return std::find_if(begin, end, [&](const Row& r) { return in == r.module && name == r.name; });
  };
  if (const Row* row = find(std::begin(rows), std::end(rows), module); row != std::end(rows)) {
    const StoredType* bytes = row->role == Role::storage ? &stored_type_of(DType::u8) : nullptr;
    return {row->use, id_of(row->role, bytes)};
  }
  const std::string today = module == "__builtin__" ? "builtins" : module;
  if (const Row* row = find(std::begin(builtins), std::end(builtins), today); row != std::end(builtins))
    return {row->use, id_of(row->role)};
  if (module == "torch") {
    if (const StoredType* type = find_stored_type(&StoredType::storage, name))
      return {constant, id_of(Role::storage, type)};
    if (const StoredType* type = find_stored_type(&StoredType::torch, name))
      return {constant, id_of(Role::dtype, type)};
  }
  refuse(origin, module, name);
}

PyTorchRole role_of(const PickleValue& value) {
  const bool named = value.kind == PickleValue::Kind::global || value.kind == PickleValue::Kind::call;
  return named ? static_cast<Role>(value.integer / 256) : Role::other;
}

const StoredType& stored_type_of(const PickleValue& value) {
  return stored_type_number(value.integer % 256);
}

}  // namespace atrous
