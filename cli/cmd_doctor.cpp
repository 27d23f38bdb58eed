// `atrous doctor`: the information that a bug report needs.
#include <fmt/core.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string_view>

#include "cli/build_info.h"
#include "cli/commands.h"
#include "cli/common_flags.h"
#include "core/amx.h"
#include "core/cpu.h"
#include "core/device_runtime.h"
#include "core/env.h"
#include "core/parallel.h"
#include "core/terminal.h"

namespace atrous::cli {
namespace {

// A field of /proc/meminfo in MiB, or -1 if the system has none.
int64_t memory_mib(const std::string& field) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(field + ":")) return std::atoll(line.c_str() + field.size() + 1) / 1024;
  }
  return -1;
}

std::string operating_system() {
  std::ifstream file("/etc/os-release");
  std::string name = "unknown";
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("PRETTY_NAME=")) name = CLI::detail::remove_quotes(line = line.substr(12));
  }
  utsname kernel{};
  ::uname(&kernel);
  return fmt::format("{} ({} {} {})", name, kernel.sysname, kernel.release, kernel.machine);
}

// One entry per device; for unavailable ones with the reason.
nlohmann::ordered_json devices() {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (Device d : {Device::cpu, Device::cuda, Device::sim}) {
    nlohmann::ordered_json j{{"device", name_of(d)}};
    if (const char* why = why_unavailable(d)) {
      j["unavailable"] = why;
    } else if (d != Device::cpu) {
      const DeviceProperties& p = device_properties(d);
      j["name"] = p.name;
      j["compute_capability"] = fmt::format("{}.{}", p.compute_major, p.compute_minor);
      j["multiprocessors"] = p.multiprocessors;
      j["shared_per_block"] = p.shared_per_block;
      j["memory_mib"] = p.total_memory >> 20;
      if (!p.driver.empty()) j["driver"] = p.driver;
    }
    all.push_back(j);
  }
  return all;
}

std::string device_line(const nlohmann::ordered_json& j) {
  const std::string device = j["device"];
  if (j.contains("unavailable"))
    return fmt::format("{}: not available, {}", device, j["unavailable"].get<std::string>());
  if (!j.contains("name")) return device;
  return fmt::format("{}: {}, compute capability {}, {} multiprocessors, {} MiB{}", device,
                     j["name"].get<std::string>(), j["compute_capability"].get<std::string>(),
                     j["multiprocessors"].get<int>(), j["memory_mib"].get<int64_t>(),
                     j.contains("driver") ? ", driver for CUDA " + j["driver"].get<std::string>() : "");
}

nlohmann::ordered_json examine() {
  nlohmann::ordered_json j = nlohmann::ordered_json::object();
  j["version"] = version();
  j["git"] = git_hash();
  j["build_type"] = build_type();
  j["sanitizers"] = sanitizers();
  j["compiler"] = compiler();
  j["system"] = operating_system();
  j["cpu"] = {{"model", cpu_model_name()},      {"isa", name_of(cpu_isa())},  {"bf16", cpu_has_bf16()},
              {"amx_bf16", cpu_has_amx_bf16()}, {"cores", available_cores()}, {"threads", num_threads()}};
  j["devices"] = devices();
  j["memory_mib"] = {{"total", memory_mib("MemTotal")}, {"available", memory_mib("MemAvailable")}};
  for (const auto& [name, text] : libraries()) j["libraries"][name] = text;
  for (const env::Variable& v : env::table()) {
    const char* value = std::getenv(v.name);
    j["environment"].push_back({{"name", v.name},
                                {"value", value ? nlohmann::ordered_json(value) : nlohmann::ordered_json()},
                                {"type", v.type},
                                {"default", v.default_value},
                                {"help", v.help}});
  }
  char folder[4096] = "";
  if (!::getcwd(folder, sizeof folder)) folder[0] = '\0';
  j["folder"] = {{"path", folder}, {"writable", ::access(".", W_OK) == 0}};
  return j;
}

void print(std::FILE* out, const nlohmann::ordered_json& j) {
  auto line = [&](const char* name, const std::string& value) { print_to(out, "{:<12} {}\n", name, value); };
  line("atrous", version_line().substr(7));
  line("build", fmt::format("{}{}, {}", build_type(),
                            sanitizers().empty() ? "" : " with -fsanitize=" + sanitizers(), compiler()));
  line("system", j["system"]);
  line("cpu", fmt::format("{}; {}{}", cpu_model_name(), name_of(cpu_isa()),
                          cpu_has_amx_bf16() ? ", bf16, AMX"
                          : cpu_has_bf16()   ? ", bf16"
                                             : ""));
  line("threads", fmt::format("{} of {} cores", num_threads(), available_cores()));
  line("memory", fmt::format("{} MiB, {} MiB available", j["memory_mib"]["total"].get<int64_t>(),
                             j["memory_mib"]["available"].get<int64_t>()));
  for (const nlohmann::ordered_json& d : j["devices"])
    line(&d == &j["devices"][0] ? "devices" : "", device_line(d));
  std::string all;
  for (const auto& [name, text] : libraries())
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", name, text);
  line("libraries", all);
  line("folder", fmt::format("{} ({})", j["folder"]["path"].get<std::string>(),
                             j["folder"]["writable"].get<bool>() ? "writable" : "NOT writable"));
  print_to(out, "\nenvironment\n");
  size_t width = 0;
  for (const env::Variable& v : env::table()) width = std::max(width, std::string_view(v.name).size());
  for (const env::Variable& v : env::table()) {
    const char* value = std::getenv(v.name);
    print_to(out, "  {:<{}} {:<24} {}\n", v.name, width, value ? fmt::format("= {}", value) : "(not set)",
             v.help);
  }
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("doctor", "Shows build, CPU, devices, memory, libraries and environment");
  command->footer("atrous doctor --json report.json");
  auto report = std::make_shared<Report>();
  report->add_option(*command);
  command->callback([report] {
    const nlohmann::ordered_json j = examine();
    print(report->table(), j);
    report->write_json(j.dump(2));
  });
}

}  // namespace atrous::cli
