// SPDX-License-Identifier: Apache-2.0
// Fast looks at bytes. SSE2 belongs to every x86-64; nothing is loaded from beyond `end`.
#pragma once

#include <emmintrin.h>

#include <cstdint>

namespace remora::protocol::http {

// The first byte in [at, end) that is at most `limit`, or `end`.
inline const uint8_t* find_at_most(const uint8_t* at, const uint8_t* end, uint8_t limit) noexcept {
    const __m128i bound = _mm_set1_epi8(static_cast<char>(limit));
    for (; end - at >= 16; at += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const int hits = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, bound), bytes));
        if (hits != 0) return at + __builtin_ctz(static_cast<unsigned>(hits));
    }
    while (at<end&& * at> limit) ++at;
    return at;
}

// What stops a field value: CR, LF or NUL.
inline const uint8_t* find_value_stop(const uint8_t* at, const uint8_t* end) noexcept {
    while (true) {
        at = find_at_most(at, end, '\r');
        if (at == end || *at == '\r' || *at == '\n' || *at == 0) return at;
        ++at;  // a tab, or a control character that changes nothing
    }
}

// RFC 9110, 5.6.2: what methods and field names are made of.
struct TokenTable {
    bool is[256] = {};
    constexpr TokenTable() {
        for (int c = '0'; c <= '9'; ++c) is[c] = true;
        for (int c = 'a'; c <= 'z'; ++c) is[c] = is[c - 'a' + 'A'] = true;
        for (const char* c = "!#$%&'*+-.^_`|~"; *c != 0; ++c)
            is[static_cast<unsigned char>(*c)] = true;
    }
};
inline constexpr TokenTable token_table;

// Letters, digits and '-', of which nearly all names are, go by sixteens: a name is one step.
inline const uint8_t* find_token_end(const uint8_t* at, const uint8_t* end) noexcept {
    while (end - at >= 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        const __m128i lower = _mm_or_si128(bytes, _mm_set1_epi8(0x20));
        const __m128i letter = _mm_and_si128(_mm_cmpgt_epi8(lower, _mm_set1_epi8('a' - 1)),
                                             _mm_cmplt_epi8(lower, _mm_set1_epi8('z' + 1)));
        const __m128i digit = _mm_and_si128(_mm_cmpgt_epi8(bytes, _mm_set1_epi8('0' - 1)),
                                            _mm_cmplt_epi8(bytes, _mm_set1_epi8('9' + 1)));
        const __m128i dash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('-'));
        const __m128i common = _mm_or_si128(_mm_or_si128(letter, digit), dash);
        const unsigned others = ~static_cast<unsigned>(_mm_movemask_epi8(common)) & 0xffffu;
        if (others == 0) {
            at += 16;
            continue;
        }
        at += __builtin_ctz(others);
        if (!token_table.is[*at]) return at;
        ++at;
    }
    while (at < end && token_table.is[*at]) ++at;
    return at;
}

}  // namespace remora::protocol::http
