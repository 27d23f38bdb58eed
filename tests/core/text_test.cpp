#include "core/text.h"

#include <catch2/catch.hpp>

using namespace atrous;

TEST_CASE("The nearest word forgives typing slips and capitals, not other words") {
  const std::vector<std::string> names{"sgd", "adam", "adamw", "rmsprop"};
  CHECK(nearest_word("adamW", names) == "adamw");
  CHECK(nearest_word("rmsporp", names) == "rmsprop");
  CHECK(nearest_word("something", names).empty());
}

TEST_CASE("UTF-8 is told from other bytes") {
  for (const char* good : {"", "plain", "\xc3\xa9", "\xe6\xa3\xae", "\xf0\x9f\x8c\xb2", "\xed\x9f\xbf"})
    CHECK(is_utf8(good));
  for (const char* bad : {"\xff", "a\xe9", "\xc3", "\xa9", "\xc0\xaf", "\xe0\x80\x80", "\xed\xa0\x80",
                          "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80"})
    CHECK_FALSE(is_utf8(bad));
}

TEST_CASE("Amounts of memory have a unit in which they are not 0") {
  CHECK(bytes_text(0) == "0 bytes");
  CHECK(bytes_text(1023) == "1023 bytes");
  CHECK(bytes_text(1024) == "1 KiB");
  CHECK(bytes_text(297152) == "290 KiB");
  CHECK(bytes_text(1 << 20) == "1.0 MiB");
  CHECK(bytes_text(int64_t{1468006}) == "1.4 MiB");
  CHECK(bytes_text(int64_t{10} << 20) == "10 MiB");
  CHECK(bytes_text(int64_t{6270} << 20) == "6270 MiB");
}

TEST_CASE("A shortened name keeps whole characters and tells names apart") {
  CHECK(shortened_name("short", 10) == "short");
  std::string name;
  for (int i = 0; i < 84; ++i) name += "\xe6\xa3\xae";
  const std::string a = shortened_name(name + "a", 250), b = shortened_name(name + "b", 250);
  CHECK(a.size() == 249);  // 80 characters, "~" and 8 digits
  CHECK(is_utf8(a));
  CHECK(a != b);
}

TEST_CASE("A plain name is short and has no other letters") {
  CHECK(plain_name("city/0001.png") == "city_0001_png");
  CHECK(plain_name("a-b_c") == "a-b_c");
  const std::string a = plain_name(std::string(300, 'x') + "a"), b = plain_name(std::string(300, 'x') + "b");
  CHECK(a.size() == 200);
  CHECK(a != b);
  CHECK(plain_name("\xe6\xa3\xae") == "___");
}

TEST_CASE("numbers of things are in the singular for one alone") {
  CHECK(counted(1, "image") == "1 image");
  CHECK(counted(0, "image") == "0 images");
  CHECK(counted(1, "class", "classes") == "1 class");
  CHECK(counted(12, "class", "classes") == "12 classes");
}
