#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "cli/bench.h"
#include "core/env.h"
#include "core/error.h"
#include "core/parallel.h"

namespace atrous::cli {
namespace {

std::string quoted(const std::string& s) {
  std::string result = "'";
  for (char c : s) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

// The first Python that can import torch; empty if there is none.
std::string python_with_torch() {
  for (const std::string& python : {env::python(), std::string("/usr/bin/python3"), std::string("python3")}) {
    if (python.empty()) continue;
    if (std::system((quoted(python) + " -c 'import torch' >/dev/null 2>&1").c_str()) == 0) return python;
  }
  return "";
}

}  // namespace

std::unique_ptr<TorchPeer> TorchPeer::start(const std::vector<std::string>& arguments, std::string& why) {
  static const std::string python = python_with_torch();
  const std::string script = ATROUS_BENCHMARKS_DIR "/torch_nets.py";
  if (python.empty()) {
    why = "no Python with torch (set ATROUS_PYTHON to one)";
    return nullptr;
  }
  if (::access(script.c_str(), R_OK) != 0) {
    why = script + " is not there";
    return nullptr;
  }
  int to_child[2], from_child[2];
  ATROUS_CHECK(::pipe2(to_child, O_CLOEXEC) == 0 && ::pipe2(from_child, O_CLOEXEC) == 0, ErrorKind::io,
               "[bench] pipes to the peer must open. {}.", std::strerror(errno));
  const std::string threads = std::to_string(num_threads());
  std::vector<char*> command = {const_cast<char*>(python.c_str()), const_cast<char*>(script.c_str()),
                                const_cast<char*>("--threads"), const_cast<char*>(threads.c_str())};
  for (const std::string& argument : arguments) command.push_back(const_cast<char*>(argument.c_str()));
  command.push_back(nullptr);
  // A dead child causes an error of write(), not the end of this process.
  ::signal(SIGPIPE, SIG_IGN);
  const pid_t pid = ::fork();
  ATROUS_CHECK(pid >= 0, ErrorKind::io, "[bench] the peer must start. {}.", std::strerror(errno));
  if (pid == 0) {
    ::dup2(to_child[0], 0);
    ::dup2(from_child[1], 1);
    ::execvp(command[0], command.data());
    ::_exit(127);
  }
  ::close(to_child[0]);
  ::close(from_child[1]);
  std::unique_ptr<TorchPeer> peer(new TorchPeer);
  peer->pid_ = pid;
  peer->to_child_ = to_child[1];
  peer->from_child_ = from_child[0];
  const std::string first = peer->read_line();
  if (constexpr std::string_view refusal = "none: "; first.starts_with(refusal)) {
    why = first.substr(refusal.size());
    return nullptr;
  }
  peer->version_ = first;
  peer->parameters_ = std::atoll(peer->read_line().c_str());
  return peer;
}

TorchPeer::~TorchPeer() {
  ::close(to_child_);  // end of its input: it exits
  ::close(from_child_);
  ::waitpid(pid_, nullptr, 0);
}

std::string TorchPeer::read_line() {
  for (;;) {
    const size_t end = buffer_.find('\n');
    if (end != std::string::npos) {
      const std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    char chunk[256];
    const ssize_t got = ::read(from_child_, chunk, sizeof chunk);
    if (got < 0 && errno == EINTR) continue;
    ATROUS_CHECK(got > 0, ErrorKind::io,
                 "[bench] the PyTorch peer must answer. It ended early (its message is above).");
    buffer_.append(chunk, static_cast<size_t>(got));
  }
}

std::string TorchPeer::ask(const std::string& request) {
  const std::string line = request + "\n";
  ATROUS_CHECK(::write(to_child_, line.data(), line.size()) == static_cast<ssize_t>(line.size()),
               ErrorKind::io, "[bench] the PyTorch peer must listen. {}.", std::strerror(errno));
  return read_line();
}

double TorchPeer::step() {
  return std::atof(ask("step").c_str());
}

int64_t TorchPeer::memory() {
  return std::atoll(ask("memory").c_str());
}

}  // namespace atrous::cli
