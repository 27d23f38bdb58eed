// `atrous bench`: speed of kernels and networks, compared with other libraries in the same run.
#include <CLI/CLI.hpp>
#include <map>

#include "cli/bench.h"
#include "cli/commands.h"

namespace atrous::cli {
namespace {

std::shared_ptr<BenchOptions> add_bench(CLI::App& parent, const char* name, const char* help,
                                        const char* example, const char* peers) {
  CLI::App* command = parent.add_subcommand(name, help);
  command->footer(example);
  auto options = std::make_shared<BenchOptions>();
  command->add_option("--filter", options->filter, "Only cases that match this regular expression");
  command->add_flag("--peers", options->peers, peers);
  command
      ->add_option("--repeats", options->repeats,
                   "Rounds (default 30, on sim 1); use 30 or more for published numbers")
      ->check(CLI::Range(1, 100000));
  command
      ->add_option_function<std::string>(
          "--device", [=](const std::string& device) { options->device = chosen_device(device); },
          "Where to run: cpu (default), cuda or sim")
      ->type_name("DEVICE");
  options->report.add_option(*command);
  return options;
}

// --math, one of `names` of the config key's values.
void add_math(CLI::App& command, const std::shared_ptr<BenchOptions>& options,
              const std::vector<std::string>& names, const std::string& help) {
  add_choice(command, "--math", options->math, help, names)->default_str(name_of(options->math));
}

}  // namespace

void add_bench_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("bench", "Times kernels or networks, also against other libraries");
  command->footer("atrous bench kernels --filter 'conv2d.*unet' --peers\natrous bench nets --peers");
  command->require_subcommand(1);
  auto kernels = add_bench(*command, "kernels", "The benchmark cases of all ops at real sizes",
                           "atrous bench kernels --filter 'conv2d.forward' --peers --json kernels.json",
                           "Also time oneDNN on the same convolutions");
  command->get_subcommand("kernels")->add_flag(
      "--all", kernels->all,
      "Every implementation on the CPU, not only the one that would be chosen (the default on devices)");
  const std::map<std::string, DType> dtypes = {{"f32", DType::f32}, {"bf16", DType::bf16}};
  command->get_subcommand("kernels")
      ->add_option_function<std::string>(
          "--dtype", [=](const std::string& name) { kernels->dtype = dtypes.at(name); },
          "Type of the activations (default f32)")
      ->check(CLI::IsMember(dtypes));
  add_math(*command->get_subcommand("kernels"), kernels, {"f32", "bf16"},
           "Arithmetic of convolutions on the CPU: f32, or bf16 (factors rounded to bf16)");
  command->get_subcommand("kernels")->callback([kernels] { bench_kernels(*kernels); });
  auto nets = add_bench(*command, "nets", "Inference and training step of whole networks",
                        "atrous bench nets --filter 'unet32' --peers --json nets.json",
                        "Also time the same networks in PyTorch, if a Python with torch is installed");
  add_math(*command->get_subcommand("nets"), nets, all_names<train::MathMode>(),
           "Arithmetic, as the config key: f32, tf32 (on a device) or bf16");
  command->get_subcommand("nets")->add_flag("--profile", nets->profile, "Also profile one step per op (CPU)");
  command->get_subcommand("nets")->callback([nets] { bench_nets(*nets); });
}

}  // namespace atrous::cli
