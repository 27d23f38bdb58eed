// Runs the built `atrous` as a child process, and makes the small files that the tests give it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "tests/temporary_folder.h"

namespace atrous::cli_test {

struct Outcome {
  int code = -1;  // exit code; 128 + n if signal n ended it
  std::string out;
  std::string err;
};

// atrous ARGUMENTS, with `environment` ("NAME=value") added. `stdout_file` replaces the pipe (for
// "/dev/full"). `meanwhile` is called with the child's process number while it runs.
Outcome run(const std::vector<std::string>& arguments, const std::vector<std::string>& environment = {},
            const std::string& stdout_file = "", const std::function<void(int)>& meanwhile = {});

void write_text(const std::string& path, const std::string& text);
std::string read_text(const std::string& path);
// u8 [h, w]: vertical stripes of the classes 0 ... classes-1.
Tensor stripes(int64_t h, int64_t w, int classes);
// u8 [h, w, 3]: a picture whose colours follow the stripes.
Tensor striped_picture(int64_t h, int64_t w, int classes);

}  // namespace atrous::cli_test
