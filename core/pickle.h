// Python's pickles as data: a tree of values. Nothing is imported, called or built.
//
// A pickle is a program for a small stack machine. This machine knows a fixed list of its opcodes, those that
// torch.save writes in protocols 2 to 5; another is an error that names it. A global (a class or function of
// Python) is only a name here, and must be on the caller's list. What Python would call with arguments is
// kept as the name and the arguments, for the caller to interpret.
//
// Untrusted input: lengths are checked against what is left before anything is taken, and the number of
// values, references, memo entries and open marks is limited.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace atrous {

// What a pickle may do with a global that is on the list.
enum class PickleUse : uint8_t {
  constant,   // only be named
  function,   // be called (REDUCE); the result takes no state and no items
  data,       // be called or made (NEWOBJ); state and items of the result are dropped
  dictionary  // collections.OrderedDict: its result is a dict
};

struct PickleGlobal {
  PickleUse use = PickleUse::constant;
  int64_t id = 0;  // for the caller
};

// Error(checkpoint) for a global that is not on the list.
using PickleGlobals = std::function<PickleGlobal(const std::string& module, const std::string& name)>;

using PickleRef = uint32_t;  // a value of a tree, by number

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    long_integer,
    real,
    text,
    bytes,
    list,
    tuple,
    set,
    dict,
    global,
    call,
    persistent
  };
  Kind kind = Kind::none;
  PickleUse use = PickleUse::constant;  // global, call
  int64_t integer = 0;                  // boolean, integer; global, call: its PickleGlobal::id
  double real = 0;
  std::string text;  // text, bytes; long_integer: its little-endian bytes; global, call: "module.name"
  // list, tuple, set: the elements; dict: key, value, key, value; call: its arguments; persistent: the id
  std::vector<PickleRef> items;
};

// "a dict": for messages.
const char* name_of(PickleValue::Kind kind);

struct PickleTree {
  std::deque<PickleValue> values;  // tuples, calls and storages come after what they hold
  PickleRef root = 0;

  const PickleValue& operator[](PickleRef ref) const { return values[ref]; }
  // The value of a text key; the last, as in Python. nullptr if there is none, or `dict` is no dict.
  const PickleValue* find(PickleRef dict, std::string_view key) const;
};

// Reads the pickle that `bytes` begin with and takes it from them. Error(checkpoint); `origin` is for
// messages.
PickleTree parse_pickle(std::string_view& bytes, const std::string& origin, const PickleGlobals& globals);

}  // namespace atrous
