// Pieces of the HTML reports: pages that open anywhere, without network or other files.
#pragma once

#include <string>

namespace atrous::eval {

// &, <, > and quotes for HTML.
std::string escape_html(const std::string& text);
std::string base64(const std::string& bytes);

// Everything up to and with the heading; `sub` stands below it. Light or dark as the reader's system is.
std::string page_head(const std::string& title, const std::string& sub);
std::string page_end();

// A number with a label under it; a row of them goes into <div class="cards">.
std::string card(const std::string& value, const std::string& label);

// <img> that holds the bytes of a PNG file.
std::string inline_png(const std::string& bytes, const std::string& description);

}  // namespace atrous::eval
