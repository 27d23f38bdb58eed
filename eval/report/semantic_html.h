// Scores and confusion matrix for HTML reports: `train` and `eval` show the same.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "eval/metrics.h"
#include "eval/semantic_metrics.h"

namespace atrous::eval {

// "Pixel accuracy" of "pixel accuracy"; "mIoU" stays.
std::string heading_of(const char* title);

// Percent with one digit; a dash for an undefined score.
std::string percent_text(const std::optional<double>& share);

// A card (eval/report/html.h) with a share in percent; a dash for an undefined score.
std::string percent_card(const std::optional<double>& share, const std::string& label);

// Cards of the metrics with this flag. `classes` ends the label of the main score: "mIoU over 11 of 12
// classes".
std::string semantic_cards(const SemanticScores& scores, Shown place, const std::string& classes);

// The confusion matrix as an SVG picture, for a separate file or inline in a page: rows are labelled
// classes, columns predicted ones, cells their share of the row (green where they agree, red where not; the
// square root of the share is the strength, which makes rare confusions visible). Shares stand in the cells
// while there is room (up to 25 classes); each cell has a tooltip with names, share and pixels.
// `unit`: what is counted.
enum class SvgPlace { file, page };
std::string confusion_svg(const ConfusionMatrix& confusion, const std::vector<std::string>& names,
                          SvgPlace place = SvgPlace::file, const char* unit = "pixels");

// Sections with a heading. `colors`: CSS, by class; may be empty.
std::string per_class_section(const SemanticScores& scores, const std::vector<std::string>& colors,
                              const std::string& heading);
// The picture, and a table of the largest confusions.
std::string confusion_section(const ConfusionMatrix& confusion, const std::vector<std::string>& names,
                              const char* unit = "pixels");

std::vector<std::string> names_of(const SemanticScores& scores);

}  // namespace atrous::eval
