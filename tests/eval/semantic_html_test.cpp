// The pictures and tables of reports.
#include "eval/report/semantic_html.h"

#include <catch2/catch.hpp>

#include "core/random.h"
#include "eval/pictures.h"
#include "eval/report/html.h"

using namespace atrous;
using namespace atrous::eval;
using Catch::Contains;

namespace {

int64_t count(const std::string& text, const std::string& part) {
  int64_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + part.size())) ++n;
  return n;
}

// Each class is right in 60 of 100 pixels, 30 go to the next class and 10 to the one after; the last class
// has no labels.
ConfusionMatrix circle(int64_t classes) {
  ConfusionMatrix m(classes);
  for (int64_t c = 0; c + 1 < classes; ++c) {
    m.add_pixels(c, c, 60);
    m.add_pixels(c, (c + 1) % classes, 30);
    m.add_pixels(c, (c + 2) % classes, 10);
  }
  return m;
}

std::array<int, 3> at(const Tensor& picture, int64_t y, int64_t x) {
  const uint8_t* p = picture.data<uint8_t>() + (y * picture.dim(1) + x) * 3;
  return {p[0], p[1], p[2]};
}

}  // namespace

TEST_CASE("the confusion picture has a cell per confusion, percent of the row, and names on both axes") {
  for (int64_t classes : {2, 3, 11, 19, 60, 150}) {
    CAPTURE(classes);
    std::vector<std::string> names;
    for (int64_t c = 0; c < classes; ++c) names.push_back("name" + std::to_string(c) + "x");
    const std::string svg = confusion_svg(circle(classes), names);
    CHECK(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    CHECK(svg.ends_with("</svg>\n"));
    CHECK_THAT(confusion_svg(circle(classes), names, SvgPlace::page), !Contains("http"));
    const int64_t confusions = classes == 2 ? 2 : 3 * (classes - 1);
    CHECK(count(svg, "<title>") == confusions + 1);  // and the row without labels
    CHECK(count(svg, "name" + std::to_string(classes - 1) + "x: no labelled pixel") == 1);
    CHECK_THAT(svg, Contains("<title>name0x → name1x: 30.00 %, 30 pixels</title>"));
    CHECK_THAT(svg,
               Contains("fill=\"#1f9d74\" fill-opacity=\"" + std::string(classes == 2 ? "0.837" : "0.775")));
    CHECK(count(svg, ">name1x</text>") == (classes > 30 ? 4 : 2));
    // Numbers stand in the cells while they are large enough.
    CHECK(count(svg, ">30</text>") == (classes > 25 ? 0 : classes - 1));
  }
}

TEST_CASE("names in pictures are escaped, and cut between characters") {
  ConfusionMatrix m(2);
  m.add_pixels(0, 0, 1);
  m.add_pixels(1, 0, 1);
  const std::string long_name = "ääääääääääääääääääääääääääää";
  const std::string svg = confusion_svg(m, {"a<b>&\"c\"", long_name});
  CHECK_THAT(svg, Contains("a&lt;b&gt;&amp;&quot;c&quot;") && !Contains("a<b>"));
  CHECK_THAT(svg, Contains(">ääääääääääääääääääääääää…</text>"));  // 24 of 28
  CHECK_THAT(svg, Contains("<title>" + long_name));                // whole for the mouse
}

TEST_CASE("the table of confusions lists the largest first, with shares of the row and of all errors") {
  ConfusionMatrix m(3);
  m.add_pixels(0, 0, 900);
  m.add_pixels(0, 1, 100);
  m.add_pixels(2, 1, 300);
  const std::string html = confusion_section(m, {"road", "car", "pole"});
  const size_t first =
      html.find("<td>pole</td><td class=\"text\">car</td><td>300</td><td>100.0</td><td>75.0</td>");
  const size_t second =
      html.find("<td>road</td><td class=\"text\">car</td><td>100</td><td>10.0</td><td>25.0</td>");
  CHECK(first < second);
  CHECK(second != std::string::npos);
  CHECK(count(html, "<tr><td>") == 2);
}

TEST_CASE("the table of classes tells absent classes and shows boundary F1 only if there is one") {
  ConfusionMatrix m(2);
  m.add_pixels(0, 0, 5);
  SemanticScores s = m.scores({{"here", "nowhere"}});
  std::string html = per_class_section(s, {"#ff0000"}, "Per class");
  CHECK_THAT(html, Contains("background:#ff0000") && Contains("<td>100.0</td>"));
  CHECK_THAT(html, Contains("nowhere</td><td>–</td><td>absent</td>") && !Contains("Boundary"));
  s["boundary_f1"] = 0.5;
  s.per_class[0]["boundary_f1"] = 0.25;
  html = per_class_section(s, {}, "Per class");
  CHECK_THAT(html, Contains("Boundary F1 %") && Contains("<td>25.0</td>"));
}

TEST_CASE("the error map tints wrong pixels red, ignored ones dark, right ones pale") {
  const Tensor image = Tensor::full({1, 3, 3}, 100, DType::u8);
  const Tensor label = Tensor::from<uint8_t>({1, 3}, {1, 1, 255});
  const Tensor prediction = Tensor::from<uint8_t>({1, 3}, {1, 0, 0});
  const Tensor map = error_map(image, label, prediction);
  CHECK(at(map, 0, 0) == std::array<int, 3>{209, 209, 209});  // 100 + 0.7 * 155, rounded
  CHECK(at(map, 0, 1) == std::array<int, 3>{198, 36, 44});    // 100 + 0.8 * (222, 20, 30 - 100)
  CHECK(at(map, 0, 2) == std::array<int, 3>{51, 58, 86});     // 100 + 0.7 * (30, 40, 80 - 100)
  CHECK_THROWS_WITH(error_map(image, label, Tensor::zeros({3, 1}, DType::u8)), Contains("one size"));
  // Grey images serve too.
  CHECK(at(error_map(Tensor::full({1, 3, 1}, 100, DType::u8), label, prediction), 0, 1) ==
        std::array<int, 3>{198, 36, 44});
}

TEST_CASE("shrunk pictures are means of whole squares, ragged ones at the border") {
  const Tensor picture = Tensor::from<uint8_t>({3, 5, 1}, {0, 10, 20, 30, 40,  //
                                                           2, 12, 22, 32, 42,  //
                                                           9, 9, 9, 9, 8});
  const Tensor small = shrunk(picture, 3);
  REQUIRE(small.shape() == Shape({2, 3, 1}));
  const std::vector<int> want = {6, 26, 41, 9, 9, 8};
  for (size_t i = 0; i < want.size(); ++i) CHECK(small.data<uint8_t>()[i] == want[i]);
  CHECK(shrunk(picture, 5).shape() == picture.shape());
}

TEST_CASE("text for pages is escaped and bytes are encoded") {
  CHECK(escape_html("<a href='x'>&\"") == "&lt;a href=&#39;x&#39;&gt;&amp;&quot;");
  CHECK(base64("") == "");
  CHECK(base64("M") == "TQ==");
  CHECK(base64("Ma") == "TWE=");
  CHECK(base64("Man") == "TWFu");
}
