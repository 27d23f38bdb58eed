// The sub-commands of `atrous`, one file each. Every function adds its options and its callback to the
// program.
#pragma once

namespace CLI {
class App;
}

namespace atrous::cli {

void add_train_command(CLI::App& app);       // cmd_train.cpp
void add_eval_command(CLI::App& app);        // cmd_eval.cpp
void add_predict_command(CLI::App& app);     // cmd_predict.cpp
void add_crf_command(CLI::App& app);         // cmd_crf.cpp
void add_crf_search_command(CLI::App& app);  // cmd_crf_search.cpp
void add_features_command(CLI::App& app);    // cmd_features.cpp
void add_forward_command(CLI::App& app);     // cmd_forward.cpp
void add_metrics_command(CLI::App& app);     // cmd_metrics.cpp
// To `metrics`: cmd_metrics_coco.cpp
void add_metrics_coco_command(CLI::App& metrics);
void add_summary_command(CLI::App& app);         // cmd_summary.cpp
void add_data_command(CLI::App& app);            // cmd_data.cpp
void add_import_weights_command(CLI::App& app);  // cmd_weights.cpp
void add_export_weights_command(CLI::App& app);  // cmd_weights.cpp
void add_weights_command(CLI::App& app);         // cmd_weights_file.cpp
void add_bench_command(CLI::App& app);           // cmd_bench.cpp
void add_doctor_command(CLI::App& app);          // cmd_doctor.cpp

}  // namespace atrous::cli
