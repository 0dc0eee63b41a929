// The floor: the least that a relay between carrier and model can do, in C++, with the same JSON rewriting as the product.
//
//   floor --port P --model ws://HOST:PORT/PATH [--fault drop|swap|cross|twice]
//
// Takes a stream on any path, dials the model for it, and rewrites: media to input_audio_buffer.append, audio deltas to media
// with a mark at the end of each reply, speech_started to clear. Nothing is checked, kept or measured. With --fault it spoils
// one frame in fifty on its way, so that a test can see whether that is noticed.
//
// Build: c++ -O2 -std=c++17 -pthread -o OUT floor.cpp

#include <csignal>

#include "websocket.hpp"

namespace {

const Text kConfigure =
    R"({"type":"session.update","session":{"type":"realtime","output_modalities":["audio"],"instructions":"Answer the phone.",)"
    R"("audio":{"input":{"format":{"type":"audio/pcmu"},"turn_detection":{"type":"server_vad"}},)"
    R"("output":{"format":{"type":"audio/pcmu"},"voice":"marin"}}}})";

enum class Fault { none, drop, swap, cross, twice };

struct House {
    Loop loop;
    sockaddr_in model{};
    Url model_url;
    Fault fault = Fault::none;
    class Phone* last = nullptr;  // cross: whose frames go astray
};

class Model;

class Phone final : public WebSocket {
  public:
    explicit Phone(House& house) : WebSocket(house.loop), house_(house) {}
    void play(Text audio);
    void mark() { send_text({R"({"event":"mark","streamSid":")", stream_sid_, R"(","mark":{"name":"reply"}})"}); }
    void clear() { send_text({R"({"event":"clear","streamSid":")", stream_sid_, R"("})"}); }
    void model_gone();

  protected:
    void opened() override;
    void message(Text text) override;
    void binary(size_t) override {}
    void ended(int code, const std::string& why) override;

  private:
    friend class Model;
    void send_audio(Text audio) { send_text({R"({"event":"media","streamSid":")", stream_sid_, R"(","media":{"payload":")", audio, R"("}})"}); }

    House& house_;
    Model* model_ = nullptr;
    std::string stream_sid_, held_;
    uint32_t played_ = 0;
};

class Model final : public WebSocket {
  public:
    Model(House& house, Phone& phone) : WebSocket(house.loop), house_(house), phone_(&phone) {}

    void hear(Text audio) {
        if (house_.fault == Fault::none) return append(audio);
        uint32_t n = ++heard_;
        if (house_.fault == Fault::swap && !held_.empty()) {
            append(audio);
            append(held_);
            held_.clear();
        } else if (n % 50 != 0) {
            append(audio);
        } else if (house_.fault == Fault::swap) {
            held_ = audio;
        } else if (house_.fault == Fault::twice) {
            append(audio);
            append(audio);
        } else if (house_.fault == Fault::cross && house_.last && house_.last->model_ && house_.last->model_ != this) {
            house_.last->model_->append(audio);
        }
    }

    void leave() {
        phone_ = nullptr;
        if (upgraded()) return send_close(1000);
        close();
        loop_.discard(this);
    }

  protected:
    void opened() override {
        cork();
        send_text({kConfigure});
        send_text({R"({"type":"response.create"})"});
        for (const std::string& audio : early_) append(audio);
        early_.clear();
        uncork();
    }

    void message(Text text) override {
        if (!phone_) return;
        Text type = inside(field(text, "type"));
        if (type == "response.output_audio.delta") phone_->play(inside(field(text, "delta")));
        else if (type == "response.output_audio.done") phone_->mark();
        else if (type == "input_audio_buffer.speech_started") phone_->clear();
    }

    void binary(size_t) override {}

    void ended(int, const std::string&) override {
        if (phone_) phone_->model_gone();
        phone_ = nullptr;
        loop_.discard(this);
    }

  private:
    void append(Text audio) {
        if (upgraded()) send_text({R"({"type":"input_audio_buffer.append","audio":")", audio, R"("})"});
        else early_.emplace_back(audio);
    }

    House& house_;
    Phone* phone_;
    std::vector<std::string> early_;
    std::string held_;
    uint32_t heard_ = 0;
};

void Phone::opened() {
    model_ = new Model(house_, *this);
    house_.last = this;
    model_->upgrade(house_.model, house_.model_url.authority, house_.model_url.path, "Authorization: Bearer floor\r\n");
}

void Phone::message(Text text) {
    Text event = inside(field(text, "event"));
    if (event == "media") {
        if (model_) model_->hear(inside(field(text, {"media", "payload"})));
    } else if (event == "start") {
        stream_sid_ = inside(field(text, "streamSid"));
    }
}

void Phone::play(Text audio) {
    if (house_.fault == Fault::none) return send_audio(audio);
    uint32_t n = ++played_;
    if (house_.fault == Fault::swap && !held_.empty()) {
        send_audio(audio);
        send_audio(held_);
        held_.clear();
    } else if (n % 5 != 0) {
        send_audio(audio);
    } else if (house_.fault == Fault::swap) {
        held_ = audio;
    } else if (house_.fault == Fault::twice) {
        send_audio(audio);
        send_audio(audio);
    } else if (house_.fault == Fault::cross && house_.last && house_.last != this) {
        house_.last->send_audio(audio);
    }
}

void Phone::model_gone() {
    model_ = nullptr;
    send_close(1011, "the model is gone");
}

void Phone::ended(int, const std::string&) {
    if (model_) model_->leave();
    if (house_.last == this) house_.last = nullptr;
    loop_.discard(this);
}

}  // namespace

int main(int count, char** words) {
    House house;
    int port = -1;
    for (int i = 1; i + 1 < count; i += 2) {
        Text name = words[i], value = words[i + 1];
        if (name == "--port") port = std::atoi(words[i + 1]);
        else if (name == "--model") house.model_url = Url::of(value);
        else if (name == "--fault" && value == "drop") house.fault = Fault::drop;
        else if (name == "--fault" && value == "swap") house.fault = Fault::swap;
        else if (name == "--fault" && value == "cross") house.fault = Fault::cross;
        else if (name == "--fault" && value == "twice") house.fault = Fault::twice;
        else port = -2;
        if (port == -2) break;
    }
    if (port < 0 || count % 2 == 0 || house.model_url.scheme != "ws" || !house.model_url.valid()) {
        std::fprintf(stderr, "usage: floor --port PORT (0: any free one) --model ws://HOST:PORT/PATH [--fault drop|swap|cross|twice]\n");
        return 2;
    }
    if (!resolve(house.model_url.host, house.model_url.port, house.model)) {
        std::fprintf(stderr, "expected a host in --model, found none called %s\n", house.model_url.host.c_str());
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    many_descriptors();
    auto* listener = new Listener(house.loop, [&](int fd) { (new Phone(house))->adopt(fd); });
    int listens = listener->listen(port);
    if (listens == 0) {
        std::fprintf(stderr, "expected to listen on 127.0.0.1:%d, but: %s\n", port, std::strerror(errno));
        return 1;
    }
    std::printf("{\"event\":\"ready\",\"port\":%d}\n", listens);
    std::fflush(stdout);
    house.loop.run();
}
