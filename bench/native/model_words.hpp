// The model's words on the wire: events of a realtime server in the `ga` dialect, each written out once.
#pragma once

#include "text.hpp"

namespace words {

inline std::string session_created(Text id, Text model, long long expires_at) {
    std::string out = R"({"type":"session.created","event_id":"event_0","session":{"type":"realtime","object":"realtime.session","id":)";
    out += quoted(id) + R"(,"model":)" + quoted(model) + R"(,"output_modalities":["audio"],"instructions":"","tools":[],"tool_choice":"auto",)";
    out += R"("max_output_tokens":"inf","tracing":null,"truncation":"auto","prompt":null,"expires_at":)" + std::to_string(expires_at);
    out += R"(,"audio":{"input":{"format":{"type":"audio/pcm","rate":24000},"transcription":null,"noise_reduction":null,)";
    out += R"("turn_detection":{"type":"server_vad","threshold":0.5,"prefix_padding_ms":300,"silence_duration_ms":200,"idle_timeout_ms":null,)";
    out += R"("create_response":true,"interrupt_response":true}},"output":{"format":{"type":"audio/pcm","rate":24000},"voice":"marin","speed":1}},)";
    return out + R"("include":null}})";
}

// The client's session as it is, with what only the server knows put in front.
inline std::string session_updated(Text event_id, Text session_id, Text session, long long expires_at) {
    std::string out = R"({"type":"session.updated","event_id":)" + quoted(event_id) + R"(,"session":{)";
    if (field(session, "object").empty()) out += R"("object":"realtime.session",)";
    if (field(session, "id").empty()) out += R"("id":)" + quoted(session_id) + ',';
    out += R"("expires_at":)" + std::to_string(expires_at);
    size_t open = after_blank(session, 0) + 1;
    bool empty = after_blank(session, open) < session.size() && session[after_blank(session, open)] == '}';
    return out + (empty ? "" : ",") + std::string(session.substr(open)) + "}";
}

inline std::string error(Text event_id, Text code, Text message, Text theirs) {
    return R"({"type":"error","event_id":)" + quoted(event_id) + R"(,"error":{"type":"invalid_request_error","code":)" + quoted(code) +
           R"(,"message":)" + quoted(message) + R"(,"param":null,"event_id":)" + (theirs.empty() ? "null" : std::string(theirs)) + "}}";
}

// An event that has an item, as it is written. previous: of the item before it, or empty.
inline std::string with_item(Text type, Text event_id, Text item) {
    return R"({"type":)" + quoted(type) + R"(,"event_id":)" + quoted(event_id) + R"(,"previous_item_id":null,"item":)" + std::string(item) + "}";
}

inline std::string of_speech(Text type, Text event_id, Text item_id, Text more) {
    return R"({"type":)" + quoted(type) + R"(,"event_id":)" + quoted(event_id) + R"(,"item_id":)" + quoted(item_id) + std::string(more) + "}";
}

inline std::string caller_item(Text id) {
    return R"({"id":)" + quoted(id) +
           R"(,"object":"realtime.item","type":"message","status":"completed","role":"user","content":[{"type":"input_audio","transcript":null}]})";
}

inline std::string agent_item(Text id, Text status, Text content) {
    return R"({"id":)" + quoted(id) + R"(,"object":"realtime.item","type":"message","status":)" + quoted(status) +
           R"(,"role":"assistant","content":[)" + std::string(content) + "]}";
}

// Small and always the same: hours of replies must not reach anybody's limit of cost.
inline const char* const kUsage =
    R"({"total_tokens":120,"input_tokens":100,"output_tokens":20,"input_token_details":{"text_tokens":80,"audio_tokens":20,"image_tokens":0,)"
    R"("cached_tokens":64,"cached_tokens_details":{"text_tokens":64,"audio_tokens":0,"image_tokens":0}},)"
    R"("output_token_details":{"text_tokens":10,"audio_tokens":10}})";

// A response event. details, conversation, metadata: JSON, or null.
struct Response {
    std::string id, item, metadata = "null", format;
    bool out_of_band = false, text_only = false;

    std::string event(Text type, Text event_id, Text status, Text details, Text output, Text usage) const {
        std::string out = R"({"type":)" + quoted(type) + R"(,"event_id":)" + quoted(event_id) + R"(,"response":{"object":"realtime.response","id":)";
        out += quoted(id) + R"(,"status":)" + quoted(status) + R"(,"status_details":)" + std::string(details) + R"(,"output":[)" + std::string(output);
        out += R"(],"conversation_id":)" + std::string(out_of_band ? "null" : R"("conv_1")") + R"(,"output_modalities":[)";
        out += std::string(text_only ? R"("text")" : R"("audio")") + R"(],"max_output_tokens":"inf","audio":{"output":{"format":)" + format;
        return out + R"(,"voice":"marin"}},"usage":)" + std::string(usage) + R"(,"metadata":)" + metadata + "}}";
    }

    // An event of its one item; more: further fields, each with its comma in front.
    std::string part(Text type, Text event_id, Text more) const {
        return R"({"type":)" + quoted(type) + R"(,"event_id":)" + quoted(event_id) + R"(,"response_id":)" + quoted(id) + R"(,"item_id":)" +
               quoted(item) + R"(,"output_index":0,"content_index":0)" + std::string(more) + "}";
    }

    // An event about its one item: `item` is the whole of it.
    std::string about(Text type, Text event_id, Text whole) const {
        return R"({"type":)" + quoted(type) + R"(,"event_id":)" + quoted(event_id) + R"(,"response_id":)" + quoted(id) +
               R"(,"output_index":0,"item":)" + std::string(whole) + "}";
    }
};

inline std::string rate_limits(Text event_id) {
    return R"({"type":"rate_limits.updated","event_id":)" + quoted(event_id) +
           R"(,"rate_limits":[{"name":"requests","limit":1000,"remaining":999,"reset_seconds":0.06},)"
           R"({"name":"tokens","limit":50000,"remaining":49950,"reset_seconds":0.06}]})";
}

}  // namespace words
