#include "tests/cli/program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace atrous::cli_test {

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

Outcome run(const std::vector<std::string>& arguments, const std::vector<std::string>& environment,
            const std::string& stdout_file, const std::function<void(int)>& meanwhile) {
  // Files, not pipes: nothing can block, however much is printed.
  const TemporaryFolder folder;
  const std::string out = stdout_file.empty() ? folder.path("out") : stdout_file;
  const std::string err = folder.path("err");
  const pid_t child = ::fork();
  if (child == 0) {
    const int out_fd = ::open(out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int err_fd = ::open(err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    const int in_fd = ::open("/dev/null", O_RDONLY);
    if (out_fd < 0 || err_fd < 0 || in_fd < 0) ::_exit(126);
    ::dup2(in_fd, 0);
    ::dup2(out_fd, 1);
    ::dup2(err_fd, 2);
    ::unsetenv("ATROUS_DATA_DIR");  // is read by tests only, so the program would warn
    for (const std::string& variable : environment) ::putenv(const_cast<char*>(variable.c_str()));
    std::vector<char*> argv = {const_cast<char*>(ATROUS_PROGRAM)};
    for (const std::string& a : arguments) argv.push_back(const_cast<char*>(a.c_str()));
    argv.push_back(nullptr);
    ::execv(ATROUS_PROGRAM, argv.data());
    ::_exit(127);
  }
  if (meanwhile) meanwhile(child);
  int status = 0;
  ::waitpid(child, &status, 0);
  Outcome outcome;
  outcome.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (stdout_file.empty()) outcome.out = read_text(out);
  outcome.err = read_text(err);
  return outcome;
}

Tensor stripes(int64_t h, int64_t w, int classes) {
  const Tensor t = Tensor::empty({h, w}, DType::u8);
  for (int64_t i = 0; i < h * w; ++i) t.data<uint8_t>()[i] = static_cast<uint8_t>((i % w) * classes / w);
  return t;
}

Tensor striped_picture(int64_t h, int64_t w, int classes) {
  const Tensor labels = stripes(h, w, classes);
  const Tensor t = Tensor::empty({h, w, 3}, DType::u8);
  for (int64_t i = 0; i < h * w; ++i) {
    const int k = labels.data<uint8_t>()[i];
    for (int c = 0; c < 3; ++c)
      t.data<uint8_t>()[3 * i + c] = static_cast<uint8_t>((40 + 90 * k + 50 * c * (k + 1)) % 256);
  }
  return t;
}

}  // namespace atrous::cli_test
