// Checks what can be checked without a socket, against values published elsewhere; prints one line for each.
#pragma once

#include "digest.hpp"
#include "histogram.hpp"
#include "stamp.hpp"
#include "text.hpp"
#include "tone.hpp"
#include "twilio_words.hpp"

class Selftest {
  public:
    int failures = 0;

    void check(const char* what, bool holds) {
        std::printf("%s %s\n", holds ? "ok  " : "FAIL", what);
        failures += !holds;
    }

    void same(const char* what, const std::string& got, const std::string& expected) {
        check(what, got == expected);
        if (got != expected) std::printf("     got %s, expected %s\n", got.c_str(), expected.c_str());
    }
};

inline std::string hex(const Digest& digest) {
    std::string out;
    for (uint8_t byte : digest) {
        char code[3];
        std::snprintf(code, sizeof code, "%02x", byte);
        out += code;
    }
    return out;
}

inline void check_digests(Selftest& test) {
    test.same("SHA-1 of abc (FIPS 180)", hex(sha1("abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    test.same("SHA-1 of 56 bytes (FIPS 180)", hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    test.same("SHA-1 of a million a (FIPS 180)", hex(sha1(std::string(1'000'000, 'a'))), "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    test.same("HMAC-SHA1, case 1 (RFC 2202)", hex(hmac_sha1(std::string(20, '\x0b'), "Hi There")), "b617318655057264e28bc0b6fb378c8ef146be00");
    test.same("HMAC-SHA1, case 2 (RFC 2202)", hex(hmac_sha1("Jefe", "what do ya want for nothing?")), "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
    test.same("HMAC-SHA1, case 6, a long key (RFC 2202)", hex(hmac_sha1(std::string(80, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")), "aa4ae5e15272d00e95705637ce8a3b55ed402112");
    test.same("WebSocket accept key (RFC 6455)", accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    const char* plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    const char* coded[] = {"", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (int i = 0; i < 7; i++) {
        uint8_t out[16];
        long size = base64_decode(coded[i], out);
        test.same("base64 (RFC 4648)", base64(plain[i]), coded[i]);
        test.same("base64 back (RFC 4648)", std::string(reinterpret_cast<char*>(out), static_cast<size_t>(std::max(0L, size))), plain[i]);
    }
    uint8_t out[16];
    test.check("what is no base64 is refused", base64_decode("Zm9", out) < 0 && base64_decode("Z!9v", out) < 0 && base64_decode("Z===", out) < 0);
}

inline void check_signatures(Selftest& test) {
    const std::string b = "0123456789abcdef0123456789abcdef";
    const Fields call = {{"AccountSid", "AC00000000000000000000000000000001"}, {"ApiVersion", "2010-04-01"}, {"CallSid", "CA00000000000000000000000000000001"},
                         {"CallStatus", "ringing"}, {"Direction", "inbound"}, {"From", "+14155550100"}, {"To", "+14155550199"}};
    const std::string host = "https://agent.example.com";
    test.same("signature: the documented example", twilio_signature("12345", "https://mycompany.com/myapp.php?foo=1&bar=2",
              {{"CallSid", "CA1234567890ABCDE"}, {"Caller", "+12349013030"}, {"Digits", "1234"}, {"From", "+12349013030"}, {"To", "+18005551212"}}), "0/KCTR6DLpKmkAf8muzZqo1nDgQ=");
    test.same("signature: a form", twilio_signature(b, host + "/twilio/voice", call), "beQm36WLQ3LtGLKl8dqdPAfHdn0=");
    test.same("signature: with a port", twilio_signature(b, host + ":8443/twilio/voice", call), "Ol8R3JFLFDooGyZ3KhHg2HAv5Fk=");
    Fields more = call;
    more.insert(more.end(), {{"CallerName", ""}, {"FromCity", "S\xc3\x83O PAULO"}, {"SpeechResult", "yes & no +1 <ok>"}});
    test.same("signature: blanks and UTF-8", twilio_signature(b, host + "/twilio/voice?tenant=acme&x=1", more), "0y8vplZKgm5k9uAv0hF6joUUloI=");
    test.same("signature: an upgrade", twilio_signature(b, "wss://agent.example.com/media"), "JciMyB+ZAO77W9pFJQyhg1uyyQQ=");
    test.same("signature: an upgrade with a slash", twilio_signature(b, "wss://agent.example.com/media/"), "/+p+dsaYClsmnmTeIlaP/ffApNk=");
    test.same("signature: repeated names", twilio_signature(b, host + "/multi", {{"A", "1"}, {"StatusCallbackEvent", "ringing"}, {"StatusCallbackEvent", "answered"}, {"StatusCallbackEvent", "answered"}}), "9ecKy4TCPmO54S+FW2dpcYlLJfw=");
    test.same("signature: names in byte order", twilio_signature(b, host + "/s", {{"b", "1"}, {"B", "2"}, {"a", "3"}, {"A", "4"}, {"_x", "5"}}), "/FFnG6brBHoo1GjrVnkxA843G50=");
}

inline void check_stamps(Selftest& test) {
    uint8_t frames[4 * kFrame + 7];
    const Stamp wrote{7, 0xFFFFFFFF, 123'456'789'012'345, true, true};
    write_stamp(frames, wrote);
    Stamp stamp;
    test.check("a stamp comes back", read_stamp(frames, stamp) && stamp.who == wrote.who && stamp.number == wrote.number && stamp.at == wrote.at && stamp.down && stamp.marked);
    bool noticed = true;
    for (size_t i = 0; i < kFrame; i++) {
        frames[i] ^= 1;
        noticed = noticed && !read_stamp(frames, stamp);
        frames[i] ^= 1;
    }
    test.check("a changed byte is noticed, wherever it is", noticed);
    std::memset(frames + kFrame, 0xFF, 7);
    for (uint32_t n = 1; n < 4; n++) write_stamp(frames + n * kFrame + 7, {7, n, 1, false, false});
    for (size_t piece : {1, 33, 160, 161, 647}) {
        StampReader reader;
        uint32_t found = 0;
        for (size_t at = 0; at < sizeof frames; at += piece) reader.push(frames + at, std::min(piece, sizeof frames - at), [&](const Stamp&) { found++; });
        test.check("frames are found in pieces of any size, past foreign bytes", found == 4 && reader.foreign == 7);
    }
}

inline void check_figures(Selftest& test) {
    Histogram histogram;
    for (int64_t us = 1; us <= 10'000; us++) histogram.add(us * 1000);
    auto near = [](double got, double expected) { return std::abs(got - expected) <= expected * 0.008; };
    test.check("percentiles are within one per cent", near(histogram.us(0.5), 5'000) && near(histogram.us(0.99), 9'900) && near(histogram.us(0.999), 9'990));
    test.check("the greatest is exact", histogram.max_us() == 10'000 && histogram.us(1.0) <= 10'000);
    Histogram one;
    test.check("no values: nought", one.us(0.5) == 0 && one.max_us() == 0);
    one.add(77);
    test.check("one value: that one", one.us(0.5) == 0.077 && one.us(0.999) == 0.077);
}

inline void check_texts(Selftest& test) {
    const Text json = R"( {"a":"x\"}","n":{"deep":[1,{"z":"]"}],"k" : "v"},"last":-1.5} )";
    test.same("JSON: a string with an escaped quote", std::string(field(json, "a")), R"("x\"}")");
    test.same("JSON: a path", std::string(field(json, {"n", "k"})), R"("v")");
    test.same("JSON: the last field", std::string(field(json, "last")), "-1.5");
    test.check("JSON: what is not there, or no JSON", field(json, "k").empty() && field("[1]", "a").empty() && field(R"({"a)", "a").empty());
    auto document = twilio::Document::of(R"(<?xml version="1.0"?><Response><Connect action="https://h/next?a=1&amp;b=2"><Stream url='wss://h/s' name="n"><Parameter name="k" value="&quot;v&quot;"/></Stream></Connect></Response>)");
    test.check("TwiML: action, stream, parameters", document.action == "https://h/next?a=1&b=2" && document.stream == "wss://h/s" && document.parameters == Fields{{"k", "\"v\""}});
    test.same("a form", form({{"From", "+1 4"}, {"b", "\xc3\xa9&"}}), "From=%2B1%204&b=%C3%A9%26");
    Url url = Url::of("ws://127.0.0.1:81/a?b#c");
    test.check("a URL", url.valid() && url.host == "127.0.0.1" && url.port == 81 && url.path == "/a?b" && url.authority == "127.0.0.1:81");
}

inline void check_tones(Selftest& test) {
    for (Codec codec : {Codec::ulaw, Codec::pcm}) {
        ToneEar ear;
        int found = 0;
        for (int burst = 0; burst < 3; burst++) {
            auto sound = tone(codec, 0, 1000);
            for (size_t at = 0; at < sound.size(); at += 334) found += ear.hear(codec, sound.data() + at, std::min<size_t>(334, sound.size() - at));
        }
        test.check("bursts are heard once each", found == 3);
    }
    bool close = true;
    for (int sample = -32'000; sample < 32'000; sample += 7) close = close && std::abs(from_ulaw(to_ulaw(sample)) - sample) <= std::abs(sample) / 16 + 8;
    test.check("u-law there and back", close);
    test.check("u-law silence", from_ulaw(0xFF) == 0 && to_ulaw(0) == 0xFF);
}

inline int selftest() {
    Selftest test;
    check_digests(test);
    check_signatures(test);
    check_stamps(test);
    check_figures(test);
    check_texts(test);
    check_tones(test);
    std::printf("%d failed\n", test.failures);
    return test.failures > 0;
}
