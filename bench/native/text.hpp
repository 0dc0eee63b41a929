// Finds fields in what others wrote: JSON, XML, HTTP heads, URLs; and writes forms and JSON strings. Nothing is copied to look.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using Text = std::string_view;
using Fields = std::vector<std::pair<std::string, std::string>>;

// --- JSON: a value is the text it is written in, strings with their quotes; empty if it is not there ---

inline size_t after_blank(Text s, size_t i) {
    while (i < s.size() && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r')) i++;
    return i;
}

// i: at the opening quote. npos if it never closes. Long strings without escapes (audio) cost one memchr.
inline size_t after_string(Text s, size_t i) {
    for (i++; i < s.size();) {
        size_t quote = s.find('"', i), slash = quote;
        if (quote == Text::npos) return Text::npos;
        while (slash > i && s[slash - 1] == '\\') slash--;
        if ((quote - slash) % 2 == 0) return quote + 1;
        i = quote + 1;
    }
    return Text::npos;
}

inline size_t after_value(Text s, size_t i) {
    if (i >= s.size()) return Text::npos;
    if (s[i] == '"') return after_string(s, i);
    if (s[i] != '{' && s[i] != '[') {
        size_t end = s.find_first_of(",}] \n\t\r", i);
        return end == Text::npos ? s.size() : end;
    }
    int depth = 0;
    while (i < s.size()) {
        i = s.find_first_of("\"{}[]", i);
        if (i == Text::npos) return Text::npos;
        if (s[i] == '"') {
            i = after_string(s, i);
            if (i == Text::npos) return Text::npos;
            continue;
        }
        depth += s[i] == '{' || s[i] == '[' ? 1 : -1;
        i++;
        if (depth == 0) return i;
    }
    return Text::npos;
}

inline Text field(Text object, Text key) {
    size_t i = after_blank(object, 0);
    if (i >= object.size() || object[i] != '{') return {};
    i = after_blank(object, i + 1);
    while (i < object.size() && object[i] == '"') {
        size_t end = after_string(object, i);
        if (end == Text::npos) return {};
        bool found = object.substr(i + 1, end - i - 2) == key;
        i = after_blank(object, end);
        if (i >= object.size() || object[i] != ':') return {};
        i = after_blank(object, i + 1);
        end = after_value(object, i);
        if (end == Text::npos) return {};
        if (found) return object.substr(i, end - i);
        i = after_blank(object, end);
        if (i >= object.size() || object[i] != ',') return {};
        i = after_blank(object, i + 1);
    }
    return {};
}

inline Text field(Text object, std::initializer_list<Text> path) {
    for (Text key : path) object = field(object, key);
    return object;
}

// What is between a string's quotes, escapes as they are; empty for anything but a string.
inline Text inside(Text value) {
    return value.size() >= 2 && value.front() == '"' ? value.substr(1, value.size() - 2) : Text{};
}

inline std::string quoted(Text text) {
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char code[8];
            std::snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned>(c));
            out += code;
        } else {
            out += c;
        }
    }
    return out + '"';
}

// --- XML: only what TwiML needs ---

inline std::string unescaped(Text text) {
    static const std::pair<Text, char> names[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    std::string out;
    for (size_t i = 0; i < text.size();) {
        size_t step = 1;
        char c = text[i];
        for (const auto& [name, meant] : names)
            if (c == '&' && text.compare(i, name.size(), name) == 0) c = meant, step = name.size();
        out += c;
        i += step;
    }
    return out;
}

// The head of the first <name ...> from `from` on, without its brackets; `from` moves behind it. Empty if there is none.
inline Text tag(Text xml, Text name, size_t& from) {
    std::string open = "<" + std::string(name);
    for (size_t i = from; (i = xml.find(open, i)) != Text::npos; i += open.size()) {
        size_t end = xml.find('>', i);
        if (end == Text::npos) break;
        char next = xml[i + open.size()];
        if (next != ' ' && next != '>' && next != '/' && next != '\n') continue;
        from = end + 1;
        return xml.substr(i + 1, end - i - 1);
    }
    return {};
}

inline std::string attribute(Text tag, Text name) {
    for (char quote : {'"', '\''}) {
        std::string open = " " + std::string(name) + "=" + quote;
        size_t i = tag.find(open);
        if (i == Text::npos) continue;
        i += open.size();
        return unescaped(tag.substr(i, tag.find(quote, i) - i));
    }
    return {};
}

// --- HTTP heads ---

inline char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

inline bool same_word(Text a, Text b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

// The value of a header in a head whose lines end in CRLF; empty if it is not there.
inline Text header(Text head, Text name) {
    for (size_t at = head.find("\r\n"); at != Text::npos && at + 2 < head.size(); at = head.find("\r\n", at + 2)) {
        Text line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        size_t colon = line.find(':');
        if (colon == Text::npos || !same_word(line.substr(0, colon), name)) continue;
        line.remove_prefix(colon + 1);
        while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
        while (!line.empty() && (line.back() == ' ' || line.back() == '\t')) line.remove_suffix(1);
        return line;
    }
    return {};
}

inline bool has_word(Text list, Text word) {
    while (!list.empty()) {
        size_t comma = std::min(list.find(','), list.size());
        Text one = list.substr(0, comma);
        while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
        while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
        if (same_word(one, word)) return true;
        list.remove_prefix(std::min(comma + 1, list.size()));
    }
    return false;
}

// --- URLs and forms ---

struct Url {
    std::string scheme, host, path;  // path: with the query, never empty
    int port = 0;
    std::string authority;  // as it was written

    bool valid() const { return !host.empty() && port > 0 && port < 65536; }

    static Url of(Text text) {
        Url url;
        size_t colon = text.find("://");
        if (colon == Text::npos) return url;
        url.scheme = text.substr(0, colon);
        text.remove_prefix(colon + 3);
        size_t slash = std::min(text.find_first_of("/?#"), text.size());
        url.authority = text.substr(0, slash);
        url.path = text.substr(slash, text.find('#') - slash);
        if (url.path.empty() || url.path[0] != '/') url.path = "/" + url.path;
        size_t port = url.authority.find(':');
        url.host = url.authority.substr(0, port);
        bool secure = url.scheme == "https" || url.scheme == "wss";
        url.port = port == std::string::npos ? (secure ? 443 : 80) : std::atoi(url.authority.c_str() + port + 1);
        return url;
    }
};

inline std::string form(const Fields& fields) {
    std::string out;
    auto add = [&out](Text text) {
        for (char c : text) {
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c != 0 && std::strchr("-_.", c));
            char code[4];
            std::snprintf(code, sizeof code, "%%%02X", static_cast<unsigned char>(c));
            if (plain) out += c;
            else out += code;
        }
    };
    for (const auto& [name, value] : fields) {
        if (!out.empty()) out += '&';
        add(name);
        out += '=';
        add(value);
    }
    return out;
}
