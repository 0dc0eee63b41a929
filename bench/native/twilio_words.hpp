// The carrier's words: SIDs, the fields of its webhooks, the TwiML that it reads. Source: Twilio Voice webhooks, Media Streams.
#pragma once

#include <ctime>
#include <unistd.h>

#include "options.hpp"

namespace twilio {

// 32 hex digits that no other call of this machine has had: servers remember their calls.
inline std::string sid(const char* kind, uint32_t id) {
    static const unsigned long long born = static_cast<unsigned long long>(time(nullptr)) << 20 | (static_cast<unsigned>(getpid()) & 0xFFFFF);
    char text[40];
    std::snprintf(text, sizeof text, "%s%016llx%016x", kind, born, id);
    return text;
}

inline std::string caller_number(uint32_t id) {
    char text[16];
    std::snprintf(text, sizeof text, "+1415%07u", 5'000'000 + id % 1'000'000);
    return text;
}

// What every webhook of a call has; a ringing one also brings its geography and the older names.
inline Fields call_fields(const Options& options, const std::string& call_sid, uint32_t id, const char* status) {
    std::string from = caller_number(id), to = options.dialled;
    Fields fields = {{"AccountSid", options.account}, {"ApiVersion", "2010-04-01"}, {"CallSid", call_sid}, {"CallStatus", status},
                     {"Called", to}, {"Caller", from}, {"Direction", "inbound"}, {"From", from}, {"To", to}};
    if (std::strcmp(status, "ringing") != 0) return fields;
    for (const char* place : {"City", "State", "Zip", "Country"})
        for (const char* who : {"Called", "Caller", "From", "To"})
            fields.emplace_back(std::string(who) + place, std::strcmp(place, "Country") == 0 ? "US" : "");
    fields.emplace_back("CallToken", "load");
    fields.emplace_back("StirVerstat", "TN-Validation-Passed-A");
    return fields;
}

inline std::string rfc2822_now() {
    char text[64];
    time_t seconds = time(nullptr);
    tm parts{};
    gmtime_r(&seconds, &parts);
    std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &parts);
    return text;
}

struct Document {
    std::string stream, action;
    Fields parameters;

    // Empty `stream` if there is none in it.
    static Document of(Text xml) {
        Document document;
        size_t at = 0;
        document.action = attribute(tag(xml, "Connect", at), "action");
        document.stream = attribute(tag(xml, "Stream", at), "url");
        size_t end = std::min(xml.find("</Stream>", at), xml.size());
        xml = xml.substr(0, end);
        for (Text one; !(one = tag(xml, "Parameter", at)).empty();)
            document.parameters.emplace_back(attribute(one, "name"), attribute(one, "value"));
        return document;
    }
};

inline std::string start(const std::string& stream_sid, const std::string& call_sid, const std::string& account, const Fields& parameters) {
    std::string custom;
    for (const auto& [name, value] : parameters) custom += (custom.empty() ? "" : ",") + quoted(name) + ":" + quoted(value);
    return R"({"event":"start","sequenceNumber":"1","streamSid":)" + quoted(stream_sid) + R"(,"start":{"accountSid":)" + quoted(account) +
           R"(,"streamSid":)" + quoted(stream_sid) + R"(,"callSid":)" + quoted(call_sid) +
           R"(,"tracks":["inbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{)" + custom + "}}}";
}

}  // namespace twilio
