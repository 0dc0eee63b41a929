// One session of the model: answers every client event of the realtime protocol, and speaks when its schedule says so.
//
// The schedule of a paired session, every `every_ms`: the caller speaks (speech_started), 300 ms later is done, and the reply
// begins `first_audio_ms` after that; put off while the last reply is still heard. barge-in: the caller cuts in once 1.5 s of
// the reply were heard, and speaks until the next turn is due. turn: the caller is done when the marked frame has arrived.
#pragma once

#include <ctime>

#include "reply.hpp"
#include "websocket.hpp"

class Session final : public WebSocket, public ModelSide {
  public:
    Session(Bench& bench, uint32_t number) : WebSocket(bench.loop), bench_(bench) {
        id = number;
        name_ = "sess_" + std::to_string(id);
        accepted_at = now();
        bench_.sessions[id] = this;
        bench_.model_sockets_peak = std::max(bench_.model_sockets_peak, ++bench_.model_sockets);
    }

    void reply_heard(Nanos at) override {
        if (bench_.options.scenario == "bargein" && call != 0) cut_in_.set(at + 1'500 * kMs);
    }

  protected:
    int accepts(Text head, std::string& protocol) override {
        if (has_word(header(head, "sec-websocket-protocol"), "realtime")) protocol = "realtime";
        flat_ = !header(head, "openai-beta").empty();
        Text line = head.substr(0, head.find("\r\n"));
        size_t query = line.find("model=");
        if (query != Text::npos) model_ = line.substr(query + 6, line.find_first_of("& ", query) - query - 6);
        return 101;
    }

    void opened() override {
        if (bench_.expecting != 0) {  // tone: it belongs to the call that was begun last
            if (CallerSide* caller = bench_.call(bench_.expecting)) bench_.pair(*caller, *this);
            bench_.expecting = 0;
            schedule();
        }
        say(words::session_created(name_, model_, time(nullptr) + 3600));
    }

    void ended(int, const std::string&) override {
        for (Timer* timer : {&turn_, &done_, &said_, &cut_in_, &transcribed_, &delta_}) timer->cancel();
        if (CallerSide* caller = bench_.call(call)) caller->session = 0;
        bench_.sessions.erase(id);
        bench_.model_sockets--;
        loop_.discard(this);
    }

    void binary(size_t size) override {
        bench_.note("the model was sent a binary message (" + std::to_string(size) + " bytes)");
        send_close(1003, "text only");
    }

    void message(Text text) override {
        Text type = inside(field(text, "type"));
        if (type == "input_audio_buffer.append") return hear(inside(field(text, "audio")));
        cork();
        if (type == "session.update") update(field(text, "session"));
        else if (type == "response.create") create(text);
        else if (type == "response.cancel") cancel(text);
        else if (type == "conversation.item.create") item_create(field(text, "item"));
        else if (type == "conversation.item.truncate") truncate(text);
        else if (type == "conversation.item.delete") say(words::of_speech("conversation.item.deleted", event(), inside(field(text, "item_id")), ""));
        else if (type == "conversation.item.retrieve") say(words::with_item("conversation.item.retrieved", event(), words::caller_item(inside(field(text, "item_id")))));
        else if (type == "input_audio_buffer.clear") say(R"({"type":"input_audio_buffer.cleared","event_id":")" + event() + R"("})");
        else if (type == "input_audio_buffer.commit") committed();
        else bench_.note("the model was sent an unknown event: " + std::string(type.empty() ? text.substr(0, 80) : type));
        uncork();
    }

  private:
    // --- what the client asks ---

    void update(Text session) {
        if (session.empty() || session[0] != '{') return say(words::error(event(), "missing_required_parameter", "session.update needs a session", ""));
        if (!field(session, "input_audio_format").empty() || !field(session, "modalities").empty()) flat_ = true;
        read_format(field(session, {"audio", "input", "format"}), input_);
        read_format(field(session, {"audio", "output", "format"}), output_);
        read_format(field(session, "input_audio_format"), input_);
        read_format(field(session, "output_audio_format"), output_);
        Text transcription = field(session, {"audio", "input", "transcription"});
        if (transcription.empty()) transcription = field(session, "input_audio_transcription");
        if (!transcription.empty()) transcribes_ = transcription != "null";
        say(words::session_updated(event(), name_, session, time(nullptr) + 3600));
    }

    void read_format(Text value, Codec& codec) {
        if (value.empty()) return;
        Text type = inside(value[0] == '{' ? field(value, "type") : value);
        if (type == "audio/pcmu" || type == "g711_ulaw") codec = Codec::ulaw;
        else if (type == "audio/pcm" || type == "pcm16") codec = Codec::pcm;
        else bench_.note("the model was asked for a format it does not have: " + std::string(value));
        if (codec != Codec::ulaw && !bench_.options.tone) bench_.note("the session is not g711 u-law, which stamps need: use probe=tone");
    }

    void create(Text text) {
        Text asked = field(text, "response");
        words::Response response;
        response.out_of_band = inside(field(asked, "conversation")) == "none";
        Text kinds = field(asked, "output_modalities");
        if (kinds.empty()) kinds = field(asked, "modalities");
        response.text_only = !kinds.empty() && kinds.find("audio") == Text::npos;
        if (Text metadata = field(asked, "metadata"); !metadata.empty()) response.metadata = metadata;
        if (response.out_of_band || response.text_only) return aside(std::move(response));
        if (speaking_) return say(words::error(event(), "conversation_already_has_active_response", "Conversation already has an active response: " + response_.id, field(text, "event_id")));
        respond(std::move(response));
    }

    void cancel(Text text) {
        if (!speaking_) return say(words::error(event(), "response_cancel_not_active", "Cancellation failed: no active response found", field(text, "event_id")));
        stop_speaking("client_cancelled");
    }

    void item_create(Text item) {
        std::string whole(item);
        if (whole.size() > 1 && whole[0] == '{' && field(item, "id").empty()) {
            bool empty = whole[after_blank(whole, 1)] == '}';
            whole.insert(1, R"("id":"item_)" + std::to_string(id) + "_" + std::to_string(++counted_) + (empty ? "\"" : "\","));
        }
        say(words::with_item(flat_ ? "conversation.item.created" : "conversation.item.added", event(), whole));
        if (!flat_) say(words::with_item("conversation.item.done", event(), whole));
    }

    void truncate(Text text) {
        Text index = field(text, "content_index"), end = field(text, "audio_end_ms");
        say(words::of_speech("conversation.item.truncated", event(), inside(field(text, "item_id")),
                             R"(,"content_index":)" + std::string(index.empty() ? "0" : index) + R"(,"audio_end_ms":)" + std::string(end.empty() ? "0" : end)));
    }

    // A response beside the conversation, in text: whole at once.
    void aside(words::Response response) {
        response.id = "resp_" + std::to_string(id) + "_" + std::to_string(++counted_);
        response.item = "item_" + response.id;
        response.format = "null";
        say(response.event("response.created", event(), "in_progress", "null", "", "null"));
        say(response.event("response.done", event(), "completed", "null", words::agent_item(response.item, "completed", R"({"type":"output_text","text":"ok"})"), words::kUsage));
    }

    // --- what it hears ---

    void hear(Text audio) {
        static std::vector<uint8_t> sound;
        Nanos at = loop_.read_at;
        sound.resize(audio.size() / 4 * 3 + 3);
        long size = base64_decode(audio, sound.data());
        if (size < 0) return bench_.note("input_audio_buffer.append without base64 audio");
        heard_bytes_ += static_cast<uint64_t>(size);
        if (!bench_.options.tone) return reader_.push(sound.data(), static_cast<size_t>(size), [this, at](const Stamp& stamp) { frame_came(stamp, at); });
        CallerSide* caller = bench_.call(call);
        if (caller && !turn_.armed()) schedule();
        for (int n = ear_.hear(input_, sound.data(), static_cast<size_t>(size)); caller && n > 0; n--) {
            Nanos sent = caller->bursts.heard(at);
            if (sent == 0) {
                bench_.note("tone: a burst came up that the caller did not send");
                continue;
            }
            if (bench_.window.has(sent)) {
                bench_.up.received++;
                bench_.up.latency.add(at - sent);
            }
            last_word_came(at);
        }
    }

    void frame_came(const Stamp& stamp, Nanos at) {
        CallerSide* caller = stamp.down ? nullptr : bench_.call(stamp.who);
        if (!caller && !stamp.down) return;  // of a call that has ended
        uint32_t before = call;
        if (!caller || !bench_.pair(*caller, *this)) {
            bench_.up.crosstalk += bench_.window.has(stamp.at);
            return;
        }
        if (heard_call_ != call) {
            heard_call_ = call;
            sequence_up_ = {};
        }
        if (before == 0 || !turn_.armed()) schedule();
        bench_.count(bench_.up, sequence_up_, stamp.number, stamp.at, at);
        if (stamp.marked) last_word_came(at);
    }

    void last_word_came(Nanos at) {
        if (bench_.options.scenario != "turn" || !caller_speaks_) return;
        heard_last_word = at;
        caller_done();
    }

    // --- its schedule ---

    void schedule() {
        if (call == 0 || bench_.options.scenario == "idle" || bench_.options.greets_only()) return;
        Nanos every = bench_.options.every_ms * kMs;
        double phase = static_cast<double>(call) * 0.618033988749895;
        Nanos offset = bench_.begun_at + static_cast<Nanos>((phase - std::floor(phase)) * static_cast<double>(every));
        Nanos after = now() + 500 * kMs;
        turn_.set(offset + std::max<Nanos>(0, (after - offset + every - 1) / every) * every);
    }

    void turn() {
        CallerSide* caller = bench_.call(call);
        if (!caller || !caller->streaming()) return;
        if (bench_.options.scenario == "bargein" && caller_speaks_) {
            schedule();
            return caller_done();
        }
        if (bench_.options.scenario == "turn" && caller_speaks_) {
            bench_.note("the caller's last word never came up");
            schedule();
            return caller_done();
        }
        if (speaking_ || caller_speaks_ || caller->heard_until + 100 * kMs > now()) return turn_.set(now() + 50 * kMs);
        schedule();
        cork();
        caller_begins();
        uncork();
        if (bench_.options.scenario == "turn") said_.set(now() + 300 * kMs);
        else done_.set(now() + 300 * kMs);
    }

    void caller_begins() {
        caller_speaks_ = true;
        item_ = "item_" + std::to_string(id) + "_" + std::to_string(++counted_);
        say(words::of_speech("input_audio_buffer.speech_started", event(), item_, R"(,"audio_start_ms":)" + heard_ms()));
    }

    void caller_done() {
        caller_speaks_ = false;
        cork();
        say(words::of_speech("input_audio_buffer.speech_stopped", event(), item_, R"(,"audio_end_ms":)" + heard_ms()));
        committed();
        if (!speaking_) respond({});
        uncork();
        if (transcribes_) transcribed_.set(now() + 100 * kMs);
    }

    void committed() {
        if (item_.empty()) item_ = "item_" + std::to_string(id) + "_" + std::to_string(++counted_);
        say(words::of_speech("input_audio_buffer.committed", event(), item_, R"(,"previous_item_id":null)"));
        say(words::with_item(flat_ ? "conversation.item.created" : "conversation.item.added", event(), words::caller_item(item_)));
        if (!flat_) say(words::with_item("conversation.item.done", event(), words::caller_item(item_)));
    }

    void transcribed() {
        say(words::of_speech("conversation.item.input_audio_transcription.completed", event(), item_,
                             R"(,"content_index":0,"transcript":"And what about Tuesday?","usage":{"type":"duration","seconds":1})"));
    }

    // The caller cuts in: everything that is not heard is void.
    void cut_in() {
        CallerSide* caller = bench_.call(call);
        if (!caller || !caller->streaming() || caller->heard_until <= now() || caller_speaks_) return;
        excusable = std::max<int64_t>(outstanding, 0);
        cut_number = number_;
        cork();
        caller_begins();
        if (speaking_) stop_speaking("turn_detected");
        cut_at = now();
        uncork();
    }

    // --- its replies ---

    void respond(words::Response response) {
        speaking_ = true;
        begun_ = false;
        response_ = std::move(response);
        response_.id = "resp_" + std::to_string(id) + "_" + std::to_string(++counted_);
        response_.item = "item_" + std::to_string(id) + "_" + std::to_string(++counted_);
        response_.format = output_ == Codec::ulaw ? R"({"type":"audio/pcmu"})" : R"({"type":"audio/pcm","rate":24000})";
        say(response_.event("response.created", event(), "in_progress", "null", "", "null"));
        say(words::rate_limits(event()));
        delta_.set(now() + bench_.options.first_audio_ms * kMs);
    }

    void speak() {
        cork();
        if (!begun_) begin_item();
        else if (!sound_.over()) say(response_.part(ga("response.output_audio_transcript.delta"), event(), R"(,"delta":" so on")"));
        char head[224];
        static std::vector<char> audio;
        Nanos at = now();
        const auto& bytes = sound_.next(bench_, *this, number_, at);
        audio.resize(base64_size(bytes.size()));
        base64_encode(bytes.data(), bytes.size(), audio.data());
        int size = std::snprintf(head, sizeof head, R"({"type":"%s","event_id":"%s","response_id":"%s","item_id":"%s","output_index":0,"content_index":0,"delta":")",
                                 ga("response.output_audio.delta").c_str(), event().c_str(), response_.id.c_str(), response_.item.c_str());
        send_text({{head, static_cast<size_t>(size)}, {audio.data(), audio.size()}, "\"}"});
        if (!begun_) reply_at = at;
        if (first_delta_at == 0) first_delta_at = at;
        begun_ = true;
        bench_.deltas_down += bench_.window.has(at);
        if (sound_.over()) end_reply("completed", "null");
        else delta_.set(std::max(at, delta_.due() + bench_.options.delta_gap_ms * kMs));
        uncork();
    }

    void begin_item() {
        if (sent_at.empty()) sent_at.resize(kRing);
        sound_.begin(bench_.options, output_, number_);
        std::string item = words::agent_item(response_.item, "in_progress", "");
        say(response_.about("response.output_item.added", event(), item));
        say(words::with_item(flat_ ? "conversation.item.created" : "conversation.item.added", event(), item));
        say(response_.part("response.content_part.added", event(), R"(,"part":{"type":"audio","transcript":""})"));
        say(response_.part(ga("response.output_audio_transcript.delta"), event(), R"(,"delta":"Well,")"));
    }

    void stop_speaking(Text reason) {
        delta_.cancel();
        end_reply("cancelled", R"({"type":"cancelled","reason":)" + quoted(reason) + "}");
    }

    void end_reply(Text status, const std::string& details) {
        speaking_ = false;
        std::string output;
        if (begun_) {
            output = words::agent_item(response_.item, status == "completed" ? "completed" : "incomplete", R"({"type":"output_audio","transcript":"Well, so on"})");
            say(response_.part(ga("response.output_audio.done"), event(), ""));
            say(response_.part(ga("response.output_audio_transcript.done"), event(), R"(,"transcript":"Well, so on")"));
            say(response_.part("response.content_part.done", event(), R"(,"part":{"type":"audio","transcript":"Well, so on"})"));
            if (!flat_) say(words::with_item("conversation.item.done", event(), output));
            say(response_.about("response.output_item.done", event(), output));
        }
        say(response_.event("response.done", event(), status, details, output, words::kUsage));
    }

    // --- words ---

    void say(const std::string& text) { send_text({text}); }
    std::string event() { return "event_" + std::to_string(++events_); }
    std::string heard_ms() const { return std::to_string(heard_bytes_ / bytes_per_ms(input_)); }

    // A renamed event in the client's dialect.
    std::string ga(const char* name) const {
        std::string text(name);
        if (size_t at = text.find("output_audio"); flat_ && at != std::string::npos) text.erase(at, 7);
        return text;
    }

    Bench& bench_;
    std::string name_, model_ = "load", item_;
    bool flat_ = false, transcribes_ = false, speaking_ = false, begun_ = false, caller_speaks_ = false;
    Codec input_ = Codec::pcm, output_ = Codec::pcm;
    uint64_t heard_bytes_ = 0;
    uint32_t number_ = 0, counted_ = 0, events_ = 0, heard_call_ = 0;
    words::Response response_;
    ReplySound sound_;
    StampReader reader_;
    Sequence sequence_up_;
    ToneEar ear_;
    Timer turn_{bench_.loop, [this] { turn(); }};
    Timer done_{bench_.loop, [this] { caller_done(); }};
    Timer said_{bench_.loop, [this] {
        if (CallerSide* caller = bench_.call(call); caller && caller->streaming()) caller->say_last_word();
    }};
    Timer cut_in_{bench_.loop, [this] { cut_in(); }};
    Timer transcribed_{bench_.loop, [this] { transcribed(); }};
    Timer delta_{bench_.loop, [this] { speak(); }};
};
