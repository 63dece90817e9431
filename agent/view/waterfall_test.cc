// SPDX-License-Identifier: Apache-2.0
// Golden texts of the waterfall.
#include "agent/view/waterfall.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <regex>

#include "agent/base/printable.h"
#include "tests/support/sample_spans.h"

namespace remora {
namespace {

using test::make_span;
using testing::HasSubstr;
using testing::Not;

constexpr TerminalStyle plain{.unicode = false, .color = false, .width = 100};
constexpr TerminalStyle unicode{.unicode = true, .color = false, .width = 100};

Span with(Span span, std::vector<Attribute> attributes, bool error = false) {
    span.attributes = std::move(attributes);
    if (error) span.status = StatusCode::error;
    return span;
}

// A proxy in front of a service that asks another one, twice; in the order in which they end.
std::vector<Span> shop_trace(uint8_t trace = 0x4b) {
    const auto proxy = test::resource_of("nginx"), shop = test::resource_of("shop"),
               stock = test::resource_of("stock");
    const Attribute path{"url.path", "/cart/7"}, ok{"http.response.status_code", int64_t{200}};
    return {
        with(make_span(trace, 5, 4, SpanKind::server, "GET /items/{id}", 21, 29, stock),
             {{"url.path", "/items/1"}, ok}),
        with(make_span(trace, 4, 3, SpanKind::client, "GET", 20, 30, shop),
             {{"url.full", "http://stock:8080/items/1?x=y"}, ok}),
        with(make_span(trace, 7, 6, SpanKind::server, "GET /items/{id}", 41, 79, stock),
             {{"url.path", "/items/2"}, {"http.response.status_code", int64_t{503}}}, true),
        with(make_span(trace, 6, 3, SpanKind::client, "GET", 40, 80, shop),
             {{"url.full", "http://stock:8080/items/2"},
              {"http.response.status_code", int64_t{503}}},
             true),
        with(make_span(trace, 3, 2, SpanKind::server, "GET", 3, 95, shop), {path, ok}),
        with(make_span(trace, 2, 1, SpanKind::client, "GET", 2, 97, proxy), {path, ok}),
        with(make_span(trace, 1, 0, SpanKind::server, "GET", 0, 100, proxy), {path, ok}),
    };
}

TraceView trace_of(const std::vector<Span>& spans) {
    TraceView trace;
    for (const Span& span : spans) trace.add(span);
    return trace;
}

TEST(Waterfall, ATraceInUnicode) {
    EXPECT_EQ("\n" + render_trace(trace_of(shop_trace()), unicode), R"(
trace 4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b · 100 ms · 7 spans · nginx, shop, stock · 2 errors
nginx GET /cart/7                             200     100 ms  ██████████████████████████████████████
└─ nginx → GET /cart/7                        200    95.0 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
   └─ shop GET /cart/7                        200    92.0 ms   ███████████████████████████████████
      ├─ shop → GET /items/1                  200    10.0 ms         ━━━━
      │  └─ stock GET /items/{id} (/items/1)  200    8.00 ms         ████
      └─ shop → GET /items/2                  503 ✗  40.0 ms                 ━━━━━━━━━━━━━━━
         └─ stock GET /items/{id} (/items/2)  503 ✗  38.0 ms                 ███████████████
)");
}

TEST(Waterfall, ATraceInAscii) {
    const std::string text = render_trace(trace_of(shop_trace()), plain);
    EXPECT_EQ("\n" + text, R"(
trace 4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b4b  100 ms  7 spans  nginx, shop, stock  2 errors
nginx GET /cart/7                             200     100 ms  ######################################
`- nginx -> GET /cart/7                       200    95.0 ms  =====================================
   `- shop GET /cart/7                        200    92.0 ms   ###################################
      |- shop -> GET /items/1                 200    10.0 ms         ====
      |  `- stock GET /items/{id} (/items/1)  200    8.00 ms         ####
      `- shop -> GET /items/2                 503 !  40.0 ms                 ===============
         `- stock GET /items/{id} (/items/2)  503 !  38.0 ms                 ###############
)");
    for (const char c : text) EXPECT_LT(static_cast<unsigned char>(c), 0x80);
}

Span opened(Span span, std::vector<SpanEvent> events) {
    span.events = std::move(events);
    return span;
}
SpanEvent step(const char* name, unsigned at_ms, double seconds) {
    return {test::make_span(1, 1, 0, SpanKind::client, "", at_ms, at_ms, nullptr).start_unix_ns, name,
            {{"duration", seconds}}};
}

TEST(Waterfall, ACallSaysHowItsConnectionCameAboutWhereThatTookTime) {
    const auto shop = test::resource_of("shop");
    auto trace = [&](const std::vector<SpanEvent>& events) {
        return "\n" + render_trace(
                          trace_of({opened(make_span(7, 2, 1, SpanKind::client, "GET", 0, 100, shop),
                                           events),
                                    make_span(7, 3, 1, SpanKind::client, "GET", 100, 110, shop),
                                    make_span(7, 1, 0, SpanKind::server, "GET", 0, 120, shop)}),
                          unicode);
    };
    EXPECT_THAT(trace({step("dns", 40, 0.04), step("connect", 43, 0.003),
                       step("tls.handshake", 51, 0.008), step("first_byte", 90, 0)}),
                HasSubstr("\n│     dns 40.0 ms, connect 3.00 ms, tls 8.00 ms, first byte 39.0 ms\n"));
    SpanEvent refused = step("connect.failed", 2, 0.001);
    refused.attributes.push_back({"error.type", "ECONNREFUSED"});
    EXPECT_THAT(trace({refused, step("connect", 3, 0.001)}),
                HasSubstr("\n│     ECONNREFUSED after 1.00 ms, connect 1.00 ms\n"));
    // Quick ones, a kept connection's, nonsense.
    EXPECT_THAT(trace({step("connect", 1, 0.001), step("first_byte", 90, 0)}), Not(HasSubstr("ms,")));
    EXPECT_THAT(trace({step("first_byte", 90, 0)}), Not(HasSubstr("first byte")));
    EXPECT_THAT(trace({step("connect", 1, -1e300)}), Not(HasSubstr("connect")));
}

TEST(Waterfall, AConnectThatFailedSaysToWhom) {
    const Span span = with(make_span(7, 2, 1, SpanKind::client, "connect", 0, 100,
                                     test::resource_of("shop")),
                           {{"server.address", "stock"}, {"server.port", int64_t{8080}},
                            {"error.type", "ECONNREFUSED"}}, true);
    EXPECT_THAT(render_trace(trace_of({span}), unicode), HasSubstr("shop → connect stock:8080"));
}

TEST(Waterfall, TheOrderInWhichSpansComeDoesNotMatter) {
    std::vector<Span> spans = shop_trace();
    const std::string expected = render_trace(trace_of(spans), unicode);
    std::reverse(spans.begin(), spans.end());
    EXPECT_EQ(render_trace(trace_of(spans), unicode), expected);
    std::rotate(spans.begin(), spans.begin() + 3, spans.end());
    EXPECT_EQ(render_trace(trace_of(spans), unicode), expected);
}

TEST(Waterfall, NoLineIsWiderThanTheTerminal) {
    const auto service = test::resource_of("a-service-with-quite-a-long-name");
    std::vector<Span> spans;
    for (uint8_t i = 1; i < 40; ++i)
        spans.push_back(
            with(make_span(9, i, static_cast<uint8_t>(i - 1), SpanKind::client,
                           std::string(70, 'N') + "日本語", i, 100, service),
                 {{"url.path", "/" + std::string(300, 'p')}, {"error.type", std::string(80, 'e')}},
                 true));
    for (const size_t width : {80u, 100u, 240u})
        for (TerminalStyle style : {plain, unicode}) {
            style.width = width;
            const std::string text = render_trace(trace_of(spans), style);
            for (size_t begin = 0; begin < text.size();) {
                const size_t end = text.find('\n', begin);
                EXPECT_LE(display_width(text.substr(begin, end - begin)), width);
                begin = end + 1;
            }
        }
}

TEST(Waterfall, ColoursAreNothingButColours) {
    TerminalStyle style = unicode;
    style.color = true;
    const std::string colored = render_trace(trace_of(shop_trace()), style);
    EXPECT_THAT(colored, HasSubstr("\x1b[1;31m503 ✗\x1b[0m"));
    EXPECT_EQ(std::regex_replace(colored, std::regex("\x1b\\[[0-9;]*m"), ""),
              render_trace(trace_of(shop_trace()), unicode));
}

TEST(Waterfall, AnOrphanIsARootWithANote) {
    const auto service = test::resource_of("shop");
    EXPECT_EQ(
        "\n" + render_trace(trace_of({make_span(2, 7, 6, SpanKind::server, "GET", 0, 10, service),
                                      make_span(2, 8, 7, SpanKind::client, "GET", 0, 5, service)}),
                            unicode),
        R"(
trace 02020202020202020202020202020202 · 10.0 ms · 2 spans · shop
⇡ shop GET     10.0 ms  ████████████████████████████████████████████████████████████████████████████
└─ shop → GET  5.00 ms  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
⇡ its parent is not among these spans
)");
}

TEST(Waterfall, AProcessSpanSaysItsNameOnceAndItsExitCode) {
    const auto curl = test::resource_of("curl");
    EXPECT_EQ(
        "\n" + render_trace(
                   trace_of({with(make_span(1, 1, 0, SpanKind::internal, "curl", 0, 10, curl),
                                  {{"process.exit.code", int64_t{22}}, {"error.type", "22"}}, true),
                             make_span(1, 2, 1, SpanKind::client, "GET", 2, 8, curl)}),
                   plain),
        R"(
trace 01010101010101010101010101010101  10.0 ms  2 spans  curl  1 error
curl            exit 22 !  10.0 ms  ################################################################
`- curl -> GET             6.00 ms              =======================================
)");
}

TEST(Waterfall, CyclesDoublesAndSelfParentsAreShownOnce) {
    const auto service = test::resource_of("s");
    const std::string text =
        render_trace(trace_of({make_span(1, 1, 2, SpanKind::server, "cycle-a", 0, 1, service),
                               make_span(1, 2, 1, SpanKind::server, "cycle-b", 1, 2, service),
                               make_span(1, 3, 3, SpanKind::server, "self", 2, 3, service),
                               make_span(1, 4, 0, SpanKind::server, "double-a", 3, 4, service),
                               make_span(1, 4, 0, SpanKind::server, "double-b", 4, 5, service)}),
                     plain);
    for (const char* name : {"cycle-a", "cycle-b", "self", "double-a", "double-b"}) {
        const size_t first = text.find(name);
        ASSERT_NE(first, std::string::npos) << name;
        EXPECT_EQ(text.find(name, first + 1), std::string::npos) << name;
    }
}

TEST(Waterfall, HostileTextCannotSteerTheTerminal) {
    const char* evil =
        "\x1b[2J\x1b]0;owned\x07\nroot\r\xe2\x80\xae\xc2\x9b"
        "31m\xff";
    Span span = with(make_span(1, 1, 0, SpanKind::server, evil, 0, 1, test::resource_of(evil)),
                     {{"url.path", evil}, {"error.type", evil}}, true);
    const std::string text = render_trace(trace_of({span}), unicode);
    EXPECT_THAT(text, Not(HasSubstr("\x1b")));
    EXPECT_THAT(text, Not(HasSubstr("\r")));
    EXPECT_THAT(text, Not(HasSubstr("\x07")));
    EXPECT_THAT(text, Not(HasSubstr("\xc2\x9b")));
    EXPECT_THAT(text, Not(HasSubstr("\xe2\x80\xae")));
    EXPECT_THAT(text, Not(HasSubstr("\nroot")));
}

TEST(Waterfall, SpansOfNoDurationHaveABar) {
    const std::string text = render_trace(
        trace_of({make_span(1, 1, 0, SpanKind::server, "n", 5, 5, test::resource_of("s"))}), plain);
    EXPECT_THAT(text, HasSubstr("0 ns  #\n"));
}

TEST(Waterfall, TheFirstTracesInFullTheRestInALine) {
    TraceStore store;
    for (uint8_t i = 1; i <= 25; ++i) {
        Span span = make_span(i, i, 0, SpanKind::server, "GET", i * 10u, i * 10u + i,
                              test::resource_of("shop"));
        if (i > 22) span.status = StatusCode::error;
        store.on_span(span);
    }
    const std::string text = render_waterfall(store.content(), unicode, 20);
    EXPECT_THAT(text, HasSubstr("trace 14141414141414141414141414141414"));
    EXPECT_THAT(text, Not(HasSubstr("trace 15151515151515151515151515151515")));
    EXPECT_THAT(text, HasSubstr("\n… and 5 more traces with 5 spans: slowest 25.0 ms "
                                "(19191919191919191919191919191919), 3 with errors\n"));
    EXPECT_THAT(render_waterfall(store.content(), unicode, 25), Not(HasSubstr("more trace")));
}

TEST(TraceStore, TheOldestTraceMakesRoom) {
    TraceStore store(4);
    for (uint8_t i = 1; i <= 6; ++i)
        for (const uint8_t id : {uint8_t{1}, uint8_t{2}})
            store.on_span(make_span(i, id, 0, SpanKind::server, "GET", i, i + 1u, nullptr));
    const TraceStore::Content content = store.content();
    ASSERT_EQ(content.traces.size(), 2u);
    EXPECT_EQ(content.traces[0].id, test::trace_id_of(5));
    EXPECT_EQ(content.gone.traces, 4u);
    EXPECT_EQ(content.gone.spans, 8u);
}

TEST(TraceStore, OneTraceIsBoundedAndKeepsItsRoot) {
    TraceStore store;
    for (size_t i = 0; i < TraceView::spans_limit + 500; ++i)
        store.on_span(make_span(1, 2, 1, SpanKind::client, "GET", 1, 2, nullptr));
    store.on_span(make_span(1, 1, 0, SpanKind::internal, "curl", 0, 3, nullptr));
    const TraceView trace = store.content().traces.at(0);
    EXPECT_EQ(trace.spans.size(), TraceView::spans_limit + 1);
    EXPECT_EQ(trace.spans_not_kept, 500u);
    EXPECT_THAT(render_trace(trace, plain), HasSubstr("500 more spans"));
    EXPECT_THAT(render_trace(trace, plain), HasSubstr("curl"));
}

TEST(TerminalStyle, IsPlainWhereThereIsNoTerminal) {
    const TerminalStyle style = TerminalStyle::of(-1, [](const char*) { return "en_US.UTF-8"; });
    EXPECT_FALSE(style.unicode);
    EXPECT_FALSE(style.color);
    EXPECT_EQ(style.width, 100u);
}

class PseudoTerminal : public testing::Test {
protected:
    void SetUp() override {
        if (::openpty(&main_, &terminal_, nullptr, nullptr, nullptr) != 0)
            GTEST_SKIP() << "no pseudo-terminal";
        const winsize size{.ws_row = 24, .ws_col = 132, .ws_xpixel = 0, .ws_ypixel = 0};
        ::ioctl(terminal_, TIOCSWINSZ, &size);
    }
    void TearDown() override {
        ::close(main_);
        ::close(terminal_);
    }
    TerminalStyle style(std::map<std::string, std::string> variables) const {
        return TerminalStyle::of(terminal_, [&](const char* name) {
            const auto found = variables.find(name);
            return found == variables.end() ? nullptr : found->second.c_str();
        });
    }
    int main_ = -1, terminal_ = -1;
};

TEST_F(PseudoTerminal, HasColoursAndItsWidth) {
    EXPECT_TRUE(style({}).color);
    EXPECT_EQ(style({}).width, 132u);
    EXPECT_FALSE(style({{"NO_COLOR", "1"}}).color);
    EXPECT_TRUE(style({{"NO_COLOR", ""}}).color);
    EXPECT_FALSE(style({{"TERM", "dumb"}}).color);
}

TEST_F(PseudoTerminal, DrawsBoxesInUtf8Locales) {
    EXPECT_FALSE(style({}).unicode);
    EXPECT_TRUE(style({{"LANG", "de_DE.UTF-8"}}).unicode);
    EXPECT_TRUE(style({{"LANG", "C.utf8"}}).unicode);
    EXPECT_TRUE(style({{"LC_CTYPE", "en_US.UTF-8@euro"}, {"LANG", "C"}}).unicode);
    EXPECT_FALSE(style({{"LC_ALL", "C"}, {"LANG", "en_US.UTF-8"}}).unicode);
}

}  // namespace
}  // namespace remora
