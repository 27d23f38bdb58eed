// Files of several processes at once, what killed ones leave, names at the limit.
#include "core/atomic_file.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

std::set<std::string> names_in(const std::string& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

std::string content_of(const std::string& path) {
  return read_file_if_present(path).value_or("(none)");
}

// A child process that runs `work`; its exit code is 0, or 8 after an Error.
pid_t in_child(const std::function<void()>& work) {
  const pid_t child = fork();
  if (child != 0) return child;
  try {
    work();
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    _exit(e.exit_code());
  }
  _exit(0);
}

bool runs(pid_t child) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
}

int code_of(pid_t child) {
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

// A child that has written half of `path` when this returns, and writes the rest when `go` is written to.
struct HalfWritten {
  pid_t child = 0;
  int go = -1;
  explicit HalfWritten(const std::string& path) {
    int ready[2], proceed[2];
    REQUIRE(pipe(ready) == 0);
    REQUIRE(pipe(proceed) == 0);
    child = in_child([&] {
      write_file_atomically(path, [&](std::ostream& out) {
        out << "half " << std::flush;
        char byte = 0;
        if (write(ready[1], "x", 1) != 1 || read(proceed[0], &byte, 1) != 1) _exit(99);
        out << "whole";
      });
    });
    char byte = 0;
    REQUIRE(read(ready[0], &byte, 1) == 1);
    for (int fd : {ready[0], ready[1], proceed[0]}) close(fd);
    go = proceed[1];
  }
  ~HalfWritten() { close(go); }
};

// The name of a temporary file that a killed process left elsewhere.
std::string name_of_a_leftover() {
  const TemporaryFolder folder;
  const HalfWritten killed(folder / "killed");
  kill(killed.child, SIGKILL);
  CHECK(code_of(killed.child) == 128 + SIGKILL);
  return *names_in(folder.path()).begin();
}

}  // namespace

TEST_CASE("Several processes that write one path leave the whole file of one of them, and all succeed") {
  const TemporaryFolder folder;
  const std::string path = folder / "weights";
  std::vector<pid_t> writers;
  for (char c : {'a', 'b', 'c'}) {
    writers.push_back(in_child([&, c] {
      for (int i = 0; i < 40; ++i) write_file_atomically(path, std::string(size_t{3} << 20, c));
    }));
  }
  int readings = 0;
  for (pid_t writer : writers) {
    while (runs(writer) && readings < 400) {
      const std::string text = content_of(path);
      if (text == "(none)") continue;
      ++readings;
      REQUIRE(text == std::string(size_t{3} << 20, text[0]));
    }
    CHECK(code_of(writer) == 0);
  }
  CHECK(readings > 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"weights"});
}

TEST_CASE("What a killed process left is removed by the next one; files of running ones stay") {
  const TemporaryFolder folder;
  HalfWritten killed(folder / "killed"), running(folder / "running");
  CHECK(names_in(folder.path()).size() == 2);
  kill(killed.child, SIGKILL);
  CHECK(code_of(killed.child) == 128 + SIGKILL);
  const int next = code_of(in_child([&] { write_file_atomically(folder / "next", "next"); }));
  CHECK(next == 0);
  CHECK(names_in(folder.path()).size() == 2);  // "next" and the half of the running one
  remove_leftovers(folder.path());
  CHECK(names_in(folder.path()).size() == 2);
  REQUIRE(write(running.go, "x", 1) == 1);
  CHECK(code_of(running.child) == 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"next", "running"});
  CHECK(content_of(folder / "running") == "half whole");
}

TEST_CASE("A crash after the old file got its second name leaves nothing for good") {
  const TemporaryFolder folder;
  const std::string name = name_of_a_leftover();
  CHECK(code_of(in_child([&] { write_file_atomically(folder / "last", "old"); })) == 0);
  std::filesystem::create_hard_link(folder / "last", folder / name);
  CHECK(code_of(in_child([&] {
          write_file_atomically(
              folder / "last", [](std::ostream& out) { out << "new"; }, 3, folder / "previous");
        })) == 0);
  CHECK(names_in(folder.path()) == std::set<std::string>{"last", "previous"});
  CHECK(content_of(folder / "last") == "new");
  CHECK(content_of(folder / "previous") == "old");
}

TEST_CASE("Only temporary files are leftovers, and those of another host only after a day") {
  const TemporaryFolder folder;
  const std::string own = name_of_a_leftover();
  REQUIRE(own.size() > 17);
  const std::string other = own.substr(0, 8) + (own[8] == '0' ? "1" : "0") + own.substr(9);
  std::set<std::string> names{".atrous-notes.tmp",  ".atrous-1-2.tmp",     ".atrous-1-2-3-4.tmp.txt",
                              ".atrous-1--2-3.tmp", ".atrous-1-2-3-x.tmp", "a.tmp"};
  for (const std::string& name : names) std::ofstream(folder / name) << "notes";
  std::filesystem::create_directory(folder / ".atrous-1-2-3-4.tmp");
  std::ofstream(folder / other) << "half";
  std::ofstream(folder / own) << "half";
  remove_leftovers(folder.path());
  names.insert({".atrous-1-2-3-4.tmp", other});
  CHECK(names_in(folder.path()) == names);
  std::filesystem::last_write_time(folder / other,
                                   std::filesystem::file_time_type::clock::now() - std::chrono::hours(25));
  remove_leftovers(folder.path());
  names.erase(other);
  CHECK(names_in(folder.path()) == names);
}

TEST_CASE(
    "A name may have all of the 255 bytes; one that is too long is refused before anything is written") {
  const TemporaryFolder folder;
  std::string name;
  for (int i = 0; i < 127; ++i) name += "\xc3\xa9";
  write_file_atomically(folder / name + "x", "content");
  CHECK(content_of(folder / name + "x") == "content");
  bool called = false;
  CHECK_THROWS_WITH(write_file_atomically(folder / name + "xx", [&](std::ostream&) { called = true; }),
                    Contains("File name too long"));
  CHECK_FALSE(called);
  CHECK(names_in(folder.path()).size() == 1);
}

TEST_CASE("An open file that is named by its number is added to, never replaced or overwritten") {
  const TemporaryFolder folder;
  std::filesystem::create_symlink("/proc/self/fd/1", folder / "stdout");  // what /dev/stdout is
  std::ofstream(folder / "out") << "before ";
  const int code = code_of(in_child([&] {
    if (!std::freopen((folder / "out").c_str(), "a", stdout)) _exit(99);
    std::fputs("table ", stdout);
    write_file_atomically(folder / "stdout", "results ");
    write_file_atomically("/dev/fd/1", "more ");
    std::fputs("end", stdout);
    std::fflush(stdout);
  }));
  CHECK(code == 0);
  CHECK(content_of(folder / "out") == "before table results more end");
  CHECK(std::filesystem::is_symlink(folder / "stdout"));
  CHECK(open_file_named("/dev/stdout") == 1);
  CHECK(open_file_named("/dev/fd/17") == 17);
  CHECK(open_file_named(folder / "out") == -1);
  CHECK(open_file_named("17") == -1);
}

TEST_CASE("Files in memory are whole as well") {
  if (why_not_writable("/dev/shm") != 0) {
    WARN("skipped: /dev/shm is not writable");
    return;
  }
  const std::string path = fmt::format("/dev/shm/atrous-test-{}", getpid());
  write_file_atomically(path, "old");
  CHECK_THROWS_AS(write_file_atomically(path,
                                        [](std::ostream& out) {
                                          out << "half" << std::flush;
                                          fail(ErrorKind::usage, "stop");
                                        }),
                  Error);
  CHECK(content_of(path) == "old");
  std::filesystem::remove(path);
}

TEST_CASE("Asking whether a folder can be written leaves nothing in it") {
  const TemporaryFolder folder;
  CHECK(why_not_writable(folder.path()) == 0);
  CHECK(why_not_writable(folder / "none") == ENOENT);
  const int fd = open_unnamed_file(folder.path());
  REQUIRE(fd >= 0);
  CHECK(names_in(folder.path()).empty());
  CHECK(write(fd, "x", 1) == 1);
  close(fd);
}
