#include "eval/instance_comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "eval/bitmap_font.h"
#include "eval/evaluate_instances.h"
#include "eval/instance_pictures.h"
#include "eval/pictures.h"

namespace atrous::eval {
namespace {

constexpr const char* not_found_mark = "not found";

const char* mark_of(DetectionError error) {
  switch (error) {
    case DetectionError::localisation: return "loc";
    case DetectionError::classification: return "cls";
    case DetectionError::duplicate: return "dup";
    case DetectionError::background: return "bg";
    case DetectionError::both: return "cls+loc";
    case DetectionError::missed: return not_found_mark;
    case DetectionError::none: break;
  }
  return "";
}

std::string legend(const InstanceVerdict& verdict) {
  std::vector<std::string> parts;
  for (int e = 1; e < detection_errors; ++e) {
    const auto error = static_cast<DetectionError>(e);
    if (error != DetectionError::missed && std::ranges::count(verdict.errors, error) > 0)
      parts.push_back(fmt::format("{}: {}", mark_of(error), meaning_of(error)));
  }
  return verdict.all() == 0 ? "" : fmt::format("Red dashes: errors. {}", fmt::join(parts, ". "));
}

// Lines of text below or above a picture, broken between words.
Tensor with_text(const Tensor& picture, const std::string& text, bool above, int64_t scale) {
  if (text.empty()) return picture;
  const int64_t width = picture.dim(1), gap = 3 * scale;
  std::vector<std::string> lines(1);
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    at = end + 1;
    std::string& line = lines.back();
    if (!line.empty() && text_width(line + " " + word, scale) > width - 2 * gap) {
      lines.push_back(word);
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  const int64_t step = glyph_height * scale + gap, strip = step * static_cast<int64_t>(lines.size()) + gap;
  const Tensor out = Tensor::full({picture.dim(0) + strip, width, 3}, 255, DType::u8);
  std::copy_n(picture.data<uint8_t>(), picture.numel(),
              out.data<uint8_t>() + (above ? strip * width * 3 : 0));
  for (size_t i = 0; i < lines.size(); ++i)
    draw_text(out, (above ? 0 : picture.dim(0)) + gap + static_cast<int64_t>(i) * step, gap, lines[i], scale,
              {40, 40, 40});
  return out;
}

}  // namespace

int64_t InstanceVerdict::wrong() const {
  return std::ssize(errors) - std::ranges::count(errors, DetectionError::none);
}
int64_t InstanceVerdict::not_found() const {
  return std::ranges::count(found, uint8_t{0});
}

InstanceVerdict verdict_of(const CocoImageMatches& matches, std::span<const int64_t> matched,
                           int64_t detections, const Instances& objects) {
  InstanceVerdict v;
  v.object.assign(static_cast<size_t>(detections), -1);
  v.errors.assign(static_cast<size_t>(detections), DetectionError::none);
  v.found.resize(static_cast<size_t>(objects.size()));
  for (size_t o = 0; o < objects.crowd.size(); ++o) v.found[o] = objects.crowd[o];
  for (const CocoImageMatches::Class& c : matches.classes) {
    for (const CocoImageMatches::Detection& d : c.detections) {
      const auto at = static_cast<size_t>(matched[d.index]);
      v.errors.at(at) = d.error;
      v.object.at(at) = d.object;
      if (d.object >= 0) v.found.at(static_cast<size_t>(d.object)) = 1;
    }
  }
  return v;
}

Tensor compare_instances(const data::InstanceSample& sample, const layers::Detections& found,
                         const std::vector<data::Rle>& masks, const InstanceVerdict& verdict,
                         const std::vector<data::ClassInfo>& classes) {
  InstanceNotes truth, ours;
  for (const uint8_t ok : verdict.found) truth.errors.emplace_back(ok ? "" : not_found_mark);
  int64_t fresh = sample.instances.size();  // colours that no object has
  for (size_t i = 0; i < verdict.object.size(); ++i) {
    ours.colors.push_back(verdict.object[i] >= 0 ? verdict.object[i] : fresh++);
    ours.errors.emplace_back(mark_of(verdict.errors[i]));
  }
  const auto counted = [](const char* what, int64_t count, int64_t bad, const char* bad_what) {
    return fmt::format("{}: {}{}", what, count, bad ? fmt::format(", {} {}", bad, bad_what) : "");
  };
  const Tensor left = draw_instances(sample.image, sample.instances, classes, {}, truth);
  const Tensor right = draw_instances(sample.image, as_instances(found, masks), classes, found.scores, ours);
  const int64_t scale = 1 + left.dim(1) / 500;  // of letters that are legible on a page
  const Tensor both = side_by_side(
      {with_text(left, counted("Annotated", sample.instances.size(), verdict.not_found(), "not found"), true,
                 scale),
       with_text(right, counted("Found", found.size(), verdict.wrong(), "wrong"), true, scale)});
  return with_text(both, legend(verdict), false, scale);
}

}  // namespace atrous::eval
