// One run: calls come up one after the other, the line warms up, the window is measured, everybody hangs up, the result is told.
#pragma once

#include <sys/resource.h>

#include "call.hpp"

inline double own_cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

class Run final : public CallWatcher {
  public:
    // say: prints one line. over: the run has told its result, and may be deleted.
    Run(Bench& bench, std::function<void(const std::string&)> say, std::function<void()> over) : bench_(bench), say_(std::move(say)), over_(std::move(over)) {}

    void begin(uint32_t& next_id) {
        next_id_ = &next_id;
        bench_.reset();
        bench_.begun_at = now();
        wanted_ = options().greets_only() ? std::max(options().repeat, options().calls) : options().calls;
        if (options().greets_only()) open_window();
        dialling_.set(now());
    }

  private:
    static constexpr Nanos kGrace = kSecond;
    enum Step { ramping, warming, measuring, grace, leaving };

    const Options& options() const { return bench_.options; }

    // --- calls ---

    // Begin the next call. Dialled at an even pace; with tones, one at a time.
    void dial() {
        if (begun_ == wanted_ || step_ != first_step()) return;
        if (static_cast<int>(calls_.size()) >= options().calls) return;  // greeting: goes on when one is over
        if (bench_.expecting != 0 && bench_.call(bench_.expecting) && now() < expecting_until_) return dialling_.set(now() + 5 * kMs);
        uint32_t id = (*next_id_)++;
        double phase = static_cast<double>(begun_++) * 0.618033988749895;
        auto call = std::make_unique<Call>(bench_, *this, id, phase - std::floor(phase));
        Call* it = call.get();
        calls_[id] = std::move(call);
        if (options().tone) {
            bench_.expecting = id;
            expecting_until_ = now() + 3 * kSecond;
        }
        it->begin();
        if (begun_ < wanted_) dialling_.set(std::max(now() - 100 * kMs, dialling_.due() + static_cast<Nanos>(1e9 / options().ramp_per_s)));
        look();
    }

    void call_connected(Call&) override { look(); }

    void call_heard_first(Call& call) override {
        if (!options().greets_only()) return;
        greeted_.push_back(call.id);
        leave_soon_.set(now() + 20 * kMs);
    }

    void call_failed(Call& call, const std::string& why) override {
        bench_.note(why);
        if (why_.empty()) why_ = why;
        refused_ += call.start_written == 0;
    }

    void call_over(Call& call) override {
        gone_.push_back(call.id);
        sweep_.set(now());
    }

    // Calls cannot be deleted while they tell of their end.
    void sweep() {
        for (uint32_t id : gone_) calls_.erase(id);
        gone_.clear();
        if (options().greets_only() && begun_ < wanted_ && !dialling_.armed()) dialling_.set(now());
        look();
    }

    void hang_up_greeted() {
        std::vector<uint32_t> ids;
        ids.swap(greeted_);
        for (uint32_t id : ids)
            if (auto found = calls_.find(id); found != calls_.end()) found->second->hang_up();
    }

    // --- steps ---

    Step first_step() const { return options().greets_only() ? measuring : ramping; }

    // Whether it is time for the next step.
    void look() {
        if (step_ == ramping && begun_ == wanted_ && bench_.connected + refused_ >= wanted_) {
            step_ = warming;
            if (bench_.connected == 0) return leave();
            step_timer_.set(now() + static_cast<Nanos>(options().warmup_s * 1e9));
        } else if (step_ == measuring && options().greets_only() && begun_ == wanted_ && calls_.empty()) {
            close_window();
            leave();
        } else if (step_ == leaving && calls_.empty()) {
            finish();
        }
    }

    void step() {
        if (step_ == warming) {
            open_window();
            step_timer_.set(from_ + static_cast<Nanos>(options().window_s * 1e9));
        } else if (step_ == measuring) {
            close_window();
            step_ = grace;
            step_timer_.set(now() + kGrace);
        } else if (step_ == grace) {
            leave();
        } else if (step_ == leaving) {
            bench_.note(std::to_string(calls_.size()) + " calls did not end");
            finish();
        }
    }

    void open_window() {
        step_ = measuring;
        bench_.measuring = true;
        from_ = now();
        if (!options().greets_only()) bench_.window.from = from_;  // calls that end at once lose what is under way
        cpu_ = own_cpu_seconds();
        say_(R"({"event":"window_start"})");
    }

    void close_window() {
        bench_.measuring = false;
        until_ = now();
        bench_.window.until = until_;
        cpu_ = own_cpu_seconds() - cpu_;
        say_(R"({"event":"window_end"})");
    }

    void leave() {
        step_ = leaving;
        for (auto& [id, session] : bench_.sessions) bench_.down.excused += static_cast<uint64_t>(std::max<int64_t>(0, session->excusable));
        result_ = tell();
        step_timer_.set(now() + 10 * kSecond);
        std::vector<Call*> all;
        for (auto& [id, call] : calls_) all.push_back(call.get());
        for (Call* call : all) call->hang_up();
        look();
    }

    void finish() {
        step_timer_.cancel();
        bool nobody = bench_.connected == 0;
        if (nobody) say_(R"({"event":"failed","why":)" + quoted(why_.empty() ? "no call came to be" : why_) + "}");
        else say_(result_ + errors() + "}");
        calls_.clear();
        over_();
    }

    // --- the result ---

    std::string errors() const {
        std::string list;
        uint64_t count = 0;
        for (const auto& [text, times] : bench_.errors) {
            list += (list.empty() ? "" : ",") + quoted(times > 1 ? text + " (" + std::to_string(times) + " times)" : text);
            count += times;
        }
        return R"(,"protocol_errors":[)" + list + R"(],"protocol_errors_total":)" + std::to_string(count);
    }

    static std::string figure(const char* name, double value) {
        char text[64];
        std::snprintf(text, sizeof text, R"("%s":%.1f)", name, value);
        return text;
    }

    static std::string figure(const char* name, uint64_t value) { return '"' + std::string(name) + "\":" + std::to_string(value); }

    static std::string way(const Flow& flow) {
        uint64_t accounted = flow.received + flow.excused;
        uint64_t lost = flow.sent > accounted ? flow.sent - accounted : 0;
        return "{" + figure("sent", flow.sent) + "," + figure("received", flow.received) + "," + figure("lost", lost) + "," +
               figure("reordered", flow.reordered) + "," + figure("duplicated", flow.duplicated) + "," + figure("crosstalk", flow.crosstalk) + "," +
               figure("p50_us", flow.latency.us(0.5)) + "," + figure("p99_us", flow.latency.us(0.99)) + "," +
               figure("p999_us", flow.latency.us(0.999)) + "," + figure("max_us", flow.latency.max_us()) + "}";
    }

    static std::string timed(const Probe& probe, const std::string& more = {}) {
        return "{" + figure("n", probe.took.count()) + "," + figure("p50_us", probe.took.us(0.5)) + "," + figure("p99_us", probe.took.us(0.99)) + more + "}";
    }

    std::string tell() const {
        double seconds = static_cast<double>(until_ - from_) / 1e9;
        char head[160], own[160];
        std::snprintf(head, sizeof head, R"({"event":"result","scenario":"%s","calls":%d,"connected":%d,"failed":%d,"window_s":%.3f)",
                      options().scenario.c_str(), wanted_, bench_.connected, bench_.failed, seconds);
        std::snprintf(own, sizeof own, R"({"cpu_s":%.3f,"cpu_share":%.3f,)", cpu_, seconds > 0 ? cpu_ / seconds : 0);
        const Probe& ours = bench_.greeting_ours;
        std::string greeting = "," + figure("ours_p50_us", ours.took.us(0.5)) + "," + figure("ours_p99_us", ours.took.us(0.99)) + "," +
                               figure("dialled_before_start", bench_.dialled_before_start);
        return std::string(head) + R"(,"up":)" + way(bench_.up) + R"(,"down":)" + way(bench_.down) + R"(,"messages":{)" +
               figure("up", bench_.media_up) + "," + figure("down", bench_.deltas_down) + R"(},"first_of_reply":)" + timed(bench_.first_of_reply) +
               R"(,"webhook":)" + timed(bench_.webhook) + R"(,"greeting":)" + timed(bench_.greeting, greeting) + R"(,"turn":)" + timed(bench_.turn) +
               R"(,"bargein":)" + timed(bench_.bargein) + R"(,"load":)" + own + figure("pacing_p99_us", bench_.pacing.took.us(0.99)) + "," +
               figure("pacing_max_us", bench_.pacing.took.max_us()) + R"(},"model_sockets_peak":)" + std::to_string(bench_.model_sockets_peak);
    }

    Bench& bench_;
    std::function<void(const std::string&)> say_;
    std::function<void()> over_;
    std::unordered_map<uint32_t, std::unique_ptr<Call>> calls_;
    std::vector<uint32_t> gone_, greeted_;
    uint32_t* next_id_ = nullptr;
    int wanted_ = 0, begun_ = 0;
    int refused_ = 0;  // calls that never came to a stream
    Step step_ = ramping;
    double cpu_ = 0;
    Nanos from_ = 0, until_ = 0, expecting_until_ = 0;
    std::string why_, result_;
    Timer dialling_{bench_.loop, [this] { dial(); }};
    Timer sweep_{bench_.loop, [this] { sweep(); }};
    Timer leave_soon_{bench_.loop, [this] { hang_up_greeted(); }};
    Timer step_timer_{bench_.loop, [this] { step(); }};
};
