// The stamp that every 160-byte frame carries, and the reader that finds frames in a stream cut at any place.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

constexpr size_t kFrame = 160;  // 20 ms of g711 u-law

struct Stamp {
    uint32_t who = 0;     // up: the call; down: the model's session
    uint32_t number = 0;  // counts from 0 for each `who`
    int64_t at = 0;       // when it was written, ns
    bool down = false;
    bool marked = false;  // up: the caller's last word; down: the first frame of a reply
};

//  0 magic 4 | 4 direction 1 | 5 marked 1 | 6 zero 2 | 8 who 4 | 12 number 4 | 16 at 8 | 24 filling 132 | 156 checksum 4
namespace stamping {
constexpr uint8_t kMagic[4] = {0xA7, 0x5E, 0x91, 0x3C};
constexpr size_t kSum = kFrame - 4;

inline uint32_t sum(const uint8_t* frame) {
    uint64_t mixed = 0x9E3779B97F4A7C15ULL, word;
    for (size_t at = 0; at + 8 <= kSum; at += 8) {
        std::memcpy(&word, frame + at, 8);
        mixed = (mixed ^ word) * 0xD6E8FEB86659FD93ULL;
        mixed ^= mixed >> 32;
    }
    uint32_t rest;
    std::memcpy(&rest, frame + kSum - 4, 4);
    mixed = (mixed ^ rest) * 0xD6E8FEB86659FD93ULL;
    return static_cast<uint32_t>(mixed ^ mixed >> 32);
}
}  // namespace stamping

inline void write_stamp(uint8_t* frame, const Stamp& stamp) {
    using namespace stamping;
    std::memcpy(frame, kMagic, 4);
    frame[4] = stamp.down;
    frame[5] = stamp.marked;
    frame[6] = frame[7] = 0;
    std::memcpy(frame + 8, &stamp.who, 4);
    std::memcpy(frame + 12, &stamp.number, 4);
    std::memcpy(frame + 16, &stamp.at, 8);
    for (size_t at = 24; at < kSum; at++) frame[at] = static_cast<uint8_t>(stamp.number * 31 + at * 7);
    uint32_t check = sum(frame);
    std::memcpy(frame + kSum, &check, 4);
}

// False if this is no frame of ours, or one that was changed on its way.
inline bool read_stamp(const uint8_t* frame, Stamp& stamp) {
    using namespace stamping;
    if (std::memcmp(frame, kMagic, 4) != 0) return false;
    uint32_t check;
    std::memcpy(&check, frame + kSum, 4);
    if (check != sum(frame)) return false;
    stamp.down = frame[4];
    stamp.marked = frame[5];
    std::memcpy(&stamp.who, frame + 8, 4);
    std::memcpy(&stamp.number, frame + 12, 4);
    std::memcpy(&stamp.at, frame + 16, 8);
    return true;
}

// Puts a stream of bytes together again. What is no frame (silence, a clip, half a frame that was cleared) is stepped over.
class StampReader {
  public:
    uint64_t foreign = 0;  // bytes that were stepped over

    template <typename Found>
    void push(const uint8_t* data, size_t size, Found&& found) {
        if (!rest_.empty()) {
            rest_.insert(rest_.end(), data, data + size);
            std::vector<uint8_t> whole;
            whole.swap(rest_);
            return scan(whole.data(), whole.size(), found);
        }
        scan(data, size, found);
    }

  private:
    template <typename Found>
    void scan(const uint8_t* data, size_t size, Found&& found) {
        size_t at = 0;
        while (size - at >= kFrame) {
            Stamp stamp;
            if (read_stamp(data + at, stamp)) {
                found(stamp);
                at += kFrame;
                continue;
            }
            const void* next = std::memchr(data + at + 1, stamping::kMagic[0], size - at - 1);
            size_t step = next ? static_cast<size_t>(static_cast<const uint8_t*>(next) - data) - at : size - at;
            foreign += step;
            at += step;
        }
        rest_.assign(data + at, data + size);
    }

    std::vector<uint8_t> rest_;  // less than a frame
};
