import Encodings
import Foundation
import Testing

@testable import Security

@Suite struct JWTBase64Tests {
    @Test("what is encoded is decoded, in all three forms, and as Foundation does it")
    func roundTrip() {
        for count in 0..<100 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255) }
            #expect(Base64.encode(bytes, .standard) == Data(bytes).base64EncodedString())
            for form in [Base64.Form.standard, .standardUnpadded, .url] {
                #expect(Base64.decode(Array(Base64.encode(bytes, form).utf8), form) == bytes)
            }
        }
    }

    @Test("one value has one spelling")
    func strict() {
        for text in [
            "A", "AA", "AA=", "AAA", "AB==", "AAB=", "AA=A", "=AAA", "A===", "====", "AA==AA==", " AA=", "AA\n=", "A-A=", "AA==\n",
        ] {
            #expect(Base64.decode(Array(text.utf8), .standard) == nil, "\(text)")
        }
        for text in ["A", "AB", "AAB", "AA==", "A+A", "A/AA", "AA A", "AAAAA"] {
            #expect(Base64.decode(Array(text.utf8), .url) == nil, "\(text)")
        }
        #expect(Base64.decode(Array("-_8".utf8), .url) == [0xFB, 0xFF])
        #expect(Base64.decode([0x80, 0xFF], .url) == nil && Base64.decode([], .url) == [])
    }
}
