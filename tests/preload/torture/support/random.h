// SPDX-License-Identifier: Apache-2.0
// Random numbers that are the same in every process that has the same seed: the program under the
// shim and the peer that checks it each make the same byte streams for themselves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <string>

namespace torture {

// SplitMix64 (Steele, Lea, Flood 2014). Not thread-safe; cheap to copy.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}
    // An independent generator for part `index` of what this seed stands for.
    static Random of(uint64_t seed, uint64_t index) {
        Random mixed(seed ^ (index + 1) * 0x9e3779b97f4a7c15u);
        return Random(mixed.next());
    }

    uint64_t next() {
        uint64_t x = (state_ += 0x9e3779b97f4a7c15u);
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
        x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
        return x ^ (x >> 31);
    }
    // 0 .. limit - 1
    size_t below(size_t limit) { return limit == 0 ? 0 : next() % limit; }
    // low .. high, both included
    size_t between(size_t low, size_t high) { return low + below(high - low + 1); }
    // Small numbers as often as large ones.
    size_t skewed(size_t high) {
        return below(size_t{1} << below(64 - __builtin_clzll(high | 1))) % (high + 1);
    }
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class T>
    T pick(std::initializer_list<T> choices) {
        return *std::next(choices.begin(), static_cast<ptrdiff_t>(below(choices.size())));
    }
    std::string text(size_t size, const char* alphabet, size_t letters) {
        std::string out(size, ' ');
        for (char& c : out) c = alphabet[below(letters)];
        return out;
    }
    std::string hex(size_t digits) { return text(digits, "0123456789abcdef", 16); }
    std::string word(size_t size) {
        return text(size, "abcdefghijklmnopqrstuvwxyz0123456789-", 37);
    }

private:
    uint64_t state_;
};

}  // namespace torture
