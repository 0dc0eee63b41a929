// One response of the model's: when its pieces are due, and the audio they hold.
#pragma once

#include "bench.hpp"
#include "digest.hpp"
#include "model_words.hpp"

// The sound of one reply, cut into deltas. Stamped: whole frames, written as they leave. Tone: a burst, then silence.
class ReplySound {
  public:
    void begin(const Options& options, Codec codec, uint32_t number) {
        left_ = static_cast<size_t>(options.reply_ms) * bytes_per_ms(codec);
        delta_ = options.delta_bytes > 0 ? static_cast<size_t>(options.delta_bytes) : static_cast<size_t>(options.delta_ms) * bytes_per_ms(codec);
        if (codec == Codec::pcm) delta_ += delta_ % 2;
        codec_ = codec;
        at_ = 0;
        first_ = true;
        next_done_ = number;
        rest_.clear();
    }

    bool over() const { return left_ == 0; }

    // The next delta's bytes, valid until the next call.
    const std::vector<uint8_t>& next(Bench& bench, ModelSide& session, uint32_t& number, Nanos at) {
        size_t size = std::min(delta_, left_);
        left_ -= size;
        bool counted = bench.window.has(at);
        if (bench.options.tone) {
            int ms = static_cast<int>(bytes_per_ms(codec_));
            size_t end = at_ + size;
            piece_ = tone(codec_, static_cast<int>(at_) / ms, static_cast<int>(end - at_) / ms + 2);
            piece_.erase(piece_.begin(), piece_.begin() + static_cast<long>(at_ % bytes_per_ms(codec_)));
            piece_.resize(size);
            if (first_) {
                session.bursts.sent(at);
                bench.down.sent += counted;
            }
            at_ = end;
            first_ = false;
            return piece_;
        }
        piece_.swap(rest_);
        while (piece_.size() < size) {
            piece_.resize(piece_.size() + kFrame);
            write_stamp(piece_.data() + piece_.size() - kFrame, {session.id, number++, at, true, first_});
            first_ = false;
        }
        rest_.assign(piece_.begin() + static_cast<long>(size), piece_.end());
        piece_.resize(size);
        // A frame is sent when its last byte is.
        for (size_t end = at_ / kFrame + 1; end * kFrame <= at_ + size; end++) {
            session.sent_at[next_done_++ % ModelSide::kRing] = at;
            bench.down.sent += counted;
            session.outstanding += counted;
        }
        at_ += size;
        return piece_;
    }

  private:
    Codec codec_ = Codec::ulaw;
    size_t left_ = 0, delta_ = 0, at_ = 0;
    bool first_ = true;
    uint32_t next_done_ = 0;  // frames whose last byte was sent; as `number`, over all replies
    std::vector<uint8_t> piece_, rest_;
};
