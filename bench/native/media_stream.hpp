// One media stream as the carrier has it: frames up on an absolute schedule, play-out and marks for what comes down.
#pragma once

#include "bench.hpp"
#include "twilio_words.hpp"
#include "websocket.hpp"

// Who the stream tells how it goes.
class StreamWatcher {
  public:
    virtual ~StreamWatcher() = default;
    virtual void stream_started() = 0;
    virtual void first_audio(Nanos at) = 0;
    virtual void stream_ended(int code, const std::string& why) = 0;
};

class MediaStream final : public WebSocket {
  public:
    static constexpr size_t kMaxUnsent = 256 * 1024;  // then audio is discarded, as Twilio does (31930)

    MediaStream(Bench& bench, CallerSide& call, StreamWatcher& watcher, double phase, std::string sid, std::string start)
        : WebSocket(bench.loop), bench_(bench), call_(call), watcher_(watcher), phase_(phase), sid_(std::move(sid)), start_(std::move(start)) {
        opening_ = R"(","streamSid":")" + sid_ + R"(","media":{"track":"inbound","chunk":")";
    }

    bool running() const { return tick_.armed(); }
    void say_last_word() { last_word_ = true; }

    void hang_up(const std::string& account, const std::string& call_sid) {
        tick_.cancel();
        marks_due_.cancel();
        std::string number = std::to_string(++sequence_);
        send_text({R"({"event":"stop","sequenceNumber":")", number, R"(","streamSid":")", sid_, R"(","stop":{"accountSid":")", account,
                   R"(","callSid":")", call_sid, R"("}})"});
        send_close(1000);
    }

    // No word more, and no ending told.
    void cut() {
        tick_.cancel();
        marks_due_.cancel();
        close();
    }

  protected:
    void opened() override {
        cork();
        send_text({R"({"event":"connected","protocol":"Call","version":"1.0.0"})"});
        send_text({start_});
        uncork();
        call_.start_written = now();
        Nanos slot = bench_.options.slot_us * kUs;
        Nanos offset = static_cast<Nanos>(phase_ * kFrameTime) / slot * slot;
        first_tick_ = (call_.start_written / kFrameTime + 1) * kFrameTime + offset;
        tick_.set(first_tick_);
        watcher_.stream_started();
    }

    void ended(int code, const std::string& why) override {
        tick_.cancel();
        marks_due_.cancel();
        watcher_.stream_ended(code, why);
    }

    void binary(size_t size) override { bench_.note("31950: a binary message came on a stream (" + std::to_string(size) + " bytes)"); }

    void message(Text text) override {
        Text event = inside(field(text, "event"));
        if (inside(field(text, "streamSid")) != sid_) {
            bench_.note("31951: " + std::string(event.empty() ? "a message" : event) + " without this stream's streamSid");
            return;
        }
        if (event == "media") return audio(inside(field(text, {"media", "payload"})));
        if (event == "mark") return mark(field(text, {"mark", "name"}));
        if (event == "clear") return clear();
        bench_.note("31951: expected media, mark or clear, got " + std::string(text.substr(0, 80)));
    }

  private:
    // --- up ---

    void tick() {
        Nanos due = tick_.due(), at = now();
        for (; due <= at; due += kFrameTime) {
            if (bench_.measuring) bench_.pacing.add(at - due);
            send_frame(due);
            if (!open()) return;
            at = now();
        }
        tick_.set(due);
    }

    void send_frame(Nanos due) {
        static uint8_t frame[kFrame];
        static char payload[base64_size(kFrame)];
        static const std::vector<uint8_t> burst = tone(Codec::ulaw, 0, kBurstMs);
        Nanos at = now();
        bool counted = bench_.window.has(at);
        if (bench_.options.tone) {
            bool turn = bench_.options.scenario == "turn";
            bool begins = turn ? last_word_ : frames_ % 50 == burst_frame_;
            if (begins) {
                if (last_word_) call_.last_word_at = at;
                last_word_ = false;
                burst_left_ = kBurstMs / 20;
                call_.bursts.sent(at);
                bench_.up.sent += counted;
            }
            if (burst_left_ > 0) {
                base64_encode(burst.data() + static_cast<size_t>(kBurstMs / 20 - burst_left_--) * kFrame, kFrame, payload);
            } else {
                std::memset(frame, 0xFF, kFrame);
                base64_encode(frame, kFrame, payload);
            }
        } else {
            write_stamp(frame, {call_.id, number_++, at, false, last_word_});
            if (last_word_) call_.last_word_at = at;
            last_word_ = false;
            base64_encode(frame, kFrame, payload);
            bench_.up.sent += counted;
        }
        frames_++;
        if (unsent() > kMaxUnsent) {
            bench_.note("31930: the relay reads too slowly; audio is discarded");
            return;
        }
        bench_.media_up += counted;
        char head[48], middle[64];
        int head_size = std::snprintf(head, sizeof head, R"({"event":"media","sequenceNumber":"%u)", ++sequence_);
        int middle_size = std::snprintf(middle, sizeof middle, R"(%llu","timestamp":"%lld","payload":")", static_cast<unsigned long long>(frames_),
                                        static_cast<long long>((due - first_tick_) / kMs));
        send_text({{head, static_cast<size_t>(head_size)}, opening_, {middle, static_cast<size_t>(middle_size)}, {payload, sizeof payload}, R"("}})"});
    }

    // --- down ---

    void audio(Text payload) {
        static std::vector<uint8_t> sound;
        Nanos at = loop_.read_at;
        sound.resize(payload.size() / 4 * 3 + 3);
        long size = base64_decode(payload, sound.data());
        if (size <= 0) {
            bench_.note(size == 0 ? "31951: media without a payload" : "31951: media.payload is not base64");
            return;
        }
        plays_at_ = std::max(at, call_.heard_until);
        if (bench_.options.tone) {
            for (int n = ear_.hear(Codec::ulaw, sound.data(), static_cast<size_t>(size)); n > 0; n--) burst_came(at);
        } else {
            reader_.push(sound.data(), static_cast<size_t>(size), [this, at](const Stamp& stamp) { frame_came(stamp, at); });
        }
        call_.heard_until = plays_at_ + size * kMs / 8;
    }

    void frame_came(const Stamp& stamp, Nanos at) {
        ModelSide* session = stamp.down ? bench_.session(stamp.who) : nullptr;
        if (!session || !bench_.pair(call_, *session)) {
            bench_.down.crosstalk += bench_.window.has(stamp.at);
            return;
        }
        if (heard_session_ != session->id) {
            heard_session_ = session->id;
            sequence_down_ = {};
        }
        Nanos sent = session->sent_at[stamp.number % ModelSide::kRing];
        uint64_t before = bench_.down.received;
        bench_.count(bench_.down, sequence_down_, stamp.number, sent, at);
        if (bench_.down.received > before) {
            session->outstanding--;
            if (stamp.number < session->cut_number && session->excusable > 0) session->excusable--;
        }
        if (stamp.marked) reply_came(*session, sent, at);
    }

    void burst_came(Nanos at) {
        ModelSide* session = bench_.session(call_.session);
        Nanos sent = session ? session->bursts.heard(at) : 0;
        if (sent == 0) return bench_.note("tone: a burst came down that no reply began with");
        if (bench_.window.has(sent)) {
            bench_.down.received++;
            bench_.down.latency.add(at - sent);
        }
        reply_came(*session, sent, at);
    }

    void reply_came(ModelSide& session, Nanos sent, Nanos at) {
        if (bench_.window.has(sent)) {
            bench_.first_of_reply.add(at - sent);
            if (call_.last_word_at != 0 && session.heard_last_word > call_.last_word_at)
                bench_.turn.add((at - call_.last_word_at) - (session.reply_at - session.heard_last_word));
        }
        call_.last_word_at = 0;
        session.reply_heard(plays_at_);
        if (!greeted_) watcher_.first_audio(at);
        greeted_ = true;
    }

    void mark(Text name) {
        if (name.empty()) return bench_.note("31951: a mark without a name");
        marks_.emplace_back(std::max(loop_.read_at, call_.heard_until), std::string(name));
        return_marks();
    }

    void return_marks() {
        Nanos at = now();
        for (; !marks_.empty() && marks_.front().first <= at; marks_.pop_front()) {
            std::string number = std::to_string(++sequence_);
            send_text({R"({"event":"mark","sequenceNumber":")", number, R"(","streamSid":")", sid_, R"(","mark":{"name":)", marks_.front().second, "}}"});
        }
        if (!marks_.empty()) marks_due_.set(marks_.front().first);
    }

    void clear() {
        if (ModelSide* session = bench_.session(call_.session); session && session->cut_at != 0) {
            if (bench_.window.has(session->cut_at)) bench_.bargein.add(loop_.read_at - session->cut_at);
            session->cut_at = 0;
        }
        call_.heard_until = std::min(call_.heard_until, loop_.read_at);
        for (auto& mark : marks_) mark.first = 0;
        return_marks();
    }

    Bench& bench_;
    CallerSide& call_;
    StreamWatcher& watcher_;
    double phase_;
    std::string sid_, start_, opening_;
    Timer tick_{bench_.loop, [this] { tick(); }};
    Timer marks_due_{bench_.loop, [this] { return_marks(); }};
    std::deque<std::pair<Nanos, std::string>> marks_;  // when the caller has heard all before it; the name as it was written
    uint32_t sequence_ = 1, number_ = 0, heard_session_ = 0;
    uint64_t frames_ = 0;
    uint64_t burst_frame_ = static_cast<uint64_t>(phase_ * 50);
    int burst_left_ = 0;
    bool last_word_ = false, greeted_ = false;
    Nanos first_tick_ = 0, plays_at_ = 0;
    StampReader reader_;
    Sequence sequence_down_;
    ToneEar ear_;
};
