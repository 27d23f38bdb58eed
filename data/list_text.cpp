#include "data/list_text.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "data/faults.h"
#include "data/image_io.h"

namespace atrous::data {
namespace {

constexpr std::string_view separators = " \t";

void check_encoding(const std::string& text, const std::string& path) {
  const bool utf16 = text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff");
  ATROUS_CHECK(!utf16, ErrorKind::data,
               "[{}] lists must be UTF-8 text. Got UTF-16, as some editors and shells of Windows write it. "
               "Convert it: `iconv -f UTF-16 -t UTF-8 LIST > NEW`.",
               path);
  ATROUS_CHECK(
      text.find('\0') == std::string::npos, ErrorKind::data,
      "[{}] lists must be UTF-8 text. Got a zero byte: it is another encoding, or no text. Save it as UTF-8.",
      path);
}

std::string quoted_field(const std::string& line, size_t& at, const std::string& where) {
  std::string field;
  for (size_t i = at + 1; i < line.size(); ++i) {
    if (line[i] != '"') {
      field += line[i];
      continue;
    }
    if (i + 1 < line.size() && line[i + 1] == '"') {
      field += line[i++];
      continue;
    }
    at = i + 1;
    ATROUS_CHECK(at == line.size() || separators.find(line[at]) != std::string_view::npos, ErrorKind::data,
                 "{} a space must follow a closing quote. Got `{}`. Double a quote inside a name.", where,
                 line);
    return field;
  }
  fail(ErrorKind::data,
       "{} a quoted name must end with a quote. Got `{}`. Add it; double a quote inside a name.", where,
       line);
}

std::vector<std::string> fields_of(const std::string& line, const std::string& where) {
  std::vector<std::string> fields;
  for (size_t at = line.find_first_not_of(separators); at != std::string::npos;
       at = line.find_first_not_of(separators, at)) {
    if (line[at] == '"') {
      fields.push_back(quoted_field(line, at, where));
      continue;
    }
    const size_t end = std::min(line.find_first_of(separators, at), line.size());
    fields.push_back(line.substr(at, end - at));
    at = end;
  }
  return fields;
}

}  // namespace

std::vector<ListLine> read_list_lines(const std::string& path, std::vector<std::string>* faults) {
  const internal::Faults sink(faults);
  constexpr int64_t max_bytes = int64_t{1} << 28;
  const std::vector<uint8_t> bytes = read_file(path, max_bytes);
  std::string text(bytes.begin(), bytes.end());
  check_encoding(text, path);
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  std::vector<ListLine> lines;
  int64_t number = 0;
  bool has_text = false;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    const std::string where = fmt::format("[{}:{}]", path, number);
    if (line.ends_with('\r')) line.pop_back();
    has_text |= line.find_first_not_of(separators) != std::string::npos;
    sink.attempt([&] {
      ATROUS_CHECK(line.find('\r') == std::string::npos, ErrorKind::data,
                   "{} a line must end with a newline. Got a carriage return inside the line. Convert the "
                   "list: `tr '\\r' '\\n' < LIST > NEW`.",
                   where);
      std::vector<std::string> fields = fields_of(line, where);
      if (!fields.empty()) lines.push_back({number, std::move(line), std::move(fields)});
    });
  }
  ATROUS_CHECK(has_text, ErrorKind::data, "[{}] a list must name at least one image. Got an empty file.",
               path);
  return lines;
}

}  // namespace atrous::data
