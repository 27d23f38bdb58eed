// Parts shared by the reports of all networks: the head of the page, the table of facts, and names of picture
// files.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace atrous::eval {

using Facts = std::vector<std::pair<std::string, std::string>>;  // in order of printing

// The key of a fact in JSON: "boundary F1" is boundary_F1.
std::string fact_key(std::string name);

// From the network (nets::describe) and the facts "weights" and "split".
std::string report_head(const std::string& network, const Facts& facts);
std::string facts_table(const Facts& facts);

// The folder `worst`, created if needed, without an earlier report's pictures.
void prepare_worst_folder(const std::string& report_folder);
std::string picture_name(size_t rank, const std::string& id, const char* kind);
// Removes the pictures of these kinds (NN_<id>_<kind>.png) that an earlier report left in `folder`, if it is
// there.
void remove_pictures(const std::string& folder, const std::vector<std::string>& kinds);

}  // namespace atrous::eval
