// One call as the carrier has it: webhook, TwiML, stream, hang-up, and the callbacks that follow.
#pragma once

#include "http.hpp"
#include "media_stream.hpp"

class Call;

// Who the calls belong to.
class CallWatcher {
  public:
    virtual ~CallWatcher() = default;
    virtual void call_connected(Call& call) = 0;
    virtual void call_heard_first(Call& call) = 0;
    virtual void call_failed(Call& call, const std::string& why) = 0;  // `call_over` follows
    virtual void call_over(Call& call) = 0;
};

class Call final : public CallerSide, private StreamWatcher {
  public:
    Call(Bench& bench, CallWatcher& watcher, uint32_t number, double phase)
        : bench_(bench), watcher_(watcher), options_(bench.options), http_(new HttpClient(bench.loop)), phase_(phase) {
        id = number;
        call_sid_ = twilio::sid("CA", id);
        stream_sid_ = twilio::sid("MZ", id);
    }

    ~Call() override {
        if (stream_) {
            stream_->cut();
            bench_.loop.discard(stream_);
        }
        http_->close();
        bench_.loop.discard(http_);
        unpair();
        bench_.calls.erase(id);
    }

    bool streaming() const override { return stream_ && stream_->running(); }
    void say_last_word() override { stream_->say_last_word(); }
    bool over() const { return step_ == over_; }

    void begin() {
        bench_.calls[id] = this;
        patience_.set(now() + kSetUp);
        began_at_ = now();
        if (options_.webhook.empty()) return dial_stream(options_.stream);
        step_ = ringing;
        Url url = Url::of(options_.webhook);
        post(options_.public_origin + url.path, twilio::call_fields(options_, call_sid_, id, "ringing"), [this](HttpClient::Answer& answer) {
            if (answer.status == 0) return fail("the webhook did not answer: " + answer.why);
            if (answer.status != 200) return fail("the webhook answered " + std::to_string(answer.status) + " " + answer.body.substr(0, 120));
            bench_.webhook.add(bench_.loop.read_at - began_at_);
            document_ = twilio::Document::of(answer.body);
            if (document_.stream.empty()) return fail("the webhook's TwiML has no <Stream url>: " + answer.body.substr(0, 160));
            step_ = opening;
            opening_.set(now() + options_.open_after_ms * kMs);
        });
    }

    // Whatever it is doing, it ends; `call_over` follows.
    void hang_up() {
        if (step_ == leaving || step_ == over_) return;
        bool on_line = streaming();
        step_ = leaving;
        opening_.cancel();
        patience_.set(now() + kGoodbye);
        if (on_line) return stream_->hang_up(options_.account, call_sid_);
        if (stream_) stream_->cut();
        call_back();
    }

  private:
    static constexpr Nanos kSetUp = 15 * kSecond, kGoodbye = 4 * kSecond;
    enum Step { waiting, ringing, opening, dialling, talking, leaving, over_ };

    // --- the stream ---

    void dial_stream(const std::string& url_text) {
        step_ = dialling;
        std::string text = url_text;
        if (!text.empty() && text[0] == '/') text = stream_origin() + text;
        Url url = Url::of(text);
        if (!url.valid()) return fail("expected a URL in <Stream>, got " + quoted(url_text));
        Url to = options_.webhook.empty() ? url : options_.stream_given ? Url::of(options_.stream) : reached_by(url);
        sockaddr_in address{};
        if (!resolve(to.host, to.port, address)) return fail("there is no host " + to.host);
        std::string headers = "User-Agent: TwilioMediaStreams/1.0\r\n";
        if (options_.sign) headers += "x-twilio-signature: " + twilio_signature(options_.token, text) + "\r\n";
        stream_ = new MediaStream(bench_, *this, *this, phase_, stream_sid_,
                                  twilio::start(stream_sid_, call_sid_, options_.account, document_.parameters));
        stream_->upgrade(address, url.authority, url.path, headers);
    }

    // The public origin is a name for the server that the webhook reached.
    Url reached_by(const Url& url) const {
        sockaddr_in address{};
        bool numbers = inet_pton(AF_INET, url.host.c_str(), &address.sin_addr) == 1 || url.host == "localhost";
        return url.authority == Url::of(options_.public_origin).authority || !numbers ? Url::of(options_.webhook) : url;
    }

    std::string stream_origin() const {
        Url origin = Url::of(options_.public_origin);
        return (origin.scheme == "https" ? "wss://" : "ws://") + origin.authority;
    }

    void stream_started() override {
        step_ = talking;
        patience_.cancel();
        bench_.connected++;
        watcher_.call_connected(*this);
    }

    void first_audio(Nanos at) override {
        ModelSide* model = bench_.session(session);
        if (options_.greets_only() && model) {
            bench_.greeting.add(at - start_written);
            bench_.greeting_ours.add(at - std::max(start_written, model->first_delta_at));
            bench_.dialled_before_start += model->accepted_at < start_written;
        }
        watcher_.call_heard_first(*this);
    }

    void stream_ended(int code, const std::string& why) override {
        if (step_ == leaving) return call_back();
        if (step_ == dialling) return fail("the stream was not opened: " + why);
        if (step_ == over_) return;
        step_ = leaving;
        bench_.failed++;
        watcher_.call_failed(*this, "the relay ended a stream: " + std::to_string(code) + " " + why);
        patience_.set(now() + kGoodbye);
        call_back();
    }

    // --- the end ---

    // What the carrier asks and tells once the stream is over.
    void call_back() {
        unpair();
        if (options_.webhook.empty() || document_.stream.empty()) return finish();
        Fields fields = twilio::call_fields(options_, call_sid_, id, "completed");
        if (document_.action.empty()) return tell_end();
        std::string url = document_.action[0] == '/' ? options_.public_origin + document_.action : document_.action;
        post(url, fields, [this](HttpClient::Answer& answer) {
            if (answer.status != 200) bench_.note("the action URL answered " + std::to_string(answer.status) + " " + answer.why);
            tell_end();
        });
    }

    void tell_end() {
        Fields fields = twilio::call_fields(options_, call_sid_, id, "completed");
        Nanos seconds = (now() - began_at_) / kSecond;
        fields.emplace_back("CallDuration", std::to_string(seconds));
        fields.emplace_back("Duration", std::to_string(seconds / 60 + 1));
        fields.emplace_back("CallbackSource", "call-progress-events");
        fields.emplace_back("SequenceNumber", "0");
        fields.emplace_back("Timestamp", twilio::rfc2822_now());
        post(options_.public_origin + "/twilio/status", fields, [this](HttpClient::Answer& answer) {
            if (answer.status != 200 && answer.status != 404)  // others have no such door
                bench_.note("/twilio/status answered " + std::to_string(answer.status) + " " + answer.why);
            finish();
        });
    }

    void give_up() {
        if (step_ == leaving) {
            bench_.note("a call did not end within 4 s of its hang-up");
            if (stream_) stream_->cut();
            return finish();
        }
        fail("a call did not come to be within 15 s");
    }

    void fail(const std::string& why) {
        if (step_ == over_) return;
        bench_.failed++;
        watcher_.call_failed(*this, why);
        if (stream_) stream_->cut();
        finish();
    }

    void finish() {
        step_ = over_;
        patience_.cancel();
        http_->close();
        unpair();
        watcher_.call_over(*this);
    }

    void unpair() {
        if (ModelSide* model = bench_.session(session)) model->call = 0;
        session = 0;
    }

    // url: as it is signed; the connection goes to the webhook's host.
    void post(const std::string& url, const Fields& fields, std::function<void(HttpClient::Answer&)> done) {
        Url to = Url::of(options_.webhook);
        sockaddr_in address{};
        resolve(to.host, to.port, address);
        std::string signature;
        if (options_.sign) signature = "X-Twilio-Signature: " + twilio_signature(options_.token, url, fields) + "\r\n";
        Url asked = Url::of(url);
        http_->post(address, HttpClient::request(asked.authority, asked.path, signature, form(fields)), std::move(done));
    }

    Bench& bench_;
    CallWatcher& watcher_;
    const Options& options_;
    HttpClient* http_;
    MediaStream* stream_ = nullptr;
    double phase_;
    Step step_ = waiting;
    std::string call_sid_, stream_sid_;
    twilio::Document document_;
    Nanos began_at_ = 0;
    Timer opening_{bench_.loop, [this] { dial_stream(document_.stream); }};
    Timer patience_{bench_.loop, [this] { give_up(); }};
};
