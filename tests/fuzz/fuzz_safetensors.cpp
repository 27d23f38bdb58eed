// Weights files.
#include <sstream>

#include "core/safetensors.h"
#include "pictures.h"

using namespace atrous;

FUZZ_HARNESS(safetensors, bytes) {
  fuzz::accepts({ErrorKind::checkpoint}, [&] {
    std::istringstream in(fuzz::text_of(bytes));
    const TensorFile file = read_safetensors(in, bytes.size(), "x");
    uint64_t size = 0;
    for (const auto& [name, tensor] : file.tensors) size += tensor.bytes();
    fuzz::require(size <= 4 * bytes.size(), "no more tensors than the file holds");  // 8 bits become f32
    fuzz::require(read_safetensors_metadata(fuzz::file_with(bytes)) == file.metadata,
                  "metadata alone are the same");

    std::ostringstream out;
    write_safetensors(out, file.tensors, file.metadata);
    std::istringstream written(out.str());
    const TensorFile again = read_safetensors(written, out.str().size(), "y");
    fuzz::require(again.metadata == file.metadata, "metadata are read as they were written");
    fuzz::require(again.tensors.size() == file.tensors.size(), "no tensor is lost");
    for (const auto& [name, tensor] : file.tensors)
      fuzz::require(fuzz::same(again.at(name), tensor), "tensors are read as they were written");
  });
}
