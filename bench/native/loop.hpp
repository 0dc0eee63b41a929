// The loop: one thread, one clock (CLOCK_MONOTONIC), absolute timers, and whoever waits for a descriptor.
#pragma once

#include <time.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "poller.hpp"

using Nanos = int64_t;

constexpr Nanos kUs = 1'000, kMs = 1'000'000, kSecond = 1'000'000'000;

inline Nanos now() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * kSecond + time.tv_nsec;
}

// Something with a descriptor. Deleted by `Loop::discard` only, so that no event finds it gone.
class Source {
  public:
    Source() = default;
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;
    virtual ~Source() = default;
    virtual void on_ready(bool readable, bool writable) = 0;
};

class Loop;

// Fires once at an absolute time; may be set again at any time, also while it fires.
class Timer {
  public:
    Timer(Loop& loop, std::function<void()> fire) : loop_(loop), fire_(std::move(fire)) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { cancel(); }
    void set(Nanos due);
    void cancel();
    bool armed() const { return at_ != kNone; }
    Nanos due() const { return due_; }

  private:
    friend class Loop;
    static constexpr size_t kNone = static_cast<size_t>(-1);
    Loop& loop_;
    std::function<void()> fire_;
    Nanos due_ = 0;
    size_t at_ = kNone;  // in the loop's heap
};

class Loop {
  public:
    static constexpr size_t kScratch = 1 << 18;

    Poller poller;
    std::vector<char> scratch = std::vector<char>(kScratch);
    Nanos read_at = 0;  // when the bytes in hand were read

    void run() {
        Ready ready[Poller::kRoom];
        while (!stopped_) {
            fire_due();
            discarded_.clear();
            if (stopped_) break;
            int n = poller.wait(ready, heap_.empty() ? -1 : std::max<Nanos>(0, heap_[0]->due_ - now()));
            for (int i = 0; i < n; i++) static_cast<Source*>(ready[i].who)->on_ready(ready[i].readable, ready[i].writable);
            discarded_.clear();
        }
    }

    void stop() { stopped_ = true; }

    // Delete it once the events in hand are dealt with.
    void discard(Source* source) { discarded_.emplace_back(source); }

  private:
    friend class Timer;

    void fire_due() {
        Nanos until = now();
        while (!heap_.empty() && heap_[0]->due_ <= until) {
            Timer* timer = heap_[0];
            take(0);
            timer->fire_();
        }
    }

    void put(Timer* timer) {
        timer->at_ = heap_.size();
        heap_.push_back(timer);
        up(timer->at_);
    }

    void take(size_t at) {
        Timer *gone = heap_[at], *last = heap_.back();
        heap_.pop_back();
        gone->at_ = Timer::kNone;
        if (last == gone) return;
        place(last, at);
        up(at);
        down(last->at_);
    }

    void place(Timer* timer, size_t at) {
        heap_[at] = timer;
        timer->at_ = at;
    }

    void up(size_t at) {
        Timer* timer = heap_[at];
        for (; at > 0 && heap_[(at - 1) / 2]->due_ > timer->due_; at = (at - 1) / 2) place(heap_[(at - 1) / 2], at);
        place(timer, at);
    }

    void down(size_t at) {
        Timer* timer = heap_[at];
        for (;;) {
            size_t child = 2 * at + 1;
            if (child >= heap_.size()) break;
            if (child + 1 < heap_.size() && heap_[child + 1]->due_ < heap_[child]->due_) child++;
            if (heap_[child]->due_ >= timer->due_) break;
            place(heap_[child], at);
            at = child;
        }
        place(timer, at);
    }

    std::vector<Timer*> heap_;
    std::vector<std::unique_ptr<Source>> discarded_;
    bool stopped_ = false;
};

inline void Timer::set(Nanos due) {
    cancel();
    due_ = due;
    loop_.put(this);
}

inline void Timer::cancel() {
    if (armed()) loop_.take(at_);
}
