import CCurl

/// One transfer of libcurl, on the thread that calls it.
enum Transfer {
    private static let isReady = headwater_curl_global_init() == CURLE_OK

    /// What libcurl's callbacks are handed.
    private final class Body {
        var bytes: [UInt8] = []
        var isTooLarge = false
        let maxBytes: Int
        let cancellation: Cancellation

        init(maxBytes: Int, cancellation: Cancellation) {
            self.maxBytes = maxBytes
            self.cancellation = cancellation
        }

        /// - Returns: Bytes taken; fewer than there are end the transfer.
        func append(_ part: UnsafeRawBufferPointer) -> Int {
            guard bytes.count + part.count <= maxBytes else {
                isTooLarge = true
                return 0
            }
            bytes.append(contentsOf: part)
            return part.count
        }
    }

    static func run(_ options: HTTPFetch.Options, _ cancellation: Cancellation) throws(HTTPFetchError) -> HTTPAnswer {
        guard !cancellation.isRequested else { throw .cancelled }
        guard isReady, let curl = curl_easy_init() else { throw .transfer("libcurl can't be used") }
        let reason = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
        reason.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        // The handle first: it writes into the buffer until its end.
        defer {
            curl_easy_cleanup(curl)
            reason.deallocate()
        }
        let body = Body(maxBytes: options.maxBytes, cancellation: cancellation)
        let headers = Self.headers(options)
        defer { curl_slist_free_all(headers) }
        var code = configure(curl, options, reason)
        if code == CURLE_OK, headers != nil { code = headwater_curl_set_headers(curl, headers) }
        var status = 0
        if code == CURLE_OK {
            code = withExtendedLifetime(body) {
                // The callbacks run inside `curl_easy_perform`, while `body` lives.
                let context = Unmanaged.passUnretained(body).toOpaque()
                let sink: headwater_curl_sink = { bytes, size, count, context in
                    guard let bytes, let context else { return 0 }
                    return Unmanaged<Body>.fromOpaque(context).takeUnretainedValue().append(.init(start: bytes, count: size * count))
                }
                let progress: headwater_curl_progress = { context, _, _, _, _ in
                    guard let context else { return 1 }
                    return Unmanaged<Body>.fromOpaque(context).takeUnretainedValue().cancellation.isRequested ? 1 : 0
                }
                guard headwater_curl_set_sink(curl, sink, context) == CURLE_OK,
                    headwater_curl_set_progress(curl, progress, context) == CURLE_OK
                else { return CURLE_FAILED_INIT }
                return curl_easy_perform(curl)
            }
        }
        guard code == CURLE_OK, headwater_curl_response_code(curl, &status) == CURLE_OK else {
            if cancellation.isRequested { throw .cancelled }
            if body.isTooLarge || code == CURLE_FILESIZE_EXCEEDED { throw .tooLarge(maxBytes: options.maxBytes) }
            let detail = String(cString: reason)
            throw .transfer(detail.isEmpty ? String(cString: curl_easy_strerror(code)) : detail)
        }
        return HTTPAnswer(status: status, body: body.bytes)
    }

    /// - Returns: The caller's to free, after the transfer; `nil` when there are none.
    private static func headers(_ options: HTTPFetch.Options) -> UnsafeMutablePointer<curl_slist>? {
        var headers: UnsafeMutablePointer<curl_slist>?
        if let accept = options.accept { headers = curl_slist_append(headers, "Accept: \(accept)") }
        if let post = options.post {
            headers = curl_slist_append(headers, "Content-Type: \(post.contentType)")
            // Without it libcurl waits a second for servers that don't know the word.
            headers = curl_slist_append(headers, "Expect:")
        }
        return headers
    }

    private static func configure(_ curl: UnsafeMutableRawPointer, _ options: HTTPFetch.Options, _ reason: UnsafeMutablePointer<CChar>)
        -> CURLcode
    {
        func long(_ option: CURLoption, _ value: Int) -> CURLcode { headwater_curl_set_long(curl, option, value) }
        func text(_ option: CURLoption, _ value: String) -> CURLcode { headwater_curl_set_text(curl, option, value) }
        var codes = [
            headwater_curl_set_error_buffer(curl, reason),
            headwater_curl_allow(curl, options.allowsPlain ? 1 : 0),
            text(CURLOPT_URL, options.url),
            text(CURLOPT_USERAGENT, "headwater"),
            long(CURLOPT_NOSIGNAL, 1),  // timeouts without signals: there are other threads
            long(CURLOPT_SSL_VERIFYPEER, 1),
            long(CURLOPT_SSL_VERIFYHOST, 2),
            long(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
            long(CURLOPT_CONNECTTIMEOUT_MS, options.connectMilliseconds),
            long(CURLOPT_TIMEOUT_MS, options.totalMilliseconds),
            long(CURLOPT_FOLLOWLOCATION, options.maxRedirects > 0 ? 1 : 0),
            long(CURLOPT_MAXREDIRS, options.maxRedirects),
            long(CURLOPT_MAXFILESIZE, min(options.maxBytes, Int(Int32.max))),
            long(CURLOPT_FAILONERROR, 0),
        ]
        if let caFile = options.caFile { codes += [text(CURLOPT_CAINFO, caFile), headwater_curl_set_text(curl, CURLOPT_CAPATH, nil)] }
        if let file = options.clientCertificateFile {
            codes += [text(CURLOPT_SSLCERT, file), text(CURLOPT_SSLKEY, options.clientKeyFile ?? file)]
        }
        switch options.credentials {
        case .basic(let user, let password): codes.append(headwater_curl_set_basic(curl, user, password))
        case .bearer(let token): codes.append(headwater_curl_set_bearer(curl, token))
        case nil: break
        }
        if let post = options.post {
            // One byte more, since an empty array has no address.
            codes.append((post.body + [0]).withUnsafeBytes { headwater_curl_set_body(curl, $0.baseAddress, post.body.count) })
        }
        return codes.first { $0 != CURLE_OK } ?? CURLE_OK
    }
}
