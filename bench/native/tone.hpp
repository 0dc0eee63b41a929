// The other probe, for relays that transcode: silence with bursts of 800 Hz, found again by their energy.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "loop.hpp"

enum class Codec { ulaw, pcm };  // g711 u-law at 8 kHz; PCM16 little-endian at 24 kHz

constexpr int kBurstMs = 40;

constexpr size_t bytes_per_ms(Codec codec) { return codec == Codec::ulaw ? 8 : 48; }

// Source: ITU-T G.711, u-law.
inline uint8_t to_ulaw(int sample) {
    int sign = sample < 0 ? 0x80 : 0;
    int magnitude = std::min(std::abs(sample), 32635) + 0x84;
    int exponent = 7;
    while (exponent > 0 && (magnitude & (0x80 << exponent)) == 0) exponent--;
    return static_cast<uint8_t>(~(sign | exponent << 4 | (magnitude >> (exponent + 3) & 0x0F)));
}

inline int from_ulaw(uint8_t byte) {
    byte = static_cast<uint8_t>(~byte);
    int magnitude = ((((byte & 0x0F) << 3) + 0x84) << (byte >> 4 & 7)) - 0x84;
    return byte & 0x80 ? -magnitude : magnitude;
}

// So many milliseconds from `from_ms` on of a sound whose first 40 ms are a burst, and the rest silence.
inline std::vector<uint8_t> tone(Codec codec, int from_ms, int ms) {
    const int rate = codec == Codec::ulaw ? 8 : 24;
    std::vector<uint8_t> out;
    out.reserve(static_cast<size_t>(ms) * bytes_per_ms(codec));
    for (int i = from_ms * rate; i < (from_ms + ms) * rate; i++) {
        int sample = i < kBurstMs * rate ? static_cast<int>(9000 * std::sin(2 * M_PI * 0.8 * i / rate)) : 0;
        if (codec == Codec::ulaw) {
            out.push_back(to_ulaw(sample));
        } else {
            out.push_back(static_cast<uint8_t>(sample & 0xFF));
            out.push_back(static_cast<uint8_t>(sample >> 8 & 0xFF));
        }
    }
    return out;
}

// Hears where bursts begin: a loud 2.5 ms after 200 ms without one.
class ToneEar {
  public:
    // Bursts that begin in this piece of sound: 0 or more.
    int hear(Codec codec, const uint8_t* data, size_t size) {
        int found = 0;
        const size_t step = codec == Codec::ulaw ? 1 : 2, block = codec == Codec::ulaw ? 20 : 60;
        for (size_t at = 0; at + step <= size; at += step) {
            int16_t wide = 0;
            if (codec == Codec::pcm) std::memcpy(&wide, data + at, 2);
            int sample = codec == Codec::ulaw ? from_ulaw(data[at]) : wide;
            energy_ += static_cast<double>(sample) * sample;
            if (++samples_ < block) continue;
            bool loud = energy_ / static_cast<double>(samples_) > 1'000'000;  // 1,000 of 32,768 in the root mean square
            if (loud && quiet_blocks_ >= 80) found++;
            quiet_blocks_ = loud ? 0 : quiet_blocks_ + 1;
            energy_ = 0;
            samples_ = 0;
        }
        return found;
    }

  private:
    double energy_ = 0;
    size_t samples_ = 0;
    int quiet_blocks_ = 80;
};

// Bursts that were sent and not heard yet, so that each that is heard finds the time it was sent at.
class Bursts {
  public:
    explicit Bursts(Nanos patience) : patience_(patience) {}
    void sent(Nanos at) { waiting_.push_back(at); }

    // When the burst that is heard now was sent; 0 if none was.
    Nanos heard(Nanos at) {
        while (!waiting_.empty() && at - waiting_.front() > patience_) waiting_.pop_front();  // lost
        if (waiting_.empty()) return 0;
        Nanos sent = waiting_.front();
        waiting_.pop_front();
        return sent;
    }

  private:
    std::deque<Nanos> waiting_;
    Nanos patience_;
};
