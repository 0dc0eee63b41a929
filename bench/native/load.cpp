// The load: plays both clouds for N calls, the carrier and the model, in one process and by one clock.
//
//   load --model-port P     listens as the model on 127.0.0.1:P (0: any), says {"event":"ready",...}, then obeys lines on stdin:
//     run key=value ...     one run (options.hpp has the keys); answers window_start, window_end, then result or failed
//     stats                 what is open right now
//     quit                  or the end of stdin, once what was asked for is done
//   load --selftest         checks digests, stamps and histograms against known values
//
// Build: c++ -O2 -std=c++17 -pthread -o OUT load.cpp

#include <csignal>
#include <deque>

#include "run.hpp"
#include "selftest.hpp"
#include "session.hpp"

namespace {

void say(const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    std::fputc('\n', stdout);
    if (std::fflush(stdout) != 0) std::exit(1);  // nobody listens any more
}

void say_failed(const std::string& why) { say(R"({"event":"failed","why":)" + quoted(why) + "}"); }

class Commands final : public Source {
  public:
    Commands(Loop& loop, Bench& bench) : loop_(loop), bench_(bench) {}

    void listen() {
        fcntl(0, F_SETFL, fcntl(0, F_GETFL, 0) | O_NONBLOCK);
        if (loop_.poller.add(0, this, false)) return;
        while (!ended_) read();  // a plain file is always ready
    }

    void on_ready(bool, bool) override { read(); }

  private:
    void read() {
        char piece[4096];
        ssize_t n = ::read(0, piece, sizeof piece);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
        if (n <= 0) {
            if (!ended_) loop_.poller.remove(0);
            ended_ = true;
            return next();
        }
        text_.append(piece, static_cast<size_t>(n));
        for (size_t end; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1)) take(text_.substr(0, end));
        next();
    }

    void take(std::string line) {
        while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
        if (line == "quit") loop_.stop();
        else if (line == "stats") stats();
        else if (line.rfind("run", 0) == 0 && (line.size() == 3 || line[3] == ' ')) asked_.push_back(line.substr(3));
        else if (!line.empty()) say_failed("expected run, stats or quit, got " + quoted(line.substr(0, 80)));
    }

    void stats() const {
        say(R"({"event":"stats","running":)" + std::string(run_ ? "true" : "false") + R"(,"calls":)" + std::to_string(bench_.calls.size()) +
            R"(,"connected":)" + std::to_string(bench_.connected) + R"(,"failed":)" + std::to_string(bench_.failed) + R"(,"model_sockets":)" +
            std::to_string(bench_.model_sockets) + R"(,"asked":)" + std::to_string(asked_.size()) + "}");
    }

    // The next run, if none is going on.
    void next() {
        while (!run_ && !asked_.empty()) {
            Options options;
            std::string wrong = options.read(asked_.front());
            asked_.pop_front();
            if (!wrong.empty()) {
                say_failed(wrong);
                continue;
            }
            bench_.options = options;
            run_ = std::make_unique<Run>(bench_, say, [this] { over_.set(now()); });
            run_->begin(next_call_);
        }
        if (!run_ && ended_) loop_.stop();
    }

    Loop& loop_;
    Bench& bench_;
    std::string text_;
    std::deque<std::string> asked_;
    bool ended_ = false;
    uint32_t next_call_ = 1;
    std::unique_ptr<Run> run_;
    Timer over_{loop_, [this] {
        run_.reset();
        next();
    }};
};

}  // namespace

int main(int count, char** words) {
    int port = -1;
    for (int i = 1; i < count; i++) {
        Text word = words[i];
        if (word == "--selftest") return selftest();
        if (word == "--model-port" && i + 1 < count) port = std::atoi(words[++i]);
        else port = -2;
        if (port < 0 || port > 65'535) break;
    }
    if (port < 0 || port > 65'535) {
        std::fprintf(stderr, "usage: load --model-port PORT (0: any free one) | load --selftest\n");
        return 2;
    }
    std::signal(SIGPIPE, SIG_IGN);
    many_descriptors();
    Loop loop;
    Bench bench(loop);
    uint32_t next_session = 1;
    auto* listener = new Listener(loop, [&](int fd) { (new Session(bench, next_session++))->adopt(fd); });
    int listens = listener->listen(port);
    if (listens == 0) {
        std::fprintf(stderr, "expected to listen on 127.0.0.1:%d, but: %s\n", port, std::strerror(errno));
        return 1;
    }
    say(R"({"event":"ready","model_port":)" + std::to_string(listens) + "}");
    Commands commands(loop, bench);
    commands.listen();
    loop.run();
    std::fflush(stdout);
    std::_Exit(0);  // what is open ends with the process
}
