// Digests and base64: SHA-1, HMAC-SHA1, Twilio's signature, the WebSocket accept key.
// Sources: FIPS 180-4, RFC 2104, RFC 4648, RFC 6455 4.2.2, Twilio "security of requests".
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "text.hpp"

using Digest = std::array<uint8_t, 20>;

inline uint32_t rotated(uint32_t x, int by) { return x << by | x >> (32 - by); }

inline void sha1_block(uint32_t* state, const uint8_t* block) {
    uint32_t w[80];
    for (int i = 0; i < 16; i++)
        w[i] = uint32_t(block[4 * i]) << 24 | uint32_t(block[4 * i + 1]) << 16 | uint32_t(block[4 * i + 2]) << 8 | block[4 * i + 3];
    for (int i = 16; i < 80; i++) w[i] = rotated(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4];
    for (int i = 0; i < 80; i++) {
        uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
        uint32_t k = i < 20 ? 0x5A827999U : i < 40 ? 0x6ED9EBA1U : i < 60 ? 0x8F1BBCDCU : 0xCA62C1D6U;
        uint32_t next = rotated(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotated(b, 30), b = a, a = next;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d, state[4] += e;
}

inline Digest sha1(std::string_view text) {
    uint32_t state[5] = {0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0};
    std::string padded(text);
    padded += '\x80';
    padded.append((120 - padded.size() % 64) % 64, '\0');
    for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(uint64_t(text.size()) * 8 >> shift);
    for (size_t at = 0; at < padded.size(); at += 64) sha1_block(state, reinterpret_cast<const uint8_t*>(padded.data()) + at);
    Digest digest;
    for (int i = 0; i < 20; i++) digest[static_cast<size_t>(i)] = static_cast<uint8_t>(state[i / 4] >> (24 - 8 * (i % 4)));
    return digest;
}

inline std::string_view bytes_of(const Digest& digest) { return {reinterpret_cast<const char*>(digest.data()), digest.size()}; }

inline Digest hmac_sha1(std::string_view key, std::string_view text) {
    Digest shorter;
    if (key.size() > 64) {
        shorter = sha1(key);
        key = bytes_of(shorter);
    }
    std::string inner(64, '\x36'), outer(64, '\x5c');
    for (size_t i = 0; i < key.size(); i++) inner[i] = char(inner[i] ^ key[i]), outer[i] = char(outer[i] ^ key[i]);
    inner += text;
    outer += bytes_of(sha1(inner));
    return sha1(outer);
}

// Two characters for each 12 bits; and back, each character at its place in the 24 bits.
struct Base64Tables {
    char pairs[4096][2];
    uint32_t values[4][256];
    static constexpr uint32_t kBad = 1U << 24;

    Base64Tables() {
        const char* alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        for (size_t i = 0; i < 4096; i++) pairs[i][0] = alphabet[i >> 6], pairs[i][1] = alphabet[i & 63];
        for (auto& place : values) std::fill(std::begin(place), std::end(place), kBad);
        for (uint32_t i = 0; i < 64; i++)
            for (uint32_t place = 0; place < 4; place++) values[place][static_cast<uint8_t>(alphabet[i])] = i << (18 - 6 * place);
    }
};

inline const Base64Tables kBase64;

constexpr size_t base64_size(size_t bytes) { return (bytes + 2) / 3 * 4; }

// Writes base64_size(size) characters.
inline void base64_encode(const uint8_t* data, size_t size, char* out) {
    size_t at = 0;
    for (; at + 3 <= size; at += 3, out += 4) {
        uint32_t bits = uint32_t(data[at]) << 16 | uint32_t(data[at + 1]) << 8 | data[at + 2];
        std::memcpy(out, kBase64.pairs[bits >> 12], 2);
        std::memcpy(out + 2, kBase64.pairs[bits & 4095], 2);
    }
    if (at == size) return;
    bool two = size - at == 2;
    uint32_t bits = uint32_t(data[at]) << 16 | (two ? uint32_t(data[at + 1]) << 8 : 0);
    std::memcpy(out, kBase64.pairs[bits >> 12], 2);
    out[2] = two ? kBase64.pairs[bits & 4095][0] : '=';
    out[3] = '=';
}

inline std::string base64(std::string_view data) {
    std::string text(base64_size(data.size()), '\0');
    base64_encode(reinterpret_cast<const uint8_t*>(data.data()), data.size(), text.data());
    return text;
}

// Bytes written to `out`, which has room for text.size() / 4 * 3; -1 if the text is not base64 with its padding.
inline long base64_decode(std::string_view text, uint8_t* out) {
    if (text.size() % 4 != 0) return -1;
    if (text.empty()) return 0;
    size_t padding = text.back() != '=' ? 0 : text[text.size() - 2] != '=' ? 1 : 2;
    const auto* in = reinterpret_cast<const uint8_t*>(text.data());
    const uint8_t* begin = out;
    const auto& v = kBase64.values;
    size_t whole = text.size() / 4 - (padding > 0);
    for (size_t i = 0; i < whole; i++, in += 4, out += 3) {
        uint32_t bits = v[0][in[0]] | v[1][in[1]] | v[2][in[2]] | v[3][in[3]];
        if (bits >= Base64Tables::kBad) return -1;
        out[0] = uint8_t(bits >> 16), out[1] = uint8_t(bits >> 8), out[2] = uint8_t(bits);
    }
    if (padding > 0) {
        uint32_t bits = v[0][in[0]] | v[1][in[1]] | (padding == 1 ? v[2][in[2]] : 0);
        if (bits >= Base64Tables::kBad) return -1;
        *out++ = uint8_t(bits >> 16);
        if (padding == 1) *out++ = uint8_t(bits >> 8);
    }
    return out - begin;
}

// X-Twilio-Signature: the URL, then every name and value in byte order of the names, equal pairs once.
inline std::string twilio_signature(std::string_view token, std::string_view url, Fields fields = {}) {
    std::sort(fields.begin(), fields.end());
    fields.erase(std::unique(fields.begin(), fields.end()), fields.end());
    std::string text(url);
    for (const auto& [name, value] : fields) text += name + value;
    return base64(bytes_of(hmac_sha1(token, text)));
}

inline std::string accept_key(std::string_view key) {
    return base64(bytes_of(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
}
