// OpenSSL 3, the BIO through which the TLS engine lends it bytes, and the macros that Swift doesn't see.
#pragma once
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ocsp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

// MARK: the BIO

/// What stands behind an SSL object instead of a socket. `input` and `output` are lent for the duration of one call;
/// `pending` belongs to this structure and takes what is written while no output is lent, or more than fits.
typedef struct {
    const unsigned char *input;
    size_t inputCount;
    /// More was asked for than was lent: the only way to know that a call has failed for that and nothing else.
    int wantsMore;
    unsigned char *output;
    size_t outputCount;
    size_t outputCapacity;
    unsigned char *pending;
    size_t pendingCount;
    size_t pendingCapacity;
} HeadwaterTLSBytes;

static int headwater_tls_read(BIO *bio, char *into, size_t count, size_t *taken) {
    HeadwaterTLSBytes *bytes = (HeadwaterTLSBytes *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes->inputCount == 0) {
        bytes->wantsMore = 1;
        *taken = 0;
        BIO_set_retry_read(bio);
        return -1;
    }
    if (count > bytes->inputCount) count = bytes->inputCount;
    memcpy(into, bytes->input, count);
    bytes->input += count;
    bytes->inputCount -= count;
    *taken = count;
    return 1;
}

static int headwater_tls_write(BIO *bio, const char *from, size_t count, size_t *taken) {
    HeadwaterTLSBytes *bytes = (HeadwaterTLSBytes *)BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (bytes->pendingCount == 0 && count <= bytes->outputCapacity - bytes->outputCount) {
        memcpy(bytes->output + bytes->outputCount, from, count);
        bytes->outputCount += count;
    } else {
        // What doesn't fit goes behind what didn't fit before: the order of records is the order of the stream.
        if (count > bytes->pendingCapacity - bytes->pendingCount) {
            size_t capacity = bytes->pendingCount + count;
            if (capacity < 2 * bytes->pendingCapacity) capacity = 2 * bytes->pendingCapacity;
            unsigned char *grown = (unsigned char *)realloc(bytes->pending, capacity);
            if (grown == NULL) {
                *taken = 0;
                return -1;
            }
            bytes->pending = grown;
            bytes->pendingCapacity = capacity;
        }
        memcpy(bytes->pending + bytes->pendingCount, from, count);
        bytes->pendingCount += count;
    }
    *taken = count;
    return 1;
}

static long headwater_tls_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH || command == BIO_CTRL_DUP ? 1 : 0;
}

static int headwater_tls_create(BIO *bio) {
    BIO_set_init(bio, 1);
    return 1;
}

/// Made once for the process, and never freed. NULL: no memory.
static inline BIO_METHOD *headwater_tls_bio_method(void) {
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "headwater");
    if (method == NULL) return NULL;
    BIO_meth_set_read_ex(method, headwater_tls_read);
    BIO_meth_set_write_ex(method, headwater_tls_write);
    BIO_meth_set_ctrl(method, headwater_tls_control);
    BIO_meth_set_create(method, headwater_tls_create);
    return method;
}

/// Forgets the first `count` bytes of what is pending; the block goes with the last of them.
static inline void headwater_tls_drop_pending(HeadwaterTLSBytes *bytes, size_t count) {
    if (count < bytes->pendingCount) {
        memmove(bytes->pending, bytes->pending + count, bytes->pendingCount - count);
        bytes->pendingCount -= count;
        return;
    }
    free(bytes->pending);
    bytes->pending = NULL;
    bytes->pendingCount = 0;
    bytes->pendingCapacity = 0;
}

// MARK: session tickets

/// AES-256-CBC under HMAC-SHA-256, encrypt then MAC (RFC 5077 section 4). 1: ready.
static inline int headwater_tls_ticket_ciphers(
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, const EVP_CIPHER *aes, const unsigned char *aesKey, unsigned char *macKey,
    const unsigned char *iv, int encrypts
) {
    OSSL_PARAM parameters[3];
    parameters[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, macKey, 32);
    parameters[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0);
    parameters[2] = OSSL_PARAM_construct_end();
    return EVP_CipherInit_ex(cipher, aes, NULL, aesKey, iv, encrypts) == 1 && EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static inline void headwater_tls_set_ticket_callback(
    SSL_CTX *context, int (*callback)(SSL *, unsigned char *, unsigned char *, EVP_CIPHER_CTX *, EVP_MAC_CTX *, int)
) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(context, callback);
}

// MARK: macros of libssl as functions

static inline void headwater_tls_set_servername_callback(SSL_CTX *context, int (*callback)(SSL *, int *, void *)) {
    SSL_CTX_set_tlsext_servername_callback(context, callback);
}
static inline void headwater_tls_set_status_callback(SSL_CTX *context, int (*callback)(SSL *, void *)) {
    SSL_CTX_set_tlsext_status_cb(context, callback);
}
/// OpenSSL frees the copy that it is given.
static inline int headwater_tls_staple(SSL *ssl, const void *bytes, size_t count) {
    unsigned char *copy = (unsigned char *)OPENSSL_memdup(bytes, count);
    if (copy == NULL) return 0;
    if (SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)count) != 1) {
        OPENSSL_free(copy);
        return 0;
    }
    return 1;
}
static inline int headwater_tls_ask_for_staple(SSL *ssl) { return SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp) == 1; }
static inline long headwater_tls_stapled(SSL *ssl, const unsigned char **bytes) { return SSL_get_tlsext_status_ocsp_resp(ssl, bytes); }
static inline int headwater_tls_set_server_name(SSL *ssl, const char *name) { return SSL_set_tlsext_host_name(ssl, name) == 1; }
static inline int headwater_tls_set_versions(SSL_CTX *context, int lowest, int highest) {
    return SSL_CTX_set_min_proto_version(context, lowest) == 1 && SSL_CTX_set_max_proto_version(context, highest) == 1;
}
static inline int headwater_tls_set_groups(SSL_CTX *context, const char *list) { return SSL_CTX_set1_groups_list(context, list) == 1; }
static inline void headwater_tls_release_buffers(SSL_CTX *context) { SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS); }
static inline void headwater_tls_no_session_cache(SSL_CTX *context) { SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); }
static inline void headwater_tls_set_max_certificate_bytes(SSL_CTX *context, long bytes) { SSL_CTX_set_max_cert_list(context, bytes); }
static inline int headwater_tls_add_chain_certificate(SSL_CTX *context, X509 *certificate) {
    return SSL_CTX_add1_chain_cert(context, certificate) == 1;
}
static inline int headwater_tls_is_secure_renegotiation_supported(SSL *ssl) { return SSL_get_secure_renegotiation_support(ssl) == 1; }
static inline int headwater_tls_negotiated_group(SSL *ssl) { return (int)SSL_get_negotiated_group(ssl); }
static inline int headwater_bio_set_data(BIO *bio, void *data) {
    BIO_set_data(bio, data);
    return 1;
}
static inline long headwater_bio_bytes(BIO *bio, char **bytes) { return BIO_get_mem_data(bio, bytes); }
static inline void headwater_openssl_free(void *pointer) { OPENSSL_free(pointer); }
static inline int headwater_error_reason(unsigned long code) { return ERR_GET_REASON(code); }
static inline int headwater_error_library(unsigned long code) { return ERR_GET_LIB(code); }

// MARK: certificates

static inline int headwater_x509_count(const STACK_OF(X509) *stack) { return stack == NULL ? 0 : sk_X509_num(stack); }
static inline X509 *headwater_x509_at(const STACK_OF(X509) *stack, int index) { return sk_X509_value(stack, index); }
static inline STACK_OF(X509) *headwater_x509_up_ref(STACK_OF(X509) *stack) { return stack == NULL ? NULL : X509_chain_up_ref(stack); }
static inline void headwater_x509_free_all(STACK_OF(X509) *stack) { sk_X509_pop_free(stack, X509_free); }
/// Takes self-issued certificates out of what a client has sent: a root proves nothing that the store doesn't know, and many
/// clients send theirs along. The stack belongs to the session, and is read by nobody but callers of SSL_get_peer_cert_chain.
static inline void headwater_x509_drop_roots(STACK_OF(X509) *stack) {
    for (int at = headwater_x509_count(stack) - 1; at >= 0; at--) {
        X509 *certificate = sk_X509_value(stack, at);
        if (X509_NAME_cmp(X509_get_subject_name(certificate), X509_get_issuer_name(certificate)) == 0) {
            sk_X509_delete(stack, at);
            X509_free(certificate);
        }
    }
}
static inline STACK_OF(X509_NAME) *headwater_names_new(void) { return sk_X509_NAME_new_null(); }
static inline int headwater_names_push(STACK_OF(X509_NAME) *stack, const X509_NAME *name) {
    X509_NAME *copy = X509_NAME_dup(name);
    if (copy == NULL) return 0;
    if (sk_X509_NAME_push(stack, copy) > 0) return 1;
    X509_NAME_free(copy);
    return 0;
}

/// NULL: the certificate has none, or one that can't be parsed.
static inline GENERAL_NAMES *headwater_alternative_names(const X509 *certificate) {
    return (GENERAL_NAMES *)X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
}
static inline int headwater_alternative_name_count(const GENERAL_NAMES *names) { return sk_GENERAL_NAME_num(names); }
/// The text of a DNS, URI or e-mail name, with its kind (GEN_DNS, GEN_URI, GEN_EMAIL); NULL for other kinds.
static inline const ASN1_STRING *headwater_alternative_name(const GENERAL_NAMES *names, int index, int *kind) {
    const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, index);
    *kind = name->type;
    if (name->type != GEN_DNS && name->type != GEN_URI && name->type != GEN_EMAIL) return NULL;
    return name->d.ia5;
}

/// Verifies as a TLS client's certificate, with the parameters of the store. X509_V_OK or the first error.
static inline int headwater_verify_client(X509_STORE *store, X509 *leaf, STACK_OF(X509) *untrusted, int securityLevel) {
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    if (context == NULL) return X509_V_ERR_OUT_OF_MEM;
    int error = X509_V_ERR_UNSPECIFIED;
    if (X509_STORE_CTX_init(context, store, leaf, untrusted) == 1) {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(context), securityLevel);
        int verified = X509_verify_cert(context);
        error = X509_STORE_CTX_get_error(context);
        if (verified != 1 && error == X509_V_OK) error = X509_V_ERR_UNSPECIFIED;
    }
    X509_STORE_CTX_free(context);
    return error;
}

/// Seconds since 1970; INT64_MIN if the time can't be read.
static inline long long headwater_asn1_seconds(const ASN1_TIME *time) {
    struct tm parts;
    if (time == NULL || ASN1_TIME_to_tm(time, &parts) != 1) return -0x7fffffffffffffffLL - 1;
    return (long long)timegm(&parts);
}
static inline unsigned long headwater_rfc2253_flags(void) { return XN_FLAG_RFC2253; }

// MARK: settings that are macros of 64 bits

static inline unsigned long long headwater_tls_options(void) {
    return SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_SSLv3
        | SSL_OP_SINGLE_ECDH_USE | SSL_OP_SINGLE_DH_USE | SSL_OP_PRIORITIZE_CHACHA;
}
static inline unsigned long long headwater_tls_server_preference(void) { return SSL_OP_CIPHER_SERVER_PREFERENCE; }
static inline unsigned long long headwater_tls_no_ticket(void) { return SSL_OP_NO_TICKET; }
static inline int headwater_cipher_count(const STACK_OF(SSL_CIPHER) *stack) { return sk_SSL_CIPHER_num(stack); }
static inline const SSL_CIPHER *headwater_cipher_at(const STACK_OF(SSL_CIPHER) *stack, int index) {
    return sk_SSL_CIPHER_value(stack, index);
}
