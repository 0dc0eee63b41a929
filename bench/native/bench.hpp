// What carrier and model share: the run's options, its window, the counts of each direction, and which call talks to which session.
//
// Nothing on the wire names a call to the model, so the stamps do. A frame up carries its call and one down its session; the
// first that arrives pairs the two, and from then on a frame of anybody else is crosstalk. With tones nothing can be read off
// the frames; calls are then begun one by one, and each is paired with the session that was opened next.
#pragma once

#include <limits>
#include <set>
#include <unordered_map>

#include "histogram.hpp"
#include "loop.hpp"
#include "options.hpp"
#include "stamp.hpp"
#include "tone.hpp"

constexpr Nanos kFrameTime = 20 * kMs;

// The measured time. A frame belongs to it by when it was sent; what is late is waited for until the grace is over.
struct Window {
    Nanos from = std::numeric_limits<Nanos>::max(), until = std::numeric_limits<Nanos>::max();
    bool has(Nanos at) const { return at >= from && at < until; }
};

// One direction, in the window.
struct Flow {
    uint64_t sent = 0, received = 0, reordered = 0, duplicated = 0, crosstalk = 0;
    uint64_t excused = 0;  // sent for a reply that was interrupted, and rightly not delivered
    Histogram latency;
};

// The numbers of one stream as they arrive.
class Sequence {
  public:
    enum Place { in_order, late, again };

    Place arrived(uint32_t number) {
        if (number >= next_) {
            for (uint32_t n = next_; n < number && missing_.size() < 100'000; n++) missing_.insert(n);
            next_ = number + 1;
            return in_order;
        }
        return missing_.erase(number) > 0 ? late : again;
    }

  private:
    uint32_t next_ = 0;
    std::set<uint32_t> missing_;
};

// What the model needs to know of a call. The carrier owns it.
class CallerSide {
  public:
    virtual ~CallerSide() = default;
    uint32_t id = 0;
    uint32_t session = 0;        // paired with; 0 for none
    Nanos heard_until = 0;       // the caller hears what was sent until then
    Nanos start_written = 0;
    Nanos last_word_at = 0;      // turn: when the frame with the caller's last word was written
    Bursts bursts{900 * kMs};    // tone: on their way up
    virtual bool streaming() const = 0;
    virtual void say_last_word() = 0;
};

// What the carrier needs to know of a session. The model owns it.
class ModelSide {
  public:
    static constexpr size_t kRing = 4096;  // 80 s of frames

    virtual ~ModelSide() = default;
    uint32_t id = 0;
    uint32_t call = 0;  // paired with; 0 for none
    Nanos accepted_at = 0;
    Nanos first_delta_at = 0;    // of all
    Nanos reply_at = 0;          // the first delta of the latest reply
    Nanos heard_last_word = 0;   // turn: when the caller's last word came
    Nanos cut_at = 0;            // bargein: when speech_started was written; 0 once the clear came
    uint32_t cut_number = 0;     // frames below it belong to interrupted replies
    int64_t outstanding = 0;     // sent in the window and not received
    int64_t excusable = 0;       // of these: of interrupted replies
    Bursts bursts{5 * kSecond};  // tone: on their way down
    std::vector<Nanos> sent_at;  // of frame n, at n % kRing: when its last byte was written
    virtual void reply_heard(Nanos at) = 0;  // the first of a reply arrived, to be played at this time
};

struct Probe {
    Histogram took;
    void add(Nanos time) { took.add(time); }
};

class Bench {
  public:
    explicit Bench(Loop& its_loop) : loop(its_loop) {}

    Loop& loop;
    Options options;
    Window window;
    bool measuring = false;
    Flow up, down;
    uint64_t media_up = 0, deltas_down = 0;
    Probe first_of_reply, webhook, greeting, greeting_ours, turn, bargein, pacing;
    uint64_t dialled_before_start = 0;
    int connected = 0, failed = 0;
    size_t model_sockets = 0, model_sockets_peak = 0;
    Nanos begun_at = 0;  // replies are scheduled from here
    std::unordered_map<uint32_t, CallerSide*> calls;
    std::unordered_map<uint32_t, ModelSide*> sessions;
    uint32_t expecting = 0;  // tone: the call that the next new session belongs to
    std::vector<std::pair<std::string, uint64_t>> errors;

    // Something that one side should not have done.
    void note(const std::string& what) {
        for (auto& [text, times] : errors)
            if (text == what) return void(times++);
        if (errors.size() < 12) errors.emplace_back(what, 1);
    }

    // Begin to count anew; sessions stay.
    void reset() {
        window = {};
        measuring = false;
        expecting = 0;
        up = {};
        down = {};
        media_up = deltas_down = dialled_before_start = 0;
        first_of_reply = webhook = greeting = greeting_ours = turn = bargein = pacing = {};
        connected = failed = 0;
        model_sockets_peak = model_sockets;
        errors.clear();
        for (auto& [id, session] : sessions) session->outstanding = session->excusable = 0;
    }

    // Whether they belong together; they do from now on if neither was paired.
    bool pair(CallerSide& call, ModelSide& session) {
        if (call.session == 0 && session.call == 0) {
            call.session = session.id;
            session.call = call.id;
        }
        return call.session == session.id && session.call == call.id;
    }

    CallerSide* call(uint32_t id) const {
        auto found = calls.find(id);
        return found == calls.end() ? nullptr : found->second;
    }

    ModelSide* session(uint32_t id) const {
        auto found = sessions.find(id);
        return found == sessions.end() ? nullptr : found->second;
    }

    // One frame arrived where it should. sent: when it was written, arrived: when it was read.
    void count(Flow& flow, Sequence& sequence, uint32_t number, Nanos sent, Nanos arrived) const {
        Sequence::Place place = sequence.arrived(number);
        if (!window.has(sent)) return;
        if (place == Sequence::again) {
            flow.duplicated++;
            return;
        }
        flow.received++;
        flow.reordered += place == Sequence::late;
        flow.latency.add(arrived - sent);
    }
};
