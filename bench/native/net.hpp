// TCP: a listener, and a socket that reads into one shared buffer and writes at once, keeping what the kernel does not take.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

#include "loop.hpp"
#include "text.hpp"

#if !defined(MSG_NOSIGNAL)
#define MSG_NOSIGNAL 0
#endif

// Non-blocking, no Nagle, and no signal for a peer that is gone.
inline void prepare(int fd) {
    int on = 1;
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
#if defined(SO_NOSIGPIPE)
    setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on);
#endif
}

// As many descriptors as this user may have: a call takes three.
inline void many_descriptors() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    rlim_t wanted = limit.rlim_max == RLIM_INFINITY ? 65'536 : std::min<rlim_t>(65'536, limit.rlim_max);
    if (limit.rlim_cur < wanted) {
        limit.rlim_cur = wanted;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

// An IPv4 address, by its digits or by name. False if there is none.
inline bool resolve(const std::string& host, int port, sockaddr_in& address) {
    std::memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1) return true;
    addrinfo hints{}, *found = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0 || found == nullptr) return false;
    address.sin_addr = reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr;
    freeaddrinfo(found);
    return true;
}

class Listener : public Source {
  public:
    Listener(Loop& loop, std::function<void(int)> accepted) : loop_(loop), accepted_(std::move(accepted)) {}
    ~Listener() override {
        if (fd_ >= 0) ::close(fd_);
    }

    // The port that it listens on, on this machine only; 0 with errno if it cannot be had.
    int listen(int port) {
        fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
        int on = 1;
        setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        resolve("127.0.0.1", port, address);
        socklen_t size = sizeof address;
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd_, 1024) != 0) return 0;
        getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        prepare(fd_);
        loop_.poller.add(fd_, this, false);
        return ntohs(address.sin_port);
    }

    void on_ready(bool, bool) override {
        for (int fd; (fd = ::accept(fd_, nullptr, nullptr)) >= 0;) {
            prepare(fd);
            accepted_(fd);
        }
    }

  private:
    Loop& loop_;
    std::function<void(int)> accepted_;
    int fd_ = -1;
};

class Socket : public Source {
  public:
    explicit Socket(Loop& loop) : loop_(loop) {}
    ~Socket() override { close(); }

    bool open() const { return fd_ >= 0; }
    size_t unsent() const { return out_.size() - sent_; }

    void dial(const sockaddr_in& address) {
        close();
        fd_ = ::socket(AF_INET, SOCK_STREAM, 0);
        if (fd_ < 0) return lost(std::strerror(errno));
        prepare(fd_);
        if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) {
            std::string why = std::strerror(errno);
            close();
            return lost(why);
        }
        connecting_ = true;
        loop_.poller.add(fd_, this, true);
    }

    void adopt(int fd) {
        fd_ = fd;
        loop_.poller.add(fd_, this, false);
    }

    void close() {
        if (fd_ < 0) return;
        loop_.poller.remove(fd_);
        ::close(fd_);
        fd_ = -1;
        connecting_ = false;
        out_.clear();
        in_.clear();
        sent_ = 0;
    }

    void send(const char* data, size_t size) {
        if (fd_ < 0) return;
        if (corked_ || connecting_ || unsent() > 0) {
            out_.append(data, size);
            return;
        }
        ssize_t wrote = ::send(fd_, data, size, MSG_NOSIGNAL);
        if (wrote == static_cast<ssize_t>(size)) return;
        if (wrote < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) return;  // the read tells of its end
        size_t taken = wrote > 0 ? static_cast<size_t>(wrote) : 0;
        out_.append(data + taken, size - taken);
        loop_.poller.want(fd_, this, true);
    }

    // Between the two, what is sent is gathered and leaves in one write.
    void cork() { corked_ = unsent() == 0; }
    void uncork() {
        if (!corked_) return;
        corked_ = false;
        if (fd_ >= 0 && unsent() > 0 && !connecting_ && !flush()) loop_.poller.want(fd_, this, true);
    }

    void on_ready(bool readable, bool writable) override {
        if (fd_ < 0) return;  // closed by an event before this one
        if (connecting_ && (writable || readable)) {
            int error = 0;
            socklen_t size = sizeof error;
            getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
            if (error != 0) {
                close();
                return lost(std::strerror(error));
            }
            connecting_ = false;
            connected();
            if (fd_ < 0) return;
            writable = true;
        }
        if (writable && flush() && fd_ >= 0) loop_.poller.want(fd_, this, false);
        if (readable && fd_ >= 0) read();
    }

  protected:
    virtual void connected() {}
    // Bytes of `data` that were understood; the rest comes again, with more. The data may be written over.
    virtual size_t received(char* data, size_t size) = 0;
    // The peer is gone, or never was. The socket is closed already.
    virtual void lost(const std::string& why) = 0;

    Loop& loop_;

  private:
    bool flush() {
        while (unsent() > 0) {
            ssize_t wrote = ::send(fd_, out_.data() + sent_, unsent(), MSG_NOSIGNAL);
            if (wrote < 0) {
                if (errno == EINTR) continue;
                if (errno == EAGAIN || errno == EWOULDBLOCK) return false;
                break;
            }
            sent_ += static_cast<size_t>(wrote);
        }
        out_.clear();
        sent_ = 0;
        return true;
    }

    void read() {
        ssize_t n = ::recv(fd_, loop_.scratch.data(), loop_.scratch.size(), 0);
        loop_.read_at = now();
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
        if (n <= 0) {
            std::string why = n == 0 ? "closed by the peer" : std::strerror(errno);
            close();
            return lost(why);
        }
        size_t size = static_cast<size_t>(n);
        if (in_.empty()) {
            size_t used = received(loop_.scratch.data(), size);
            if (fd_ >= 0 && used < size) in_.assign(loop_.scratch.data() + used, size - used);
            return;
        }
        in_.append(loop_.scratch.data(), size);
        size_t used = received(in_.data(), in_.size());
        if (fd_ >= 0) in_.erase(0, used);
    }

    int fd_ = -1;
    bool connecting_ = false, corked_ = false;
    std::string out_, in_;
    size_t sent_ = 0;
};
