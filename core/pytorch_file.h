// Files of torch.save (.pth, .pt, .bin, .ckpt), read without Python: nothing in them runs (core/pickle.h).
//
// Two containers: since PyTorch 1.6 a zip archive with the pickle PREFIX/data.pkl and one entry
// PREFIX/data/KEY per storage; before, a stream of pickles (a magic number, a version, facts about the
// machine, the object, the keys of storages) and then the storages. Not read, with a message that says what
// to do: TorchScript archives, which hold code; the tar files of PyTorch 0.1; big-endian files; pickles that
// torch.save did not write.
//
// What a file may hold is limited by its own size: storages have the sizes that the pickle gives them, and
// all tensors that are read at most 16 times the bytes of the file (views may repeat elements). Checksums of
// entries are compared where there are some.
#pragma once

#include <string>

#include "core/byte_source.h"
#include "core/pickle.h"
#include "core/pytorch_tensors.h"
#include "core/safetensors.h"
#include "core/state_dicts.h"

namespace atrous {

struct PyTorchFile {
  std::string container;  // "PyTorch (zip)", "PyTorch (legacy)"
  PickleTree tree;
  PyTorchTensors found;  // storages with their places in the file
};

// By the first bytes, whatever the name of the file is.
bool is_pytorch(const ByteSource& file);

// Everything but the data. Error(checkpoint) for files that break a rule, name code, or are of a form that is
// not read; Error(io).
PyTorchFile open_pytorch(const ByteSource& file);

// The tensors of a dictionary: types as core/stored_type.h says, views copied, tied tensors sharing memory.
// Those that cannot be read are in TensorFile::unread.
TensorFile read_pytorch(const ByteSource& file, const PyTorchFile& opened, const StateDict& dict);

}  // namespace atrous
