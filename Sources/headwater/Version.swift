/// The program's version: the last release's number, and `-dev` between releases.
enum Version {
    static let current = "0.1.0-dev"
}
