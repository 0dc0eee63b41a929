// Waits for sockets and for the next deadline: epoll on Linux, kqueue on macOS and the BSDs.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#if defined(__linux__)
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__)
#include <sys/event.h>
#include <sys/time.h>
#else
#error "the bench's native programs need epoll (Linux) or kqueue (macOS, BSD)"
#endif

struct Ready {
    void* who;
    bool readable, writable;
};

class Poller {
  public:
    static constexpr int kRoom = 256;

#if defined(__linux__)
    Poller() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
        if (fd_ < 0) {
            std::perror("epoll_create1");
            std::exit(1);
        }
        prctl(PR_SET_TIMERSLACK, 1000UL);  // the default of 50 us would be pacing lag
    }

    // False for what cannot be waited for (a plain file).
    bool add(int fd, void* who, bool writes) { return control(EPOLL_CTL_ADD, fd, who, writes); }
    void want(int fd, void* who, bool writes) { control(EPOLL_CTL_MOD, fd, who, writes); }
    void remove(int fd) { epoll_ctl(fd_, EPOLL_CTL_DEL, fd, nullptr); }

    // Fill `ready`, or come back at the deadline. wait_ns: negative for no deadline.
    int wait(Ready* ready, int64_t wait_ns) {
        epoll_event events[kRoom];
        int n = sleep(events, wait_ns);
        for (int i = 0; i < n; i++) {
            uint32_t what = events[i].events;
            ready[i] = {events[i].data.ptr, (what & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0, (what & (EPOLLOUT | EPOLLERR)) != 0};
        }
        return n < 0 ? 0 : n;
    }

  private:
    bool control(int what, int fd, void* who, bool writes) {
        epoll_event event{};
        event.events = EPOLLIN | (writes ? static_cast<uint32_t>(EPOLLOUT) : 0U);
        event.data.ptr = who;
        return epoll_ctl(fd_, what, fd, &event) == 0;
    }

    int sleep(epoll_event* events, int64_t wait_ns) {
#if defined(SYS_epoll_pwait2)
        if (fine_) {
            struct {
                int64_t seconds, nanoseconds;
            } time{wait_ns / 1'000'000'000, wait_ns % 1'000'000'000};
            long n = syscall(SYS_epoll_pwait2, fd_, events, kRoom, wait_ns < 0 ? nullptr : &time, nullptr, 0);
            if (n >= 0 || errno == EINTR) return static_cast<int>(n);
            fine_ = false;  // before Linux 5.11, or where a sandbox refuses it: whole milliseconds, which the pacing figures then show
        }
#endif
        return epoll_wait(fd_, events, kRoom, wait_ns < 0 ? -1 : static_cast<int>((wait_ns + 999'999) / 1'000'000));
    }

    bool fine_ = true;
#else
    Poller() : fd_(kqueue()) {
        if (fd_ < 0) {
            std::perror("kqueue");
            std::exit(1);
        }
    }

    bool add(int fd, void* who, bool writes) {
        if (!change(fd, EVFILT_READ, EV_ADD, who)) return false;
        return !writes || change(fd, EVFILT_WRITE, EV_ADD, who);
    }
    void want(int fd, void* who, bool writes) { change(fd, EVFILT_WRITE, writes ? EV_ADD : EV_DELETE, who); }
    void remove(int fd) {
        change(fd, EVFILT_READ, EV_DELETE, nullptr);
        change(fd, EVFILT_WRITE, EV_DELETE, nullptr);
    }

    int wait(Ready* ready, int64_t wait_ns) {
        struct kevent events[kRoom];
        timespec time{};
        time.tv_sec = wait_ns / 1'000'000'000;
        time.tv_nsec = wait_ns % 1'000'000'000;
        int n = kevent(fd_, nullptr, 0, events, kRoom, wait_ns < 0 ? nullptr : &time);
        for (int i = 0; i < n; i++) {
            bool reads = events[i].filter == EVFILT_READ;
            ready[i] = {reinterpret_cast<void*>(events[i].udata), reads, !reads};
        }
        return n < 0 ? 0 : n;
    }

  private:
    bool change(int fd, int filter, int flags, void* who) {
        struct kevent event;
        EV_SET(&event, fd, filter, flags, 0, 0, who);
        return kevent(fd_, &event, 1, nullptr, 0, nullptr) == 0;
    }
#endif

  private:
    int fd_;
};
