// What a run is told: `run key=value ...`, with defaults; a key or value that is not understood is refused by name.
#pragma once

#include <algorithm>
#include <functional>
#include <map>

#include "text.hpp"

struct Options {
    // steady: replies by the clock. greeting: hang up after the first audio. turn: the model answers a marked last word.
    // bargein: the caller cuts in 1.5 s into each reply. idle: no replies after the greeting.
    std::string scenario = "steady";
    int calls = 50;          // at once
    double ramp_per_s = 50;  // new calls a second
    double warmup_s = 2, window_s = 10;
    int repeat = 1;  // greeting: calls in all

    // The carrier.
    std::string webhook;  // empty: `stream` is dialled without one
    std::string stream = "ws://127.0.0.1:8000/media-stream";
    bool stream_given = false;  // with a webhook: where its streams really are
    bool sign = true;           // key `signed`
    std::string token, account = "AC00000000000000000000000000000001";
    std::string public_origin;  // key `public`: what signatures are made over; empty: the webhook's or stream's own
    int open_after_ms = 100;    // from the webhook's answer to dialling the stream
    std::string dialled = "+14155550100";
    int slot_us = 500;  // frames leave at multiples of it: each wake-up of ours costs as much as several frames

    // The model. It gives delta_ms of sound every delta_gap_ms, so by default ten times faster than it is heard.
    int first_audio_ms = 200, reply_ms = 4000, every_ms = 8000, delta_ms = 400, delta_gap_ms = 40;
    int delta_bytes = 0;  // if set: ragged deltas of so many bytes

    bool tone = false;  // key `probe`, stamp | tone: for relays that transcode

    bool greets_only() const { return scenario == "greeting"; }

    // Reads the words after `run`. Returns what is wrong, empty if nothing.
    std::string read(Text words) {
        std::map<Text, std::function<bool(const std::string&)>> known = {
            {"scenario", one_of(scenario, {"steady", "greeting", "turn", "bargein", "idle"})},
            {"calls", number(calls, 1, 20'000)},
            {"ramp_per_s", number(ramp_per_s, 0.1, 100'000)},
            {"warmup_s", number(warmup_s, 0, 3'600)},
            {"window_s", number(window_s, 0.1, 100'000)},
            {"repeat", number(repeat, 1, 1'000'000)},
            {"webhook", any(webhook)},
            {"stream", any(stream)},
            {"token", any(token)},
            {"account", any(account)},
            {"public", any(public_origin)},
            {"dialled", any(dialled)},
            {"open_after_ms", number(open_after_ms, 0, 60'000)},
            {"first_audio_ms", number(first_audio_ms, 0, 60'000)},
            {"reply_ms", number(reply_ms, 20, 600'000)},
            {"every_ms", number(every_ms, 100, 600'000)},
            {"delta_ms", number(delta_ms, 1, 60'000)},
            {"delta_gap_ms", number(delta_gap_ms, 0, 60'000)},
            {"delta_bytes", number(delta_bytes, 0, 1 << 20)},
            {"slot_us", number(slot_us, 1, 20'000)},
        };
        std::string probe = "stamp", is_signed = "1";
        known["probe"] = one_of(probe, {"stamp", "tone"});
        known["signed"] = one_of(is_signed, {"0", "1"});
        while (!words.empty()) {
            size_t blank = std::min(words.find(' '), words.size());
            Text word = words.substr(0, blank);
            words.remove_prefix(std::min(blank + 1, words.size()));
            if (word.empty()) continue;
            size_t equals = word.find('=');
            auto key = known.find(word.substr(0, equals));
            if (equals == Text::npos || key == known.end()) return "expected key=value with a known key, got " + quoted(word);
            std::string value(word.substr(equals + 1));
            if (!key->second(value)) return "the value is out of range or of the wrong kind: " + quoted(word);
            if (key->first == "stream") stream_given = true;
        }
        tone = probe == "tone";
        sign = is_signed == "1";
        reply_ms -= reply_ms % 20;
        return check();
    }

  private:
    std::string check() {
        for (const auto& url : {webhook, stream})
            if (!url.empty() && !Url::of(url).valid()) return "expected a URL, got " + quoted(url);
        if (webhook.empty() && stream.empty()) return "expected webhook= or stream=";
        if (sign && token.empty()) return "expected token= to sign with (or signed=0)";
        if (public_origin.empty()) {
            Url own = Url::of(webhook.empty() ? stream : webhook);
            bool secure = own.scheme == "https" || own.scheme == "wss";
            public_origin = (secure ? "https://" : "http://") + own.authority;
        }
        while (!public_origin.empty() && public_origin.back() == '/') public_origin.pop_back();
        if (!Url::of(public_origin).valid()) return "expected an origin in public=, got " + quoted(public_origin);
        return {};
    }

    template <typename Number>
    static std::function<bool(const std::string&)> number(Number& into, double least, double most) {
        return [&into, least, most](const std::string& text) {
            char* end = nullptr;
            double value = std::strtod(text.c_str(), &end);
            if (text.empty() || *end != 0 || !(value >= least && value <= most)) return false;
            into = static_cast<Number>(value);
            return static_cast<double>(into) == value;
        };
    }

    static std::function<bool(const std::string&)> any(std::string& into) {
        return [&into](const std::string& text) {
            into = text;
            return true;
        };
    }

    static std::function<bool(const std::string&)> one_of(std::string& into, std::vector<Text> choice) {
        return [&into, choice](const std::string& text) {
            into = text;
            return std::find(choice.begin(), choice.end(), text) != choice.end();
        };
    }
};
