// libcurl, and its variadic calls under names that have types, since Swift can't call variadic functions.
#pragma once
#include <curl/curl.h>

typedef size_t (*headwater_curl_sink)(char *bytes, size_t size, size_t count, void *context);
typedef int (*headwater_curl_progress)(void *context, curl_off_t, curl_off_t, curl_off_t, curl_off_t);

static inline CURLcode headwater_curl_global_init(void) { return curl_global_init(CURL_GLOBAL_DEFAULT); }

static inline CURLcode headwater_curl_set_long(CURL *curl, CURLoption option, long value) {
    return curl_easy_setopt(curl, option, value);
}

/// libcurl copies the text.
static inline CURLcode headwater_curl_set_text(CURL *curl, CURLoption option, const char *value) {
    return curl_easy_setopt(curl, option, value);
}

/// What libcurl writes an explanation of a failure into; `CURL_ERROR_SIZE` bytes that outlive the transfer.
static inline CURLcode headwater_curl_set_error_buffer(CURL *curl, char *buffer) {
    return curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, buffer);
}

static inline CURLcode headwater_curl_set_sink(CURL *curl, headwater_curl_sink sink, void *context) {
    CURLcode code = curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, sink);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_WRITEDATA, context);
}

/// The list stays the caller's, and outlives the transfer.
static inline CURLcode headwater_curl_set_headers(CURL *curl, struct curl_slist *headers) {
    return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
}

/// A POST of `count` bytes, which libcurl copies.
static inline CURLcode headwater_curl_set_body(CURL *curl, const void *bytes, size_t count) {
    CURLcode code = curl_easy_setopt(curl, CURLOPT_POST, 1L);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)count);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_COPYPOSTFIELDS, (const char *)bytes);
}

/// Options of libcurl and no header of our own: libcurl doesn't repeat them to another host after a redirect.
static inline CURLcode headwater_curl_set_basic(CURL *curl, const char *user, const char *password) {
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_USERNAME, user);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_PASSWORD, password);
}
static inline CURLcode headwater_curl_set_bearer(CURL *curl, const char *token) {
    CURLcode code = curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, token);
}

/// Called about once a second; anything but 0 ends the transfer.
static inline CURLcode headwater_curl_set_progress(CURL *curl, headwater_curl_progress progress, void *context) {
    CURLcode code = curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    if (code == CURLE_OK) code = curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, progress);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_XFERINFODATA, context);
}

/// The schemes that may be spoken, at first and after a redirect.
static inline CURLcode headwater_curl_allow(CURL *curl, int plain) {
#if CURL_AT_LEAST_VERSION(7, 85, 0)
    const char *schemes = plain ? "http,https" : "https";
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, schemes);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "https");
#else
    long schemes = plain ? (CURLPROTO_HTTP | CURLPROTO_HTTPS) : CURLPROTO_HTTPS;
    CURLcode code = curl_easy_setopt(curl, CURLOPT_PROTOCOLS, schemes);
    return code != CURLE_OK ? code : curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
}

static inline CURLcode headwater_curl_response_code(CURL *curl, long *code) {
    return curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, code);
}
