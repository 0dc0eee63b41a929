// Counts of nanoseconds in buckets of under one per cent's width, for percentiles over millions of values.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

class Histogram {
  public:
    void add(int64_t value) {
        uint64_t v = value < 0 ? 0 : static_cast<uint64_t>(value);
        buckets_[bucket(v)]++;
        count_++;
        max_ = std::max(max_, v);
    }

    uint64_t count() const { return count_; }
    double max_us() const { return static_cast<double>(max_) / 1000; }

    // Nearest rank: the smallest value that is not below so great a part of all. 0 if there are none.
    double us(double part) const {
        if (count_ == 0) return 0;
        auto rank = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(part * static_cast<double>(count_))));
        uint64_t seen = 0;
        for (size_t i = 0; i < buckets_.size(); i++)
            if ((seen += buckets_[i]) >= rank) return std::min(middle(i), static_cast<double>(max_)) / 1000;
        return max_us();
    }

  private:
    static constexpr int kBits = 7;  // 128 buckets for each doubling
    static constexpr uint64_t kFine = 1 << kBits;

    static size_t bucket(uint64_t v) {
        if (v < 2 * kFine) return v;
        int shift = 63 - __builtin_clzll(v) - kBits;
        return static_cast<size_t>(shift) * kFine + (v >> shift);
    }

    static double middle(size_t bucket) {
        if (bucket < 2 * kFine) return static_cast<double>(bucket);
        uint64_t shift = bucket / kFine - 1;
        uint64_t low = (bucket - shift * kFine) << shift;
        return static_cast<double>(low) + static_cast<double>((uint64_t(1) << shift) - 1) / 2;
    }

    std::vector<uint64_t> buckets_ = std::vector<uint64_t>((65 - kBits) * kFine);
    uint64_t count_ = 0, max_ = 0;
};
