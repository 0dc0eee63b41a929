// A WebSocket, as server or client: upgrade, frames in both directions, fragments, control frames, the close handshake.
// Source: RFC 6455. No extension is ever offered or taken; what breaks the protocol is closed with 1002.
#pragma once

#include "digest.hpp"
#include "net.hpp"
#include "text.hpp"

inline uint64_t random_bits() {
    static uint64_t state = static_cast<uint64_t>(now()) * 0x9E3779B97F4A7C15ULL | 1;
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

// XOR in place; masking and unmasking are the same.
inline void apply_mask(char* data, size_t size, uint32_t key) {
    uint64_t wide = uint64_t(key) << 32 | key, word;
    size_t at = 0;
    for (; at + 8 <= size; at += 8) {
        std::memcpy(&word, data + at, 8);
        word ^= wide;
        std::memcpy(data + at, &word, 8);
    }
    char bytes[4];
    std::memcpy(bytes, &key, 4);
    for (; at < size; at++) data[at] = static_cast<char>(data[at] ^ bytes[at % 4]);
}

class WebSocket : public Socket {
  public:
    enum Opcode : uint8_t { kMore = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
    static constexpr size_t kLongest = 16 << 20;

    using Socket::Socket;

    bool upgraded() const { return upgraded_; }

    // Client: dial, then ask for the upgrade. more: further header lines, each with its CRLF.
    void upgrade(const sockaddr_in& address, Text authority, Text path, Text more) {
        client_ = true;
        uint64_t nonce[2] = {random_bits(), random_bits()};
        key_ = base64({reinterpret_cast<const char*>(nonce), sizeof nonce});
        request_ = "GET " + std::string(path) + " HTTP/1.1\r\nHost: " + std::string(authority) +
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key_ +
                   "\r\n" + std::string(more) + "\r\n";
        dial(address);
    }

    // One text message of these parts, in one frame.
    void send_text(std::initializer_list<Text> parts) {
        if (open() && upgraded_ && !closing_) send_frame(kText, parts);
    }

    // Begin the close handshake; the peer's answer, or `lost`, ends it.
    void send_close(int code, Text reason = {}) {
        if (!open() || !upgraded_ || closing_) return;
        closing_ = true;
        const char bytes[2] = {static_cast<char>(code >> 8), static_cast<char>(code)};
        send_frame(kClose, {{bytes, 2}, reason});
    }

  protected:
    // Server: what to answer to this request head; anything but 101 refuses. protocol: the subprotocol to select, if any.
    virtual int accepts(Text /*head*/, std::string& /*protocol*/) { return 101; }
    virtual void opened() = 0;
    virtual void message(Text text) = 0;
    virtual void binary(size_t size) = 0;
    // The socket is gone, by whatever way; called once. code: of the close frame, 1006 if none came, 0 if never upgraded.
    virtual void ended(int code, const std::string& why) = 0;

    void connected() override { send(request_.data(), request_.size()); }
    void lost(const std::string& why) override { finish(upgraded_ ? 1006 : 0, why); }

    size_t received(char* data, size_t size) override {
        size_t used = 0;
        if (!upgraded_) {
            size_t end = Text(data, size).find("\r\n\r\n");
            if (end == Text::npos) {
                if (size > 65'536) fail("the head is longer than 64 kB");
                return 0;
            }
            used = end + 4;
            Text head(data, end + 2);
            if (!(client_ ? answered(head) : asked(head))) return size;
            upgraded_ = true;
            opened();
        }
        while (open()) {
            size_t frame = one_frame(data + used, size - used);
            if (frame == 0) break;
            used += frame;
        }
        return used;
    }

  private:
    bool asked(Text head) {
        Text key = header(head, "sec-websocket-key");
        std::string protocol;
        bool wants = head.substr(0, 4) == "GET " && has_word(header(head, "upgrade"), "websocket") && !key.empty();
        int status = wants ? accepts(head, protocol) : 426;
        if (status != 101) {
            std::string answer = "HTTP/1.1 " + std::to_string(status) + " No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
            send(answer.data(), answer.size());
            close();
            finish(0, "refused with " + std::to_string(status));
            return false;
        }
        std::string answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
                             accept_key(key) + "\r\n" +
                             (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n") + "\r\n";
        send(answer.data(), answer.size());
        return true;
    }

    bool answered(Text head) {
        Text status = head.substr(0, head.find("\r\n"));
        if (status.size() > 12 && status.substr(0, 7) == "HTTP/1." && status.substr(9, 3) == "101") {
            if (header(head, "sec-websocket-accept") == accept_key(key_)) return true;
            status = "101 with a wrong Sec-WebSocket-Accept";
        }
        std::string why = "the upgrade was answered with: " + std::string(status);
        close();
        finish(0, why);
        return false;
    }

    // Bytes of one whole frame that was dealt with; 0 if it is not all there yet, or the socket is no more.
    size_t one_frame(char* data, size_t size) {
        if (size < 2) return 0;
        const auto* head = reinterpret_cast<const uint8_t*>(data);
        bool final = head[0] & 0x80, masked = head[1] & 0x80;
        uint8_t opcode = head[0] & 0x0F;
        uint64_t length = head[1] & 0x7F;
        size_t at = 2;
        if (length >= 126) {
            size_t bytes = length == 126 ? 2 : 8;
            if (size < at + bytes) return 0;
            for (length = 0; at < 2 + bytes; at++) length = length << 8 | head[at];
        }
        if (head[0] & 0x70) return fail("a reserved bit is set"), 0;
        if (masked == client_) return fail(client_ ? "a server's frame is masked" : "a client's frame is not masked"), 0;
        if (opcode >= kClose && (!final || length > 125)) return fail("a control frame is fragmented or too long"), 0;
        if (length + pieces_.size() > kLongest) return fail("a message is longer than 16 MB"), 0;
        if (masked) at += 4;
        if (size < at + length) return 0;
        char* body = data + at;
        if (masked) {
            uint32_t key;
            std::memcpy(&key, body - 4, 4);
            apply_mask(body, length, key);
        }
        dispatch(opcode, final, Text(body, length));
        return at + length;
    }

    void dispatch(uint8_t opcode, bool final, Text body) {
        switch (opcode) {
            case kPing: return send_frame(kPong, {body});
            case kPong: return;
            case kClose: return close_came(body);
            case kText:
            case kBinary:
                if (begun_) return fail("a new message began before the last one ended");
                if (final) return opcode == kText ? message(body) : binary(body.size());
                begun_ = opcode;
                pieces_.assign(body);
                return;
            case kMore:
                if (!begun_) return fail("a message goes on that never began");
                pieces_ += body;
                if (final) {
                    std::string whole = std::move(pieces_);
                    bool text = begun_ == kText;
                    pieces_.clear();
                    begun_ = 0;
                    text ? message(whole) : binary(whole.size());
                }
                return;
            default: return fail("an unknown opcode");
        }
    }

    void close_came(Text body) {
        int code = body.size() >= 2 ? static_cast<uint8_t>(body[0]) << 8 | static_cast<uint8_t>(body[1]) : 1005;
        std::string reason(body.size() > 2 ? body.substr(2) : Text{});
        if (!closing_) send_frame(kClose, {body.substr(0, 2)});
        close();
        finish(code, reason);
    }

    void fail(const char* why) {
        send_close(1002, why);
        close();
        finish(1002, why);
    }

    void finish(int code, const std::string& why) {
        if (finished_) return;
        finished_ = true;
        ended(code, why);
    }

    void send_frame(uint8_t opcode, std::initializer_list<Text> parts) {
        static std::string frame;  // one thread, and `send` copies what it keeps
        size_t length = 0;
        for (Text part : parts) length += part.size();
        uint8_t head[14] = {static_cast<uint8_t>(0x80 | opcode)};
        size_t at = 2;
        if (length < 126) {
            head[1] = static_cast<uint8_t>(length);
        } else {
            size_t bytes = length < 65'536 ? 2 : 8;
            head[1] = bytes == 2 ? 126 : 127;
            for (size_t i = 0; i < bytes; i++) head[at++] = static_cast<uint8_t>(uint64_t(length) >> (8 * (bytes - 1 - i)));
        }
        uint32_t key = static_cast<uint32_t>(random_bits() >> 32);
        if (client_) {
            head[1] |= 0x80;
            std::memcpy(head + at, &key, 4);
            at += 4;
        }
        frame.assign(reinterpret_cast<char*>(head), at);
        for (Text part : parts) frame += part;
        if (client_) apply_mask(frame.data() + at, length, key);
        send(frame.data(), frame.size());
    }

    bool client_ = false, upgraded_ = false, closing_ = false, finished_ = false;
    uint8_t begun_ = 0;  // the opcode of a message whose last fragment has not come
    std::string key_, request_, pieces_;
};
