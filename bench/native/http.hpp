// An HTTP/1.1 client for the carrier's webhooks: one POST at a time, kept alive where the server allows it.
#pragma once

#include "net.hpp"
#include "text.hpp"

class HttpClient : public Socket {
  public:
    struct Answer {
        int status = 0;  // 0: none came, and `why`
        std::string why, head, body;
    };

    using Socket::Socket;

    // Ask, on the open connection if it still lives; a kept one that died meanwhile is replaced once. done: called once.
    void post(const sockaddr_in& address, std::string request, std::function<void(Answer&)> done) {
        address_ = address;
        request_ = std::move(request);
        done_ = std::move(done);
        reused_ = open();
        answer_ = {};
        body_from_ = 0;
        if (reused_) send(request_.data(), request_.size());
        else dial(address_);
    }

    // Bytes of a POST with a form. extra: further header lines, each with its CRLF.
    static std::string request(Text authority, Text path, Text extra, Text body) {
        std::string out = "POST ";
        out.append(path).append(" HTTP/1.1\r\nHost: ").append(authority);
        out.append("\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\nContent-Type: application/x-www-form-urlencoded; charset=UTF-8");
        out.append("\r\nContent-Length: ").append(std::to_string(body.size())).append("\r\n").append(extra).append("\r\n").append(body);
        return out;
    }

  protected:
    void connected() override { send(request_.data(), request_.size()); }

    size_t received(char* data, size_t size) override {
        if (!done_) return close(), size;  // nobody asked
        Text all(data, size);
        if (answer_.head.empty()) {
            size_t end = all.find("\r\n\r\n");
            if (end == Text::npos) return 0;
            if (all.substr(9, 1) == "1") return end + 4 + received(data + end + 4, size - end - 4);  // the answer follows
            answer_.head = std::string(all.substr(0, end + 2));
            answer_.status = std::atoi(answer_.head.c_str() + std::min<size_t>(9, answer_.head.size()));
            body_from_ = end + 4;
        }
        Text body = all.substr(body_from_);
        Text length = header(answer_.head, "content-length");
        if (has_word(header(answer_.head, "transfer-encoding"), "chunked")) {
            if (!unchunk(body)) return 0;
        } else if (!length.empty() || answer_.status == 204) {
            size_t wanted = length.empty() ? 0 : std::strtoul(std::string(length).c_str(), nullptr, 10);
            if (body.size() < wanted) return 0;
            answer_.body = std::string(body.substr(0, wanted));
        } else {
            answer_.body = std::string(body);  // ends with the connection
            return 0;
        }
        if (has_word(header(answer_.head, "connection"), "close")) close();
        finish();
        return size;
    }

    void lost(const std::string& why) override {
        if (!done_) return;
        if (reused_ && answer_.head.empty()) {
            reused_ = false;
            return dial(address_);
        }
        bool ends_so = !answer_.head.empty() && header(answer_.head, "content-length").empty() && !has_word(header(answer_.head, "transfer-encoding"), "chunked");
        if (!ends_so) {
            answer_.status = 0;
            answer_.why = why;
        }
        finish();
    }

  private:
    bool unchunk(Text body) {
        answer_.body.clear();
        for (;;) {
            size_t line = body.find("\r\n");
            if (line == Text::npos) return false;
            size_t size = std::strtoul(std::string(body.substr(0, line)).c_str(), nullptr, 16);
            body.remove_prefix(line + 2);
            if (size == 0) return body.find("\r\n") != Text::npos;
            if (body.size() < size + 2) return false;
            answer_.body += body.substr(0, size);
            body.remove_prefix(size + 2);
        }
    }

    void finish() {
        auto done = std::move(done_);
        done_ = nullptr;
        Answer answer = std::move(answer_);
        done(answer);
    }

    sockaddr_in address_{};
    std::string request_;
    std::function<void(Answer&)> done_;
    bool reused_ = false;
    Answer answer_;
    size_t body_from_ = 0;
};
