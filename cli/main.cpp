// The `atrous` program: finds the command, turns every error into a message and an exit code.
//
// Exit codes: 0 ok; 1 internal; 2 usage; 3 config; 4 data; 5 checkpoint or weights; 6 out of memory; 7
// diverged; 8 I/O; 128+n after signal n. A command that ends with another code throws
// CLI::RuntimeError(code).
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/autograd.h"
#include "core/env.h"
#include "core/error.h"
#include "core/problem.h"
#include "core/terminal.h"
#include "core/text.h"
#include "data/notes.h"
#include "kernels/common/implementation.h"

namespace atrous::cli {
namespace {

using AddCommand = void (*)(CLI::App&);

// In the order in which `atrous --help` lists them.
constexpr AddCommand commands[] = {
    add_train_command,      add_eval_command,           add_predict_command,        add_crf_command,
    add_crf_search_command, add_features_command,       add_forward_command,        add_metrics_command,
    add_summary_command,    add_import_weights_command, add_export_weights_command, add_weights_command,
    add_data_command,       add_bench_command,          add_doctor_command,
};

// Help that starts with an example: a command's footer holds its examples, printed before the options.
class ExampleFirst : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    std::string examples = app->get_footer();
    if (!examples.empty())
      examples = "\nExample:\n  " + CLI::detail::find_and_replace(examples, "\n", "\n  ") + "\n\n";
    return examples + CLI::Formatter::make_usage(app, name);
  }
  std::string make_footer(const CLI::App*) const override { return ""; }
};

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
    names.push_back(sub->get_name());
  return names;
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
  const std::string nearest = nearest_word(word, candidates);
  return nearest.empty() ? "" : " Did you mean \"" + nearest + "\"?";
}

// "atrous bench kernels"
std::string path_of(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent ? path_of(*parent) + " " : "") + command.get_name();
}

// Walks the words that select a (nested) command. CLI11 alone would say "A subcommand is required" to a
// typing error.
CLI::App* find_command(CLI::App& app, int argc, char** argv) {
  CLI::App* current = &app;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::vector<std::string> names = subcommand_names(*current);
    if (names.empty() || word.starts_with("-")) break;
    ATROUS_CHECK(std::find(names.begin(), names.end(), word) != names.end(), ErrorKind::usage,
                 "[{}] unknown command \"{}\".{} The commands are: {}.", path_of(*current), word,
                 did_you_mean(word, names), CLI::detail::join(names, ", "));
    current = current->get_subcommand(word);
  }
  return current;
}

// CLI11's message for a value of the wrong kind names neither the kind nor its limits.
std::string explained(const CLI::ParseError& error, const CLI::App& command) {
  const std::string text = error.what(), lead = "Could not convert: ", middle = " = ";
  const size_t equals = text.find(middle);
  if (!text.starts_with(lead) || equals == std::string::npos) return text;
  const std::string name = text.substr(lead.size(), equals - lead.size());
  const CLI::Option* option = command.get_option_no_throw(name);
  const std::string type = option ? option->get_type_name() : "";
  const char* kind = type.starts_with("UINT")  ? "a whole number from 0 to 18446744073709551615"
                     : type.starts_with("INT") ? "a whole number of at most 64 bits"
                                               : "a number";
  return fmt::format("{} must be {}. Got \"{}\"", name, kind, text.substr(equals + middle.size()));
}

// An unknown flag is reported before all other errors: it often explains the rest ("--weights is
// required").
[[noreturn]] void explain_usage(const CLI::ParseError& error, const CLI::App& app, const CLI::App& command) {
  const std::string path = path_of(command);
  std::vector<std::string> flags;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) flags.push_back("--" + name);
  }
  const std::string help = fmt::format("`{} --help` lists all options.", path);
  for (const std::string& word : app.remaining(true)) {
    if (!word.starts_with("-") || word == "-") continue;
    const std::string flag = word.substr(0, word.find('='));
    fail(ErrorKind::usage, "[{}] unknown option \"{}\".{} {}", path, flag, did_you_mean(flag, flags), help);
  }
  fail(ErrorKind::usage, "[{}] {}. {}", path, explained(error, command), help);
}

// Before any command runs: mistakes in variables are reported once and at the start.
void check_environment() {
  for (const std::string& warning : env::check()) print_to(stderr, "warning: {}\n", warning);
  kernels::check_forced_implementations();
}

int run(int argc, char** argv) {
  CLI::App app("Trains, evaluates and runs image-segmentation networks.", "atrous");
  app.formatter(std::make_shared<ExampleFirst>());
  app.footer(
      "atrous train --config configs/camvid/unet_small.json --out runs/first\natrous predict --weights "
      "runs/first/checkpoints/best.safetensors --out pictures photo.jpg");
  app.set_version_flag("--version", version_line());
  app.require_subcommand(1);
  app.parse_complete_callback(check_environment);  // --help works in any environment
  for (AddCommand add : commands) add(app);

  CLI::App* command = find_command(app, argc, argv);
  try {
    app.parse(argc, argv);
  } catch (const CLI::RuntimeError& exit) {
    return exit.get_exit_code();
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    explain_usage(error, app, *command);
  }
  return 0;
}

// Results that never reached the disk or the pipe are not a success.
int finish(int code) {
  data::print_note_counts();
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  std::fprintf(stderr, "error: [stdout] writing the results failed (disk full or pipe closed).\n");
  return code ? code : static_cast<int>(ErrorKind::io);
}

// If one of stdin, stdout and stderr is closed, the first file opened gets its number, and messages
// would be written into that file. /dev/null takes its number; results on a closed stdout fail nevertheless.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);  // gets the lowest number, which is fd
  }
}

int tell(const std::exception& exception) noexcept {
  const char* red = is_colour_terminal(stderr) ? "\033[1;31m" : "";
  const char* plain = *red ? "\033[0m" : "";
  const Problem p = problem_of(exception);
  if (*p.where) {
    std::fprintf(stderr, "%serror:%s [%s] %s. %s\n", red, plain, p.where, p.what, p.advice);
  } else {
    std::fprintf(stderr, "%serror:%s %s\n", red, plain, p.what);
  }
  return static_cast<int>(p.kind);
}

// For exceptions that cannot propagate: destructors of the JSON library and folder iterators
// of the standard library allocate. Files are whole at any moment, so nothing is lost.
[[noreturn]] void end_at_once() {
  if (const std::exception_ptr current = std::current_exception()) {
    try {
      std::rethrow_exception(current);
    } catch (const std::exception& exception) {
      const int code = tell(exception);
      if (code != static_cast<int>(ErrorKind::internal)) ::_exit(code);
    } catch (...) {
    }
  } else if (memory_ran_out()) {  // GCC sometimes calls this without the exception
    ::_exit(tell(std::bad_alloc()));
  }
  std::abort();
}

// Before main(), in the memory that every process starts with: glibc aborts where it cannot note the
// destructor of a thread's variable.
[[maybe_unused]] const std::string noted = ModuleScope::path();

void prepare_process() {
  open_standard_streams();
  // A pipe that has no reader and a file at its size limit are errors of the write.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::set_new_handler(on_no_memory);
  std::set_terminate(end_at_once);
}

int main_with_messages(int argc, char** argv) {
  try {
    return finish(run(argc, argv));
  } catch (const std::exception& exception) {
    return finish(tell(exception));
  }
}

}  // namespace
}  // namespace atrous::cli

int main(int argc, char** argv) {
  atrous::cli::prepare_process();
  return atrous::cli::main_with_messages(argc, argv);
}
