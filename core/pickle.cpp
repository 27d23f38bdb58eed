#include "core/pickle.h"

#include <bit>

#include "core/pytorch_error.h"

namespace atrous {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t value_limit = 4'000'000;       // values, and memo entries, and values on the stack
constexpr size_t reference_limit = 32'000'000;  // elements of lists, tuples, sets and dicts together
constexpr size_t mark_limit = 1000;             // open marks: how deep values are nested
constexpr size_t integer_limit = 255;           // bytes

// The opcodes that are read.
enum Op : uint8_t {
  MARK = '(',
  STOP = '.',
  POP = '0',
  POP_MARK = '1',
  BINFLOAT = 'G',
  BININT = 'J',
  BININT1 = 'K',
  BININT2 = 'M',
  NONE = 'N',
  BINPERSID = 'Q',
  REDUCE = 'R',
  BINSTRING = 'T',
  SHORT_BINSTRING = 'U',
  BINUNICODE = 'X',
  APPEND = 'a',
  BUILD = 'b',
  GLOBAL = 'c',
  APPENDS = 'e',
  BINGET = 'h',
  LONG_BINGET = 'j',
  BINPUT = 'q',
  LONG_BINPUT = 'r',
  SETITEM = 's',
  TUPLE = 't',
  SETITEMS = 'u',
  EMPTY_DICT = '}',
  EMPTY_LIST = ']',
  EMPTY_TUPLE = ')',
  BINBYTES = 'B',
  SHORT_BINBYTES = 'C',
  PROTO = 0x80,
  NEWOBJ = 0x81,
  TUPLE1 = 0x85,
  TUPLE2 = 0x86,
  TUPLE3 = 0x87,
  NEWTRUE = 0x88,
  NEWFALSE = 0x89,
  LONG1 = 0x8a,
  LONG4 = 0x8b,
  SHORT_BINUNICODE = 0x8c,
  BINUNICODE8 = 0x8d,
  BINBYTES8 = 0x8e,
  EMPTY_SET = 0x8f,
  ADDITEMS = 0x90,
  FROZENSET = 0x91,
  NEWOBJ_EX = 0x92,
  STACK_GLOBAL = 0x93,
  MEMOIZE = 0x94,
  FRAME = 0x95,
  BYTEARRAY8 = 0x96,
  INST = 'i'
};

// Opcodes of Python that torch.save never writes: text forms of protocol 0, calls without arguments on the
// stack, the registry of extensions, buffers outside of the pickle.
struct Named {
  uint8_t code;
  const char* name;
};
constexpr Named refused[] = {{'I', "INT"},    {'L', "LONG"},         {'F', "FLOAT"},
                             {'S', "STRING"}, {'V', "UNICODE"},      {'p', "PUT"},
                             {'g', "GET"},    {'d', "DICT"},         {'l', "LIST"},
                             {'2', "DUP"},    {'P', "PERSID"},       {'i', "INST"},
                             {'o', "OBJ"},    {0x82, "EXT1"},        {0x83, "EXT2"},
                             {0x84, "EXT4"},  {0x97, "NEXT_BUFFER"}, {0x98, "READONLY_BUFFER"}};

class Machine {
 public:
  Machine(std::string_view bytes, const std::string& origin, const PickleGlobals& globals, PickleTree& tree)
      : left_(bytes), origin_(origin), globals_(globals), tree_(tree) {}

  std::string_view run() {
    for (;;) {
      const auto op = static_cast<uint8_t>(take(1)[0]);
      if (op == STOP) {
        tree_.root = pop();
        if (!stack_.empty() || !marks_.empty())
          reject_pytorch(origin_, "A pickle ends with one value. Got {} more on its stack.", stack_.size());
        return left_;
      }
      if (!scalar(op) && !text(op) && !collection(op) && !memo(op) && !object(op)) unknown(op);
    }
  }

 private:
  // -- bytes

  std::string_view take(uint64_t n) {
    if (n > left_.size())
      reject_pytorch(origin_, "A pickle must lie in the file (is it truncated?). Got {} bytes of {}.",
                     left_.size(), n);
    const std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(n);
    return taken;
  }
  uint64_t number(size_t width) {
    uint64_t value = 0;
    const std::string_view bytes = take(width);
    for (size_t i = width; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  }
  std::string line() {
    const size_t end = left_.find('\n');
    if (end == std::string_view::npos || end > 1000)
      reject_pytorch(origin_, "The name of a global ends with a line break. Got none.");
    const std::string text(take(end));
    take(1);
    return text;
  }

  // -- the stack

  PickleRef add(PickleValue value) {
    if (tree_.values.size() >= value_limit)
      reject_pytorch(origin_, "A file may hold {} values besides its tensors. Got more.", value_limit);
    tree_.values.push_back(std::move(value));
    return static_cast<PickleRef>(tree_.values.size() - 1);
  }
  void push(PickleRef ref) {
    if (stack_.size() >= value_limit)
      reject_pytorch(origin_, "The stack may hold {} values. Got more.", value_limit);
    stack_.push_back(ref);
  }
  void push_new(Kind kind) { push(add({.kind = kind, .text = {}, .items = {}})); }
  void push_text(Kind kind, std::string_view text) {
    push(add({.kind = kind, .text = std::string(text), .items = {}}));
  }
  void push_integer(Kind kind, int64_t value) {
    push(add({.kind = kind, .integer = value, .text = {}, .items = {}}));
  }
  // Values below an open mark are out of reach until it is closed.
  PickleRef pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
      reject_pytorch(origin_, "An opcode takes its values from the stack. Got an empty one.");
    const PickleRef ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  std::vector<PickleRef> pop_to_mark() {
    if (marks_.empty()) reject_pytorch(origin_, "An opcode takes the values after a mark. Got no mark.");
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleRef> items(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    marks_.pop_back();
    return items;
  }
  // For the opcodes that change a value which stays on the stack.
  PickleValue& top() {
    push(pop());
    return tree_.values[stack_.back()];
  }
  void append(PickleValue& to, const std::vector<PickleRef>& items) {
    references_ += items.size();
    if (references_ > reference_limit)
      reject_pytorch(origin_, "Lists and dicts may hold {} elements together. Got more.", reference_limit);
    to.items.insert(to.items.end(), items.begin(), items.end());
  }
  void push_made(Kind kind, const std::vector<PickleRef>& items) {
    PickleValue made;
    made.kind = kind;
    append(made, items);
    push(add(std::move(made)));
  }
  std::vector<PickleRef> pop_several(size_t count) {
    std::vector<PickleRef> items(count);
    while (count > 0) items[--count] = pop();
    return items;
  }

  // -- opcodes by kind; false: another kind

  bool scalar(uint8_t op) {
    switch (op) {
      case PROTO:
        if (const uint64_t version = number(1); version < 2 || version > 5)
          reject_pytorch(origin_, "Pickles of the protocols 2 to 5 are read. Got {}.", version);
        return true;
      case FRAME:
        if (const uint64_t length = number(8); length > left_.size())
          reject_pytorch(origin_, "A frame must lie in the file. Got {} bytes of {}.", left_.size(), length);
        return true;
      case NONE: push_new(Kind::none); return true;
      case NEWTRUE: push_integer(Kind::boolean, 1); return true;
      case NEWFALSE: push_integer(Kind::boolean, 0); return true;
      case BININT: push_integer(Kind::integer, static_cast<int32_t>(number(4))); return true;
      case BININT1: push_integer(Kind::integer, static_cast<int64_t>(number(1))); return true;
      case BININT2: push_integer(Kind::integer, static_cast<int64_t>(number(2))); return true;
      case LONG1: long_integer(number(1)); return true;
      case LONG4: long_integer(number(4)); return true;
      case BINFLOAT: {
        uint64_t bits = 0;
        for (const char c : take(8)) bits = bits << 8 | static_cast<uint8_t>(c);
        push(add({.kind = Kind::real, .real = std::bit_cast<double>(bits), .text = {}, .items = {}}));
        return true;
      }
      default: return false;
    }
  }

  // Two's complement of any length; of up to eight bytes it is an integer.
  void long_integer(uint64_t length) {
    if (length > integer_limit)
      reject_pytorch(origin_, "An integer may have {} bytes. Got {}.", integer_limit, length);
    const std::string_view bytes = take(length);
    if (length > 8) return push_text(Kind::long_integer, bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < length; ++i) value |= uint64_t{static_cast<uint8_t>(bytes[i])} << (8 * i);
    if (length > 0 && length < 8 && (bytes[length - 1] & 0x80)) value |= ~uint64_t{0} << (8 * length);
    push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  bool text(uint8_t op) {
    switch (op) {
      case SHORT_BINSTRING:  // Python 2's str
      case SHORT_BINUNICODE: push_text(Kind::text, take(number(1))); return true;
      case BINSTRING:
      case BINUNICODE: push_text(Kind::text, take(number(4))); return true;
      case BINUNICODE8: push_text(Kind::text, take(number(8))); return true;
      case SHORT_BINBYTES: push_text(Kind::bytes, take(number(1))); return true;
      case BINBYTES: push_text(Kind::bytes, take(number(4))); return true;
      case BINBYTES8:
      case BYTEARRAY8: push_text(Kind::bytes, take(number(8))); return true;
      default: return false;
    }
  }

  bool collection(uint8_t op) {
    switch (op) {
      case MARK:
        if (marks_.size() >= mark_limit)
          reject_pytorch(origin_, "Values may be nested {} deep. Got more.", mark_limit);
        marks_.push_back(stack_.size());
        return true;
      case POP: pop(); return true;
      case POP_MARK: pop_to_mark(); return true;
      case EMPTY_TUPLE: push_new(Kind::tuple); return true;
      case EMPTY_LIST: push_new(Kind::list); return true;
      case EMPTY_DICT: push_new(Kind::dict); return true;
      case EMPTY_SET: push_new(Kind::set); return true;
      case TUPLE: push_made(Kind::tuple, pop_to_mark()); return true;
      case FROZENSET: push_made(Kind::set, pop_to_mark()); return true;
      case TUPLE1: push_made(Kind::tuple, pop_several(1)); return true;
      case TUPLE2: push_made(Kind::tuple, pop_several(2)); return true;
      case TUPLE3: push_made(Kind::tuple, pop_several(3)); return true;
      case APPEND: insert("APPEND", Kind::list, pop_several(1)); return true;
      case APPENDS: insert("APPENDS", Kind::list, pop_to_mark()); return true;
      case ADDITEMS: insert("ADDITEMS", Kind::set, pop_to_mark()); return true;
      case SETITEM: insert("SETITEM", Kind::dict, pop_several(2)); return true;
      case SETITEMS: insert("SETITEMS", Kind::dict, pop_to_mark()); return true;
      default: return false;
    }
  }

  void insert(const char* op, Kind into, const std::vector<PickleRef>& items) {
    PickleValue& target = top();
    if (into == Kind::dict && items.size() % 2 != 0)
      reject_pytorch(origin_, "{} takes keys with values. Got {} values.", op, items.size());
    if (target.kind == Kind::call && target.use == PickleUse::data) return;
    if (target.kind != into)
      reject_pytorch(origin_, "{} changes {}. Got {}.", op, name_of(into), describe(target));
    append(target, items);
  }

  bool memo(uint8_t op) {
    switch (op) {
      case BINPUT: put(number(1)); return true;
      case LONG_BINPUT: put(number(4)); return true;
      case MEMOIZE: put(memo_.size()); return true;
      case BINGET: get(number(1)); return true;
      case LONG_BINGET: get(number(4)); return true;
      default: return false;
    }
  }

  void put(uint64_t index) {
    if (index >= value_limit)
      reject_pytorch(origin_, "Memo entries have numbers below {}. Got {}.", value_limit, index);
    top();
    if (index >= memo_.size()) memo_.resize(index + 1, nothing);
    memo_[index] = stack_.back();
  }
  void get(uint64_t index) {
    if (index >= memo_.size() || memo_[index] == nothing)
      reject_pytorch(origin_, "A memo entry is put before it is taken. Got number {}.", index);
    push(memo_[index]);
  }

  bool object(uint8_t op) {
    switch (op) {
      case GLOBAL: {
        const std::string module = line();
        global(module, line());
        return true;
      }
      case STACK_GLOBAL: {
        const std::vector<PickleRef> names = pop_several(2);
        const PickleValue &module = tree_[names[0]], &name = tree_[names[1]];
        if (module.kind != Kind::text || name.kind != Kind::text)
          reject_pytorch(origin_, "STACK_GLOBAL takes two texts. Got {} and {}.", describe(module),
                         describe(name));
        global(module.text, name.text);
        return true;
      }
      case REDUCE: {
        const std::vector<PickleRef> both = pop_several(2);
        call("REDUCE", both[0], both[1]);
        return true;
      }
      case NEWOBJ: {
        const std::vector<PickleRef> both = pop_several(2);
        call("NEWOBJ", both[0], both[1]);
        return true;
      }
      case NEWOBJ_EX: {
        const std::vector<PickleRef> three = pop_several(3);  // class, arguments, named arguments
        call("NEWOBJ_EX", three[0], three[1]);
        return true;
      }
      case BUILD: build(); return true;
      case BINPERSID: push_made(Kind::persistent, pop_several(1)); return true;
      default: return false;
    }
  }

  void global(const std::string& module, const std::string& name) {
    const PickleGlobal known = globals_(module, name);
    push(add({.kind = Kind::global,
              .use = known.use,
              .integer = known.id,
              .text = module + "." + name,
              .items = {}}));
  }

  void call(const std::string& op, PickleRef what, PickleRef with) {
    const PickleValue &callee = tree_[what], &arguments = tree_[with];
    if (callee.kind != Kind::global || callee.use == PickleUse::constant)
      reject_pytorch(origin_, "{} calls a function or class. Got {}.", op, describe(callee));
    if (arguments.kind != Kind::tuple)
      reject_pytorch(origin_, "{} takes its arguments as a tuple. Got {} for {}.", op, describe(arguments),
                     callee.text);
    if (callee.use == PickleUse::dictionary && op == "REDUCE") return ordered_dict(arguments);
    if (callee.use != PickleUse::data && op != "REDUCE")
      reject_pytorch(origin_, "{} makes an object of a class. Got {}.", op, describe(callee));
    PickleValue made{
        .kind = Kind::call, .use = callee.use, .integer = callee.integer, .text = callee.text, .items = {}};
    append(made, arguments.items);
    push(add(std::move(made)));
  }

  // OrderedDict(), or OrderedDict([[key, value], ...]) as Python 2 writes it.
  void ordered_dict(const PickleValue& arguments) {
    PickleValue made;
    made.kind = Kind::dict;
    made.use = PickleUse::dictionary;  // may have attributes
    if (!arguments.items.empty()) {
      const auto sequence = [](const PickleValue& v) {
        return v.kind == Kind::list || v.kind == Kind::tuple;
      };
      const PickleValue& pairs = tree_[arguments.items[0]];
      if (!sequence(pairs))
        reject_pytorch(origin_, "OrderedDict takes a list of pairs. Got {}.", describe(pairs));
      for (const PickleRef ref : pairs.items) {
        if (!sequence(tree_[ref]) || tree_[ref].items.size() != 2)
          reject_pytorch(origin_, "OrderedDict takes a list of pairs. Got {} in it.", describe(tree_[ref]));
        append(made, tree_[ref].items);
      }
    }
    push(add(std::move(made)));
  }

  // The state of an object. Attributes of an OrderedDict (a state_dict's _metadata) say nothing of tensors.
  void build() {
    pop();
    const PickleValue& target = top();
    const bool takes_state = (target.kind == Kind::call && target.use == PickleUse::data) ||
                             (target.kind == Kind::dict && target.use == PickleUse::dictionary);
    if (!takes_state) reject_pytorch(origin_, "BUILD sets the state of an object. Got {}.", describe(target));
  }

  [[noreturn]] void unknown(uint8_t op) {
    const Named* known = nullptr;
    for (const Named& n : refused) {
      if (n.code == op) known = &n;
    }
    if (op == INST) {  // names what it would make
      const std::string module = line();
      globals_(module, line());
    }
    ATROUS_CHECK(!known, ErrorKind::checkpoint,
                 "[pytorch {}] opcodes that torch.save does not write are refused. Got {}. Load and save the "
                 "file again with torch, if you trust its source.",
                 origin_, known->name);
    reject_pytorch(origin_, "A pickle consists of opcodes. Got the byte {:#04x}.", op);
  }

  static std::string describe(const PickleValue& v) {
    const bool named = v.kind == Kind::global || v.kind == Kind::call;
    return named ? fmt::format("{} {}", name_of(v.kind), v.text) : name_of(v.kind);
  }

  static constexpr PickleRef nothing = ~PickleRef{0};

  std::string_view left_;
  const std::string& origin_;
  const PickleGlobals& globals_;
  PickleTree& tree_;
  std::vector<PickleRef> stack_, memo_;
  std::vector<size_t> marks_;
  size_t references_ = 0;
};

}  // namespace

const char* name_of(PickleValue::Kind kind) {
  switch (kind) {
    case Kind::none: return "None";
    case Kind::boolean: return "a bool";
    case Kind::integer:
    case Kind::long_integer: return "an int";
    case Kind::real: return "a float";
    case Kind::text: return "a str";
    case Kind::bytes: return "bytes";
    case Kind::list: return "a list";
    case Kind::tuple: return "a tuple";
    case Kind::set: return "a set";
    case Kind::dict: return "a dict";
    case Kind::global: return "the global";
    case Kind::call: return "a result of";
    case Kind::persistent: return "a storage";
  }
  return "?";
}

const PickleValue* PickleTree::find(PickleRef dict, std::string_view key) const {
  const PickleValue& d = values[dict];
  const PickleValue* found = nullptr;
  if (d.kind != Kind::dict) return nullptr;
  for (size_t i = 0; i + 1 < d.items.size(); i += 2) {
    const PickleValue& k = values[d.items[i]];
    if (k.kind == Kind::text && k.text == key) found = &values[d.items[i + 1]];
  }
  return found;
}

PickleTree parse_pickle(std::string_view& bytes, const std::string& origin, const PickleGlobals& globals) {
  PickleTree tree;
  bytes = Machine(bytes, origin, globals, tree).run();
  return tree;
}

}  // namespace atrous
